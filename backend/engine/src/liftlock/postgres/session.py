"""liftlock's own sessions, and the settings of all sessions that change the schema."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import DictRow, dict_row

from liftlock.postgres.keepalive import LIBPQ_KEYWORDS, SERVER_SETTINGS
from liftlock.postgres.queries import QUERIES
from liftlock.settings import Address

Session = psycopg.Connection[DictRow]

CONNECT_SECONDS = 3

_TEXT_SETTINGS = {
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
}
"""Settings that say how values are written as text, as psycopg reads them; a database may have
others."""

_PARAMETER = re.compile(r"(?<![:\\\w]):(\w+)")
"""A named parameter, ``:name``; not a cast, ``::name``, nor an escaped colon, ``\\:name``."""

_NAME_BYTES = 63
"""PostgreSQL's limit for ``application_name``."""


def application(command: str) -> str:
    """Return the ``application_name`` of a session that works for a command."""
    return f"liftlock {command}@{socket.gethostname()}"[:_NAME_BYTES]


def migration_settings(lock_timeout: int) -> dict[str, str]:
    """Return the settings of a session that changes the schema.

    All limits are off except the lock timeout, since the role or the database may have set some for
    the application. A backend whose client was killed continues its statement and keeps its locks,
    unless ``client_connection_check_interval`` (since PostgreSQL 14) makes it check the connection:
    https://www.postgresql.org/docs/current/runtime-config-connection.html

    Parameters:
        lock_timeout: milliseconds that a statement may wait for a lock; 0 for no limit.
    """
    return {
        "lock_timeout": f"{lock_timeout}ms",
        "statement_timeout": "0",
        "transaction_timeout": "0",
        "idle_in_transaction_session_timeout": "0",
        "idle_session_timeout": "0",
        "client_connection_check_interval": "1s",
        **SERVER_SETTINGS,
    }


def query(
    session: Session, name: str, statements: Mapping[str, str] = QUERIES, **parameters: object
) -> list[DictRow]:
    """Run a named statement and return its rows.

    Raises:
        psycopg.Error: the server or the network reports an error.
    """
    cursor = execute(session, statements[name], parameters)
    return cursor.fetchall() if cursor.description else []


def execute(
    session: Session, statement: str, parameters: Mapping[str, object]
) -> psycopg.Cursor[DictRow]:
    """Run a statement with named parameters, ``:name``.

    Raises:
        psycopg.Error: the server or the network reports an error.
    """
    return session.execute(psycopg_style(statement).encode(), parameters)


def psycopg_style(statement: str) -> str:
    r"""Return a statement with psycopg's parameters, ``%(name)s``, instead of ``:name``.

    ``:name`` is SQLAlchemy's style, since the same statements run on the project's connection. An
    escaped colon, ``\:``, becomes a colon, and a percent sign is doubled.
    """
    doubled = statement.replace("%", "%%")
    return _PARAMETER.sub(r"%(\1)s", doubled).replace("\\:", ":")


def connect(address: Address, command: str, *, settle: bool = True) -> Session:
    """Open a session in autocommit.

    Parameters:
        address: the database.
        command: what the session is for; it shows in ``application_name``.
        settle: whether to apply the settings of a session that changes the schema.

    Raises:
        psycopg.OperationalError: the server can't be reached or refuses the connection.
    """
    keywords = address.keywords() | {
        "application_name": application(command),
        "client_encoding": "UTF8",
        "connect_timeout": str(CONNECT_SECONDS),
        **LIBPQ_KEYWORDS,
    }
    session: Session = psycopg.Connection.connect(
        make_conninfo(**keywords), autocommit=True, row_factory=dict_row
    )
    if settle:
        settings = migration_settings(lock_timeout=0) | _TEXT_SETTINGS
        query(session, "settle", names=list(settings), values=list(settings.values()))
    return session
