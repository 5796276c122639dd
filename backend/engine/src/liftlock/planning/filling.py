"""A column whose values differ from row to row: new rows get them at once, old ones in batches."""

from __future__ import annotations

from liftlock.model.lock import LockMode
from liftlock.model.operation import ColumnParts, Operation, quoted
from liftlock.model.step import Means, Pace, Step


def add(operation: Operation, words: str) -> Step:
    """The column, as it is written."""
    return strong("add", f"ALTER TABLE {operation.relation} ADD COLUMN {words}")


def filling(operation: Operation, parts: ColumnParts, default: str) -> list[Step]:
    """The column without its default, then the default, then the values that are missing.

    Parameters:
        operation: the operation.
        parts: of the column.
        default: what new rows get, and old ones too.
    """
    name = quoted(parts.name)
    return [
        add(operation, f"{name} {parts.type}"),
        strong("default", f"ALTER TABLE {operation.relation} ALTER COLUMN {name} SET DEFAULT {default}"),
        fill(operation.relation, f"{name} = {default}", f"{name} IS NULL"),
    ]


def fill(relation: str, values: str, where: str) -> Step:
    """Values for the rows that are there: a SET clause, and which rows still need it."""
    return Step(
        part="backfill",
        sql=values,
        pace=Pace.BATCHED,
        lock=LockMode.ROW_EXCLUSIVE,
        means=Means.BACKFILL,
        tables=(relation,),
        where=where,
    )


def strong(part: str, sql: str) -> Step:
    """A brief statement under the strongest lock."""
    return Step(part=part, sql=sql, pace=Pace.BRIEF, lock=LockMode.ACCESS_EXCLUSIVE)
