"""Looks for rows that break what comes next, and proofs that none does."""

from __future__ import annotations

from liftlock.model.lock import LockMode
from liftlock.model.operation import quoted
from liftlock.model.step import Means, Pace, Step

SAMPLE = 5
"""Rows that are shown when they break a constraint."""


def look(sql: str) -> Step:
    """A query for rows that would break what comes next."""
    return Step(part="look", sql=sql, pace=Pace.ONLINE, lock=LockMode.ACCESS_SHARE, means=Means.LOOK)


def validate(relation: str, name: str, *undo: str) -> Step:
    """The proof that all rows keep a constraint; what is given takes it away again when they don't."""
    return Step(
        part="validate",
        sql=f"ALTER TABLE {relation} VALIDATE CONSTRAINT {quoted(name)}",
        pace=Pace.ONLINE,
        lock=LockMode.SHARE_UPDATE_EXCLUSIVE,
        undo=undo,
    )
