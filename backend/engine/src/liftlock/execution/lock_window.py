"""The time that one transaction may make others wait: the stall budget."""

from __future__ import annotations

import time

_LEAST_MILLISECONDS = 10.0
"""The shortest lock timeout: 0 would mean none at all."""


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

    @property
    def is_used_twice(self) -> bool:
        """Return whether twice the stall budget is used up."""
        return self.is_open and self.elapsed > self.budget * 2

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
