"""The project's own connection, as the engine uses it.

Statements of the engine go through SQLAlchemy. Commits go to the driver, below SQLAlchemy's and
Alembic's transaction objects: these stay alive, so a revision that holds one, or a Session that
joined it, keeps working (docs/decisions/0007-commit-underneath.md).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from liftlock.postgres.queries import QUERIES

Row = dict[str, Any]
DriverParameters = Any
"""Parameters in the driver's own form: a sequence, or a mapping."""


class ProjectConnection:
    """A connection that the project's ``env.py`` opened.

    ``liftlock.execution.transaction`` commits and rolls back; nothing here does.

    Parameters:
        connection: SQLAlchemy's connection.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._internal = False
        self._in_dry_run = False

    @property
    def is_internal(self) -> bool:
        """Return whether the statement that is being sent is the engine's, not the revision's."""
        return self._internal

    @property
    def in_dry_run(self) -> bool:
        """Return whether the statements that are sent are rolled back afterwards."""
        return self._in_dry_run

    def is_same_as(self, connection: Connection) -> bool:
        """Return whether another SQLAlchemy connection uses the same session."""
        return connection.connection is self.connection.connection

    @contextlib.contextmanager
    def as_internal(self) -> Iterator[None]:
        """Mark the statements that are sent in this context as the engine's."""
        before, self._internal = self._internal, True
        try:
            yield
        finally:
            self._internal = before

    def rows(self, statement: str, parameters: Mapping[str, object] | None = None) -> list[Row]:
        """Run a statement of the engine with named parameters; return its rows."""
        with self.as_internal():
            return rows(self.connection, statement, parameters or {})

    def count(self, statement: str, parameters: Mapping[str, object]) -> int:
        """Run a statement of the engine with named parameters; return how many rows it changed."""
        with self.as_internal():
            return self.connection.execute(sa.text(statement), dict(parameters)).rowcount

    def send(self, sql: str) -> list[Row]:
        """Send a statement without parameters exactly as written; return its rows."""
        doubled = getattr(self.connection.dialect.identifier_preparer, "_double_percents", False)
        with self.as_internal():
            result = self.connection.exec_driver_sql(sql.replace("%", "%%") if doubled else sql)
            return [dict(row) for row in result.mappings()] if result.returns_rows else []

    def send_with(self, sql: str, parameters: DriverParameters) -> None:
        """Send a statement again with its parameters, both as they went to the driver before."""
        with self.as_internal():
            self.connection.exec_driver_sql(sql, parameters)

    def set_local(self, **values: str) -> None:
        """Set parameters of the server for the open transaction, by one statement."""
        calls = []
        parameters = {}
        for name, value in values.items():
            calls.append(f"pg_catalog.set_config('{name}', :{name}, true)")
            parameters[name] = value
        self.rows(f"SELECT {', '.join(calls)}", parameters)

    @property
    def server_major(self) -> int:
        """The major version of the server."""
        version = self.connection.dialect.server_version_info or (0,)
        return int(version[0])

    def set(self, name: str, value: str, *, local: bool = False) -> None:
        """Set a parameter of the server for the session, or only for the open transaction."""
        self.rows(QUERIES["set"], {"name": name, "value": value, "local": local})

    def setting(self, name: str) -> str:
        """Return the value of a parameter of the server."""
        return str(self.rows(QUERIES["setting"], {"name": name})[0]["value"])

    @contextlib.contextmanager
    def dry_run(self) -> Iterator[None]:
        """Roll back what is done in this context, and release its locks, by a savepoint."""
        self.send("SAVEPOINT liftlock")
        self._in_dry_run = True
        try:
            yield
        except BaseException:
            with contextlib.suppress(SQLAlchemyError):  # a lost session has no savepoint
                self._end_dry_run()
            raise
        else:
            self._end_dry_run()

    def _end_dry_run(self) -> None:
        self._in_dry_run = False
        self.send("ROLLBACK TO SAVEPOINT liftlock")
        self.send("RELEASE SAVEPOINT liftlock")


def rows(connection: Connection, statement: str, parameters: Mapping[str, object]) -> list[Row]:
    """Run a statement with named parameters on a SQLAlchemy connection; return its rows."""
    result = connection.execute(sa.text(statement), dict(parameters))
    return [dict(row) for row in result.mappings()] if result.returns_rows else []


def driver_of(connection: Connection) -> Any:  # noqa: ANN401 - SQLAlchemy types it as Any
    """Return the driver's connection, or the adapter that SQLAlchemy puts over an async driver."""
    fairy: Any = connection.connection
    return getattr(fairy, "dbapi_connection", None) or fairy.connection


def is_in_autocommit(driver: object) -> bool:
    """Return whether a driver's connection commits each statement.

    asyncpg's adapter has no ``autocommit``, but an isolation level of that name.
    """
    by_level = getattr(driver, "isolation_level", None) == "autocommit"
    return bool(getattr(driver, "autocommit", False)) or by_level
