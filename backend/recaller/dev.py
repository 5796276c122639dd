"""``make up``: run Recaller on this machine with an embedded PostgreSQL, without installing one."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from liftlock import Address, LiftlockError, embedded_server

_BACKEND = Path(__file__).parents[1]
_DATABASE = "recaller"


def main() -> int:
    """Start the database, migrate it, serve, and stop everything on Ctrl-C.

    The data stay in the folder ``.data`` of the repository, or in ``RECALLER_DATA``. Its file
    ``env`` has the variables that other programs need to connect.
    """
    folder = Path(os.environ.get("RECALLER_DATA", _BACKEND.parent / ".data"))
    folder.mkdir(mode=0o755, exist_ok=True)
    _print(f"starting PostgreSQL (data in {folder}) …")
    try:
        with embedded_server(folder / "postgres", _password(folder)) as server:
            code = _run(folder, _database(server))
            _print("stopping PostgreSQL …")
            return code
    except LiftlockError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code


def _run(folder: Path, address: Address) -> int:
    variables = address.environ()
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()]
    _private_file(folder / "env").write_text("".join(lines))
    url = f"http://localhost:{os.environ.get('RECALLER_PORT', '8000')}"
    _print(f"migrating, then serving {url}  (API docs: {url}/docs; stop with Ctrl-C)")
    return _serve(variables)


def _password(folder: Path) -> str:
    file = folder / "password"
    if not file.exists():
        _private_file(file).write_text(secrets.token_urlsafe(24))
    return file.read_text()


def _private_file(path: Path) -> Path:
    """Create a file that only this user can read, before anything is written to it."""
    path.touch(mode=0o600)
    return path


def _database(server: Address) -> Address:
    """Create the service's database unless it exists; return its address."""
    with psycopg.connect(make_conninfo(**server.keywords()), autocommit=True) as session:
        query = "SELECT 1 FROM pg_database WHERE datname = %s"
        if not session.execute(query, [_DATABASE]).fetchone():
            session.execute(f"CREATE DATABASE {_DATABASE}")
    return Address(
        host=server.host,
        port=server.port,
        user=server.user,
        password=server.password,
        dbname=_DATABASE,
    )


def _serve(variables: Mapping[str, str]) -> int:
    """Run the service the way its container does, and return its exit code.

    The terminal sends SIGINT to the service too; SIGTERM is passed on to it.
    """
    liftlock = str(Path(sys.executable).with_name("liftlock"))
    command = [*_ends_with_us(), liftlock, "exec", "--", sys.executable, "-m", "recaller"]
    # A handler rather than SIG_IGN: a child would inherit that, and Ctrl-C wouldn't stop it.
    signal.signal(signal.SIGINT, lambda *_: None)
    child = subprocess.Popen(command, cwd=_BACKEND, env={**os.environ, **variables})
    signal.signal(signal.SIGTERM, lambda *_: child.send_signal(signal.SIGTERM))
    code = child.wait()
    is_stopped = code in {-signal.SIGINT, -signal.SIGTERM}
    return 0 if is_stopped else code


def _ends_with_us() -> list[str]:
    """Return the prefix of a command that ends with this process, even if this one is killed.

    It is empty where setpriv (of util-linux) isn't installed.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig=TERM"] if setpriv else []


def _print(text: str) -> None:
    sys.stdout.write(f"recaller  {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
