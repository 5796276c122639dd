"""The project's own connection, as the engine works on it.

Commits go to the driver, underneath SQLAlchemy's and Alembic's transaction objects: these stay alive,
so a revision that holds one, or a Session that joined it, never notices.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.engine import Connection

from liftlock.model.operation import Operation
from liftlock.model.step import Step


def rows(
    connection: Connection, statement: str, parameters: Mapping[str, object]
) -> list[dict[str, Any]]:
    """Run a named-parameter statement on a connection of the project and return its rows."""
    result = connection.execute(text(statement), dict(parameters))
    return [dict(row) for row in result.mappings()] if result.returns_rows else []


def driver_of(connection: Connection) -> Any:
    """The driver's own connection, or what its adapter gives for it."""
    fairy: Any = connection.connection
    return getattr(fairy, "dbapi_connection", None) or fairy.connection


def autocommits(driver: Any) -> bool:
    """Whether a driver runs each statement in a transaction of its own; asyncpg's adapter says so in another way."""
    return (
        bool(getattr(driver, "autocommit", False))
        or getattr(driver, "isolation_level", None) == "autocommit"
    )


_LOCAL = re.compile(r"\s*SET\s+LOCAL\s+(TIME\s+ZONE|(?!\w*_timeout\b)[\w.]+)", re.IGNORECASE)


_ROLE = "SELECT set_config('role', :role, CAST(:local AS boolean))"


_PATIENCE = "SELECT set_config('lock_timeout', :patience, false)"


class ProjectConnection:
    """A connection of the project.

    Parameters:
        connection: SQLAlchemy's.

    ``busy`` is whether what is being sent is the engine's own, and not the revision's; ``outside``, whether
    the revision is in an autocommit block; ``bound``, whether it is in a transaction to its end; ``trying``, whether
    what is sent is undone afterwards; ``operation``, what of the revision it is done for, and ``step``, the step of it;
    ``local``, what the revision set for its transaction; ``role``, the one that env.py works in, once the revision has taken another.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.busy = False
        self.bound = False
        self.trying = False
        self.local: list[str] = []
        self.role: str | None = None
        self.operation: Operation | None = None
        self.step: Step | None = None
        self.outside = False
        self._alone = False

    @contextlib.contextmanager
    def own(self) -> Iterator[None]:
        """What is sent meanwhile is the engine's own."""
        before, self.busy = self.busy, True
        try:
            yield
        finally:
            self.busy = before

    def rows(
        self, statement: str, parameters: Mapping[str, object] | None = None
    ) -> list[dict[str, Any]]:
        """Run one of the engine's statements, with named parameters."""
        with self.own():
            return rows(self.connection, statement, parameters or {})

    def of_the_ledger(
        self, statement: str, parameters: Mapping[str, object] | None = None
    ) -> list[dict[str, Any]]:
        """As ``rows``, in the role of env.py, whatever role the revision has taken: it made the ledger."""
        taken = self._role() if self.role is not None else self.role
        if taken == self.role:
            return self.rows(statement, parameters)
        local = {"local": not self._alone}
        self.rows(_ROLE, {"role": self.role, **local})
        found = self.rows(statement, parameters)
        self.rows(_ROLE, {"role": taken, **local})
        return found

    def another_role(self) -> None:
        """The revision is about to take another role."""
        if self.role is None:
            self.role = self._role()

    def _role(self) -> str:
        return str(self.rows("SELECT current_setting('role') AS role")[0]["role"])

    def count(self, statement: str, parameters: Mapping[str, object]) -> int:
        """Run one of the engine's statements, and say how many rows it changed."""
        with self.own():
            return self.connection.execute(sa.text(statement), dict(parameters)).rowcount

    def send(self, sql: str) -> list[dict[str, Any]]:
        """Run a statement just as it is written, and return its rows."""
        doubled = getattr(self.connection.dialect.identifier_preparer, "_double_percents", False)
        with self.own():
            result = self.connection.exec_driver_sql(sql.replace("%", "%%") if doubled else sql)
            return [dict(row) for row in result.mappings()] if result.returns_rows else []

    def commit(self) -> None:
        """Commit what is open."""
        self._driver.commit()
        self._settle()

    def rollback(self) -> None:
        """Roll back what is open."""
        self._driver.rollback()
        self._settle()

    def _settle(self) -> None:
        """What the revision has set for its transaction holds for the one that begins."""
        for statement in self.local:
            self.send(statement)

    @contextlib.contextmanager
    def _settled(self) -> Iterator[None]:
        """And where there is none, for the session, up to the end of the context; but for time-outs, which are the engine's."""
        before = []
        for statement in self.local:
            found = _LOCAL.match(statement)
            if found is not None:
                name = "TimeZone" if " " in found[1] else found[1]
                before.append(
                    (
                        name,
                        self.rows("SELECT current_setting(:name) AS value", {"name": name})[0][
                            "value"
                        ],
                    )
                )
                self.send(f"SET SESSION {statement[found.start(1) :]}")
        try:
            yield
        finally:
            for name, value in reversed(before):
                self.rows("SELECT set_config(:name, :value, false)", {"name": name, "value": value})

    def settings(self, **values: str) -> None:
        """Settings for the transaction that is open."""
        for name, value in values.items():
            self.rows("SELECT set_config(:name, :value, true)", {"name": name, "value": value})

    @contextlib.contextmanager
    def undone(self) -> Iterator[None]:
        """What is done meanwhile is undone, and its locks are let go."""
        self.send("SAVEPOINT liftlock")
        self.trying = True
        try:
            yield
        finally:
            self.trying = False
            self.send("ROLLBACK TO SAVEPOINT liftlock")
            self.send("RELEASE SAVEPOINT liftlock")

    @contextlib.contextmanager
    def autocommit(self) -> Iterator[None]:
        """Outside of a transaction, and patient; nothing must be open."""
        dialect, driver = self.connection.dialect, self._driver
        with self.own():
            level = self.connection.get_isolation_level()
        before = self.rows("SELECT current_setting('lock_timeout') AS patience")[0]["patience"]
        driver.commit()
        dialect.set_isolation_level(driver, "AUTOCOMMIT")
        self._alone = True
        try:
            self.rows(_PATIENCE, {"patience": "0"})
            with self._settled():
                yield
        finally:
            self._alone = False
            with contextlib.suppress(Exception):  # a lost connection has no settings
                self.rows(_PATIENCE, {"patience": before})
            with contextlib.suppress(Exception):
                dialect.set_isolation_level(driver, level)
                self._settle()

    @property
    def _driver(self) -> Any:
        return driver_of(self.connection)
