"""The time that one transaction may make others wait: the stall budget."""

from __future__ import annotations

import time
from enum import IntEnum

_LEAST_MILLISECONDS = 10.0
"""The shortest lock timeout: 0 would mean none at all."""

_FREEZE_MILLISECONDS = 100
"""The time beyond the stall budget after which a process that sends nothing counts as stopped."""

_TRANSACTION_BUDGETS = 10
"""The number of stall budgets that a brief transaction with a strong lock may last."""
_COMPUTING_MILLISECONDS = 10_000
"""The time that a revision may compute between two statements while it holds locks on rows."""


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


class LockWindow:
    """The time since the open transaction first asked for a lock.

    Parameters:
        budget: the stall budget, in milliseconds.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._opened: float | None = None
        self._exclusive = False

    @property
    def is_open(self) -> bool:
        """Return whether the transaction has asked for a lock."""
        return self._opened is not None

    @property
    def is_exclusive(self) -> bool:
        """Return whether the transaction holds a table lock stronger than ROW EXCLUSIVE."""
        return self._exclusive

    @property
    def elapsed(self) -> float:
        """Milliseconds since the transaction first asked for a lock."""
        return 0.0 if self._opened is None else (time.monotonic() - self._opened) * 1000

    @property
    def remaining(self) -> float:
        """Milliseconds of the stall budget that are left, at least enough for a lock timeout."""
        return max(self.budget - self.elapsed, _LEAST_MILLISECONDS)

    @property
    def is_half_used(self) -> bool:
        """Return whether half of the stall budget is used up."""
        return self.is_open and self.elapsed > self.budget / 2

    def session_timeouts(self, holds: Holds, losses: int, *, brief: bool) -> dict[str, str]:
        """Return the timeouts after which the server ends a session that holds locks.

        https://www.postgresql.org/docs/current/runtime-config-client.html

        Parameters:
            holds: the locks; code of the revision may run while it holds rows.
            losses: the number of sessions that were lost before; each one doubles the timeouts.
            brief: whether a transaction with strong table locks is brief, and may have a timeout.
        """
        idle = self.budget + _FREEZE_MILLISECONDS
        if holds is Holds.ROWS:
            idle = max(idle, _COMPUTING_MILLISECONDS)
        timeouts = {"idle_in_transaction_session_timeout": f"{idle * 2**losses}ms"}
        if brief and holds is Holds.TABLES:
            total = self.budget * _TRANSACTION_BUDGETS * 2**losses
            timeouts["transaction_timeout"] = f"{total}ms"
        return timeouts

    def open(self) -> None:
        """Note that the transaction asks for a lock; later calls change nothing."""
        if self._opened is None:
            self._opened = time.monotonic()

    def note_exclusive(self) -> None:
        """Note that the transaction holds a table lock stronger than ROW EXCLUSIVE."""
        self._exclusive = True

    def close(self) -> None:
        """Note that the transaction ended, and released its locks."""
        self._opened = None
        self._exclusive = False
