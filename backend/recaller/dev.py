"""``make up``: Recaller on this machine, with an embedded PostgreSQL; nothing to install."""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psycopg

from liftlock.errors import LiftlockError
from liftlock.settings import Address
from liftlock.shadow import embedded

_BACKEND = Path(__file__).parents[1]
_DATABASE = "recaller"


def main() -> int:
    """Start the database, migrate it, serve, and stop everything on Ctrl-C.

    Its data stay in ``.data`` beside the backend (``RECALLER_DATA``); the address for other programs is in ``.data/env``.
    """
    folder = Path(os.environ.get("RECALLER_DATA", _BACKEND.parent / ".data"))
    folder.mkdir(mode=0o755, exist_ok=True)
    port = os.environ.get("RECALLER_PORT", "8000")
    _say(f"starting PostgreSQL (data in {folder}) …")
    try:
        with embedded.serve(folder / "postgres", _password(folder)) as server:
            address = _database(server)
            (folder / "env").touch(mode=0o600)
            variables = address.environ()
            (folder / "env").write_text(
                "".join(
                    f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()
                )
            )
            _say(
                f"migrating, then serving http://localhost:{port}  (API docs: http://localhost:{port}/docs; stop with Ctrl-C)"
            )
            code = _serve(variables)
            _say("stopping PostgreSQL …")
            return code
    except LiftlockError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code


def _password(folder: Path) -> str:
    file = folder / "password"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(24))
    return file.read_text()


def _database(server: Address) -> Address:
    with psycopg.connect(**server.keywords(), autocommit=True) as session:  # type: ignore[arg-type]  # all of them are texts
        if not session.execute(
            "SELECT 1 FROM pg_database WHERE datname = %s", [_DATABASE]
        ).fetchone():
            session.execute(f"CREATE DATABASE {_DATABASE}")
    return Address(
        host=server.host,
        port=server.port,
        user=server.user,
        password=server.password,
        dbname=_DATABASE,
    )


def _serve(variables: Mapping[str, str]) -> int:
    """Run the service as a container would, and pass SIGTERM on; Ctrl-C reaches it by the terminal. It ends when we are killed."""
    command = [
        *embedded.die_with_parent("TERM"),
        str(Path(sys.executable).with_name("liftlock")),
        "exec",
        "--",
        sys.executable,
        "-m",
        "recaller",
    ]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    child = subprocess.Popen(
        command, cwd=_BACKEND, env={**os.environ, **variables}, preexec_fn=_listen
    )
    signal.signal(signal.SIGTERM, lambda *_: child.send_signal(signal.SIGTERM))
    code = child.wait()
    return 0 if code in {-signal.SIGINT, -signal.SIGTERM} else code


def _listen() -> None:
    """Give the child back what the parent ignores."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _say(text: str) -> None:
    sys.stdout.write(f"recaller  {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
