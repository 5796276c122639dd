"""A driver's connection as an observed session: queries, and the messages of the server.

Drivers: psycopg, psycopg2, asyncpg (by SQLAlchemy's adapter) and pg8000.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class DriverCursor(Protocol):
    """A cursor of a driver (DB-API 2.0)."""

    @property
    def description(self) -> Sequence[Sequence[Any]] | None:
        """The columns of the result; None if the statement returned no rows."""

    def execute(self, statement: str, /) -> object:
        """Run a statement."""

    def fetchall(self) -> Sequence[Sequence[Any]]:
        """Return the remaining rows."""

    def close(self) -> None:
        """Close the cursor."""


class DriverConnection(Protocol):
    """A driver's connection, or SQLAlchemy's proxy for it."""

    def cursor(self) -> DriverCursor:
        """Open a cursor."""

    def commit(self) -> None:
        """Commit the open transaction."""


class DriverSession:
    """The session of a driver's connection, without what SQLAlchemy adds to it.

    Parameters:
        driver: the connection.
    """

    def __init__(self, driver: DriverConnection) -> None:
        self._driver = driver
        self._received: list[str] = []
        self._raw = _raw_connection(driver)
        add_notice_handler = getattr(self._raw, "add_notice_handler", None)
        if add_notice_handler is not None:  # psycopg
            add_notice_handler(self._receive_diagnostic)
        add_log_listener = getattr(self._raw, "add_log_listener", None)
        if add_log_listener is not None:  # asyncpg
            add_log_listener(self._receive_log_message)

    def rows(self, statement: str) -> Sequence[Mapping[str, Any]]:
        """Run a query and return its rows."""
        cursor = self._driver.cursor()
        try:
            cursor.execute(statement)
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        finally:
            cursor.close()

    def messages(self) -> list[str]:
        """Return the messages of the server since the last call."""
        notices = getattr(self._raw, "notices", None)
        if notices:  # psycopg2 and pg8000
            self._received += [_text_of(notice) for notice in notices]
            notices.clear()
        received, self._received = self._received, []
        return received

    def _receive_diagnostic(self, diagnostic: _Diagnostic) -> None:
        self._received.append(diagnostic.message_primary or "")

    def _receive_log_message(self, _connection: object, message: _LogMessage) -> None:
        self._received.append(message.message)


class _Diagnostic(Protocol):
    """A message of psycopg."""

    message_primary: str | None


class _LogMessage(Protocol):
    """A message of asyncpg."""

    message: str


def _raw_connection(driver: DriverConnection) -> object:
    """Return the connection of the driver itself: in SQLAlchemy 1.4, ``connection`` has it."""
    return getattr(driver, "driver_connection", None) or getattr(driver, "connection", driver)


def _text_of(notice: str | Mapping[bytes, bytes]) -> str:
    """Return the text of a notice: psycopg2 has a line for each, pg8000 a dictionary."""
    if isinstance(notice, str):
        return notice.partition(":")[2].strip()
    return notice[b"M"].decode()
