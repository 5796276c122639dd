"""PostgreSQL's table locks, by mode."""

from __future__ import annotations

from enum import StrEnum


class LockMode(StrEnum):
    """A table lock mode, from the weakest to the strongest.

    What each conflicts with: https://www.postgresql.org/docs/current/explicit-locking.html
    """

    ACCESS_SHARE = "ACCESS SHARE"
    ROW_SHARE = "ROW SHARE"
    ROW_EXCLUSIVE = "ROW EXCLUSIVE"
    SHARE_UPDATE_EXCLUSIVE = "SHARE UPDATE EXCLUSIVE"
    SHARE = "SHARE"
    SHARE_ROW_EXCLUSIVE = "SHARE ROW EXCLUSIVE"
    EXCLUSIVE = "EXCLUSIVE"
    ACCESS_EXCLUSIVE = "ACCESS EXCLUSIVE"

    @property
    def blocks(self) -> str:
        """Which of an application's queries wait for it: nothing, writes, or reads and writes."""
        if self is LockMode.ACCESS_EXCLUSIVE:
            return "reads and writes"
        strong = (LockMode.SHARE, LockMode.SHARE_ROW_EXCLUSIVE, LockMode.EXCLUSIVE)
        return "writes" if self in strong else "nothing"
