"""The engine's own sessions, and the settings that every migration session gets."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping

import psycopg
from psycopg.rows import DictRow, dict_row

from liftlock.postgres.queries import QUERIES
from liftlock.settings import Address

Session = psycopg.Connection[DictRow]

_PARAMETER = re.compile(r"(?<![:\\\w]):(\w+)")
_NAME_BYTES = 63
CONNECT_SECONDS = 3


def application(command: str) -> str:
    """The ``application_name`` of a session that works for a command, at most 63 bytes."""
    return f"liftlock {command}@{socket.gethostname()}"[:_NAME_BYTES]


def migration_settings(lock_timeout: int) -> dict[str, str]:
    """Settings for a session that changes the schema.

    Parameters:
        lock_timeout: milliseconds that one statement may wait for a lock; 0 for ever.

    A backend whose client was killed goes on with its statement, and keeps its locks, unless
    ``client_connection_check_interval`` (PostgreSQL 14) makes it look:
    https://www.postgresql.org/docs/current/runtime-config-connection.html
    """
    return {
        "lock_timeout": f"{lock_timeout}ms",
        "statement_timeout": "0",
        "transaction_timeout": "0",
        "idle_in_transaction_session_timeout": "0",
        "idle_session_timeout": "0",
        "client_connection_check_interval": "1s",
        "tcp_keepalives_idle": "5",
        "tcp_keepalives_interval": "2",
        "tcp_keepalives_count": "3",
    }


def query(
    session: Session, name: str, statements: Mapping[str, str] = QUERIES, **parameters: object
) -> list[DictRow]:
    """Run a named statement on a session of our own and return its rows.

    Raises:
        psycopg.Error: as the server or the network says.
    """
    cursor = execute(session, statements[name], parameters)
    return cursor.fetchall() if cursor.description else []


def execute(
    session: Session, statement: str, parameters: Mapping[str, object]
) -> psycopg.Cursor[DictRow]:
    """Run a statement with named parameters, ``:name``, on a session of our own.

    Raises:
        psycopg.Error: as the server or the network says.
    """
    text = _PARAMETER.sub(r"%(\1)s", statement.replace("%", "%%")).replace("\\:", ":")
    return session.execute(text.encode(), parameters)


def connect(address: Address, command: str, *, settle: bool = True) -> Session:
    """Open an autocommit session of the engine's own.

    Parameters:
        address: where to.
        command: what it is for; it shows in ``application_name``.
        settle: whether to give it the settings of a migration session.

    Raises:
        psycopg.OperationalError: the server can't be reached or doesn't let us in.
    """
    session: Session = psycopg.connect(
        **address.keywords()
        | {"application_name": application(command), "connect_timeout": str(CONNECT_SECONDS)},  # type: ignore[arg-type]  # all of them are texts
        autocommit=True,
        row_factory=dict_row,
        keepalives=1,
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
    )
    if settle:
        wanted = migration_settings(lock_timeout=0)
        query(session, "settle", names=list(wanted), values=list(wanted.values()))
    return session
