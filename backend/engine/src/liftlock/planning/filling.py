"""A column whose values differ from row to row: new rows get them at once, old ones in batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from liftlock.model.lock import LockMode
from liftlock.model.operation import ColumnParts, Operation, quoted
from liftlock.model.step import Means, Pace, Step

CONVERTS = ("DateStyle", "IntervalStyle", "TimeZone", "bytea_output", "extra_float_digits", "lc_monetary")
"""Settings by which a value of one type becomes one of another."""


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
        add(operation, f"{name} {parts.type} DEFAULT NULL"),  # a domain may have another
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


def taken_back(steps: Sequence[Step], undo: str) -> list[Step]:
    """Steps of a new column, where each that finds rows that break it takes back what was done.

    Parameters:
        steps: of which one adds the column; before it, nothing is to be taken back.
        undo: drops the column. A helper sequence, which belongs to no column yet, goes with it.
    """
    added = next((number for number, one in enumerate(steps) if one.part == "add"), len(steps))
    helpers = tuple(f"DROP SEQUENCE IF EXISTS {one.sql.split()[2]}" for one in steps if one.part == "create helper")
    return [
        replace(one, undo=(*one.undo, undo, *helpers)) if number > added and one.pace is Pace.ONLINE else one
        for number, one in enumerate(steps)
    ]


def strong(part: str, sql: str) -> Step:
    """A brief statement under the strongest lock."""
    return Step(part=part, sql=sql, pace=Pace.BRIEF, lock=LockMode.ACCESS_EXCLUSIVE)
