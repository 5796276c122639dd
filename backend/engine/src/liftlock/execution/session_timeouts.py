"""Timeouts by which the server ends the session of a process that stopped responding.

A process may be frozen, or cut off from the network, while its transaction has locks, and the
application would wait for as long. So the transaction tells the server how long it may be idle, and
from PostgreSQL 17 on how long it may last. The run continues with a new session. Each loss doubles
the times, for revisions that compute for long between two statements.
https://www.postgresql.org/docs/current/runtime-config-client.html
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

from liftlock.execution.connection import ProjectConnection

_FREEZE_MILLISECONDS = 200
"""The time beyond the stall budget after which a process that sends nothing counts as stopped."""

_TRANSACTION_BUDGETS = 10
"""The number of stall budgets that a brief transaction with a strong lock may last."""

_COMPUTING_MILLISECONDS = 10_000
"""The time that a revision may compute between two statements while it holds locks on rows."""

_MOST_DOUBLINGS = 10
_TRANSACTION_TIMEOUT_MAJOR = 17
"""The first major version with ``transaction_timeout``."""


class Holds(IntEnum):
    """The locks of a transaction for which a stopped process would make others wait.

    Members:
        NOTHING: none.
        ROWS: on rows that the revision itself has changed.
        BATCH: on the rows of a batch of a backfill.
        TABLES: on tables, stronger than those of row changes.
    """

    NOTHING = 0
    ROWS = 1
    BATCH = 2
    TABLES = 3


class SessionTimeouts:
    """The timeouts of the open transaction.

    Parameters:
        connection: the project's connection.
        budget: the stall budget, in milliseconds.
        losses: returns how many sessions were lost before.
        off: the transaction is the project's own, so a lost session couldn't be replaced.
    """

    def __init__(
        self, connection: ProjectConnection, budget: int, losses: Callable[[], int], *, off: bool
    ) -> None:
        self._connection = connection
        self._budget = budget
        self._losses = losses
        self._off = off
        self._set_for = Holds.NOTHING

    def transaction_ended(self) -> None:
        """Note that the transaction ended, and its settings with it."""
        self._set_for = Holds.NOTHING

    def limit(self, holds: Holds) -> None:
        """Set the timeouts for locks that the transaction holds, or is about to take."""
        settings = self.due(holds)
        if settings:
            self._connection.set_local(**settings)

    def due(self, holds: Holds, *, brief: bool = False) -> dict[str, str]:
        """Return the settings for locks, unless this transaction has them already.

        Parameters:
            holds: the locks.
            brief: whether the whole transaction is brief, so that its duration may be limited.
        """
        if self._off or self._set_for >= holds:
            return {}
        self._set_for = holds
        factor = 2 ** min(self._losses(), _MOST_DOUBLINGS)
        idle = self._budget + _FREEZE_MILLISECONDS
        if holds is Holds.ROWS:
            idle = max(idle, _COMPUTING_MILLISECONDS)
        settings = {"idle_in_transaction_session_timeout": f"{idle * factor}ms"}
        if brief and self._has_transaction_timeout:
            settings["transaction_timeout"] = f"{self._budget * _TRANSACTION_BUDGETS * factor}ms"
        return settings

    def lift(self) -> None:
        """Let statements, and the transaction, take as long as they need."""
        settings = {"statement_timeout": "0"}
        if self._has_transaction_timeout:
            settings["transaction_timeout"] = "0"
        self._connection.set_local(**settings)

    def lift_duration(self) -> None:
        """Let the transaction last as long as it needs, if its duration is limited."""
        if self._set_for is Holds.TABLES and self._has_transaction_timeout:
            self._connection.set_local(transaction_timeout="0")

    @property
    def _has_transaction_timeout(self) -> bool:
        return self._connection.server_major >= _TRANSACTION_TIMEOUT_MAJOR
