"""PostgreSQL's table lock modes."""

from __future__ import annotations

from enum import StrEnum


class LockMode(StrEnum):
    """A table lock mode. The members go from the weakest to the strongest.

    The manual has the table of conflicts:
    https://www.postgresql.org/docs/current/explicit-locking.html
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
        """Return the queries that it blocks: ``nothing``, ``writes`` or ``reads and writes``."""
        if self is LockMode.ACCESS_EXCLUSIVE:
            return "reads and writes"
        if self in {LockMode.SHARE, LockMode.SHARE_ROW_EXCLUSIVE, LockMode.EXCLUSIVE}:
            return "writes"
        return "nothing"
