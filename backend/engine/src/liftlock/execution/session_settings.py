"""Settings that a revision makes for its transaction or its session.

The engine commits between the steps of a revision. Settings that the revision made for its
transaction (``SET LOCAL``, ``SET CONSTRAINTS``) would end there, so they are sent again in each
transaction that follows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from liftlock import sql
from liftlock.execution.connection import (
    DriverParameters,
    ProjectConnection,
    Row,
    driver_of,
    is_in_autocommit,
)


class SessionSettings:
    """The settings of one attempt at a revision.

    Parameters:
        connection: the connection that they belong to.
    """

    def __init__(self, connection: ProjectConnection) -> None:
        self._connection = connection
        self._local: list[tuple[sql.Statement, DriverParameters]] = []
        self._role_of_env: str | None = None

    def note(self, statement: sql.Statement, parameters: DriverParameters = None) -> None:
        """Note a statement of the revision that changes a setting; call this before it is sent.

        Parameters:
            statement: the statement.
            parameters: its parameters, as the driver gets them; none for an operation.
        """
        if statement.is_local_setting:
            self._local.append((statement, parameters))
        if statement.sets_role and self._role_of_env is None:
            self._role_of_env = self._current_role()

    def forget_local(self) -> None:
        """Forget the settings of a transaction that the revision itself has ended."""
        self._local.clear()

    def repeat_local(self) -> None:
        """Send the transaction's settings again, in the transaction that has just begun."""
        for statement, parameters in self._local:
            if parameters:
                self._connection.send_with(statement.text, parameters)
            else:
                self._connection.send(statement.text)

    @contextlib.contextmanager
    def local_as_session(self) -> Iterator[None]:
        """Set the transaction's settings for the session, where autocommit leaves no transaction.

        Timeouts are excepted: the engine sets its own.
        """
        before: list[tuple[str, str]] = []
        for statement, _ in self._local:
            name = statement.setting
            if name and not name.endswith("_timeout") and statement.as_session_setting:
                before.append((name, self._connection.setting(name)))
                self._connection.send(statement.as_session_setting)
        try:
            yield
        finally:
            for name, value in reversed(before):
                self._connection.set(name, value)

    def ledger_rows(
        self, statement: str, parameters: Mapping[str, object] | None = None
    ) -> list[Row]:
        """Run a statement of the ledger in the role of ``env.py``, which owns the ledger.

        The revision may have taken another role by ``SET ROLE``; it has that role again afterwards.
        """
        if self._role_of_env is None or self._current_role() == self._role_of_env:
            return self._connection.rows(statement, parameters)
        role = self._current_role()
        local = not is_in_autocommit(driver_of(self._connection.connection))
        self._connection.set("role", self._role_of_env, local=local)
        found = self._connection.rows(statement, parameters)
        self._connection.set("role", role, local=local)
        return found

    def _current_role(self) -> str:
        return self._connection.setting("role")
