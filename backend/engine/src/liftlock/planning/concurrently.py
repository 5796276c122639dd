"""Builds an index while writes go on."""

from __future__ import annotations

from liftlock.model.lock import LockMode
from liftlock.model.step import Means, Pace, Step


def build(sql: str, relation: str, table: str) -> Step:
    """A concurrent build.

    Parameters:
        sql: the statement.
        relation: the index, as SQL text with its schema.
        table: the table it is on, as SQL text.
    """
    return Step(
        part="build",
        sql=sql,
        pace=Pace.ONLINE,
        lock=LockMode.SHARE_UPDATE_EXCLUSIVE,
        means=Means.CONCURRENT,
        repair=f"DROP INDEX CONCURRENTLY IF EXISTS {relation}",
        witness=relation,
        tables=(table,),
    )
