"""A column whose values differ from row to row: new rows get them at once, old ones in batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from liftlock.model.lock import LockMode
from liftlock.model.operation import ColumnDetails, Operation, quote_name
from liftlock.model.step import Pace, Step, StepKind


def build_index(sql: str, relation: str, table: str) -> Step:
    """A concurrent build.

    Parameters:
        sql: the statement.
        relation: the index, as SQL text with its schema.
        table: the table it is on, as SQL text.
    """
    return Step(
        name="build",
        sql=sql,
        pace=Pace.ONLINE,
        lock=LockMode.SHARE_UPDATE_EXCLUSIVE,
        kind=StepKind.CONCURRENT,
        repair=f"DROP INDEX CONCURRENTLY IF EXISTS {relation}",
        index=relation,
        tables=(table,),
    )


SAMPLE = 5
"""Rows that are shown when they break a constraint."""


def find_violations(sql: str) -> Step:
    """A query for rows that would break what comes next."""
    return Step(
        name="look", sql=sql, pace=Pace.ONLINE, lock=LockMode.ACCESS_SHARE, kind=StepKind.LOOK
    )


def validate(relation: str, name: str, *undo: str) -> Step:
    """The proof that all rows keep a constraint; what is given takes it away again when they don't."""
    return Step(
        name="validate",
        sql=f"ALTER TABLE {relation} VALIDATE CONSTRAINT {quote_name(name)}",
        pace=Pace.ONLINE,
        lock=LockMode.SHARE_UPDATE_EXCLUSIVE,
        undo=undo,
    )


CONVERTS = (
    "DateStyle",
    "IntervalStyle",
    "TimeZone",
    "bytea_output",
    "extra_float_digits",
    "lc_monetary",
)
"""Settings by which a value of one type becomes one of another."""


def add(operation: Operation, words: str) -> Step:
    """The column, as it is written."""
    return exclusive_step("add", f"ALTER TABLE {operation.relation} ADD COLUMN {words}")


def filling(operation: Operation, parts: ColumnDetails, default: str) -> list[Step]:
    """The column without its default, then the default, then the values that are missing.

    Parameters:
        operation: the operation.
        parts: of the column.
        default: what new rows get, and old ones too.
    """
    name = quote_name(parts.name)
    return [
        add(operation, f"{name} {parts.type} DEFAULT NULL"),  # a domain may have another
        exclusive_step(
            "default", f"ALTER TABLE {operation.relation} ALTER COLUMN {name} SET DEFAULT {default}"
        ),
        fill(operation.relation, f"{name} = {default}", f"{name} IS NULL"),
    ]


def fill(relation: str, values: str, where: str) -> Step:
    """Values for the rows that are there: a SET clause, and which rows still need it."""
    return Step(
        name="backfill",
        sql=values,
        pace=Pace.BATCHED,
        lock=LockMode.ROW_EXCLUSIVE,
        kind=StepKind.BACKFILL,
        tables=(relation,),
        where=where,
    )


def taken_back(steps: Sequence[Step], undo: str) -> list[Step]:
    """Steps of a new column, where each that finds rows that break it takes back what was done.

    Parameters:
        steps: of which one adds the column; before it, nothing is to be taken back.
        undo: drops the column. A helper sequence, which belongs to no column yet, goes with it.
    """
    added = next((number for number, one in enumerate(steps) if one.name == "add"), len(steps))
    helpers = tuple(
        f"DROP SEQUENCE IF EXISTS {one.sql.split()[2]}"
        for one in steps
        if one.name == "create helper"
    )
    return [
        replace(one, undo=(*one.undo, undo, *helpers))
        if number > added and one.pace is Pace.ONLINE
        else one
        for number, one in enumerate(steps)
    ]


def exclusive_step(part: str, sql: str) -> Step:
    """A brief statement under the strongest lock."""
    return Step(name=part, sql=sql, pace=Pace.BRIEF, lock=LockMode.ACCESS_EXCLUSIVE)
