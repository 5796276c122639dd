"""Tests of the server's messages as the drivers give them, with connections of each form."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from types import SimpleNamespace

from liftlock.shadow.driver_session import DriverSession


class Psycopg:
    """A connection that passes messages to a handler, as psycopg does."""

    def add_notice_handler(self, handler: Callable[[object], None]) -> None:
        """Pass two messages on."""
        handler(SimpleNamespace(message_primary='rewriting table "t"'))
        handler(SimpleNamespace(message_primary=None))


class Asyncpg:
    """A connection that passes messages to a listener, as asyncpg does."""

    def add_log_listener(self, listener: Callable[[object, object], None]) -> None:
        """Pass a message on."""
        listener(self, SimpleNamespace(message='rewriting table "t"'))


def test_messages_of_psycopg() -> None:
    """By a notice handler."""
    session = DriverSession(SimpleNamespace(driver_connection=Psycopg()))
    assert session.messages() == ['rewriting table "t"', ""]
    assert session.messages() == []


def test_messages_of_asyncpg() -> None:
    """By a log listener; its adapter's attribute is that of SQLAlchemy 1.4."""
    session = DriverSession(SimpleNamespace(connection=Asyncpg()))
    assert session.messages() == ['rewriting table "t"']


def test_messages_of_psycopg2() -> None:
    """A list of lines with their severities."""
    raw = SimpleNamespace(notices=['DEBUG:  rewriting table "t"\n'])
    session = DriverSession(SimpleNamespace(driver_connection=raw))
    assert session.messages() == ['rewriting table "t"']
    assert raw.notices == []


def test_messages_of_pg8000() -> None:
    """Dictionaries of bytes."""
    raw = SimpleNamespace(notices=deque([{b"S": b"DEBUG", b"M": b'rewriting table "t"'}]))
    session = DriverSession(SimpleNamespace(driver_connection=raw))
    assert session.messages() == ['rewriting table "t"']
    assert session.messages() == []


def test_rows_are_dictionaries() -> None:
    """The cursor is closed afterwards."""
    closed = []
    cursor = SimpleNamespace(
        execute=lambda _statement: None,
        description=[("a", 23), ("b", 25)],
        fetchall=lambda: [(1, "x")],
        close=lambda: closed.append(True),
    )
    session = DriverSession(SimpleNamespace(cursor=lambda: cursor))
    assert session.rows("SELECT 1 AS a, 'x' AS b") == [{"a": 1, "b": "x"}]
    assert closed == [True]
