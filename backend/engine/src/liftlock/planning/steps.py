"""Constructors of the steps that several recipes share."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

from liftlock.model.lock import LockMode
from liftlock.model.operation import ColumnDetails, Operation
from liftlock.model.step import Pace, Step, StepKind
from liftlock.sql import quote_name

MAX_ROWS_SHOWN = 5

# The settings that determine how a value of one type is converted to another. A trigger function
# and the sessions of a parallel backfill must use those of the session that runs the revision.
CONVERSION_SETTINGS = (
    "DateStyle",
    "IntervalStyle",
    "TimeZone",
    "bytea_output",
    "extra_float_digits",
    "lc_monetary",
)


def execute_exclusively(name: str, sql: str) -> Step:
    """Return a brief statement under ACCESS EXCLUSIVE.

    Parameters:
        name: the step's name.
        sql: the statement.
    """
    return Step(name=name, sql=sql, pace=Pace.BRIEF, lock=LockMode.ACCESS_EXCLUSIVE)


def build_index(sql: str, index: str, table: str) -> Step:
    """Return a concurrent index build, under SHARE UPDATE EXCLUSIVE.

    An interrupted build leaves an invalid index of the same name. The next run drops it first.

    Parameters:
        sql: the CREATE INDEX CONCURRENTLY statement.
        index: the index as SQL text, with its schema.
        table: the table as SQL text.
    """
    return Step(
        name="build",
        sql=sql,
        pace=Pace.ONLINE,
        lock=LockMode.SHARE_UPDATE_EXCLUSIVE,
        kind=StepKind.CONCURRENT,
        repair=f"DROP INDEX CONCURRENTLY IF EXISTS {index}",
        index=index,
        tables=(table,),
    )


def find_violations(query: str, *, name: str = "look") -> Step:
    """Return a query for rows that violate a later step. Rows end the run before anything changes.

    Parameters:
        query: the query; a LIMIT is appended to it.
        name: the step's name.
    """
    return Step(
        name=name,
        sql=f"{query} LIMIT {MAX_ROWS_SHOWN}",
        pace=Pace.ONLINE,
        lock=LockMode.ACCESS_SHARE,
        kind=StepKind.LOOK,
    )


def validate(relation: str, constraint: str, *undo: str) -> Step:
    """Return the validation of a NOT VALID constraint, under SHARE UPDATE EXCLUSIVE.

    Parameters:
        relation: the table as SQL text.
        constraint: the constraint's name.
        undo: the statements to run when a row violates the constraint.
    """
    return Step(
        name="validate",
        sql=f"ALTER TABLE {relation} VALIDATE CONSTRAINT {quote_name(constraint)}",
        pace=Pace.ONLINE,
        lock=LockMode.SHARE_UPDATE_EXCLUSIVE,
        undo=undo,
    )


def analyze_column(relation: str, column: str) -> Step:
    """Return ANALYZE of one column, under SHARE UPDATE EXCLUSIVE.

    Parameters:
        relation: the table as SQL text.
        column: the column's name.
    """
    return Step(
        name="analyze",
        sql=f"ANALYZE {relation} ({quote_name(column)})",
        pace=Pace.ONLINE,
        lock=LockMode.SHARE_UPDATE_EXCLUSIVE,
    )


def backfill_rows(relation: str, values: str, where: str) -> Step:
    """Return an update of the existing rows, in batches.

    Parameters:
        relation: the table as SQL text.
        values: the SET clause.
        where: the condition of the rows that still need it.
    """
    return Step(
        name="backfill",
        sql=values,
        pace=Pace.BATCHED,
        lock=LockMode.ROW_EXCLUSIVE,
        kind=StepKind.BACKFILL,
        tables=(relation,),
        where=where,
    )


def await_snapshots() -> Step:
    """Return a wait for transactions that don't see the rows of a backfill yet.

    A transaction of REPEATABLE READ may have begun before the backfill and read the column later.
    """
    return Step(
        name="await snapshots",
        sql="-- wait for transactions that began before the end of the last step",
        pace=Pace.ONLINE,
        lock=None,
        kind=StepKind.SNAPSHOTS,
    )


def add_bare_column(relation: str, definition: str) -> Step:
    """Return ADD COLUMN, under ACCESS EXCLUSIVE; for a definition that causes no scan or rewrite.

    Parameters:
        relation: the table as SQL text.
        definition: the column's definition as SQL text.
    """
    return execute_exclusively("add", f"ALTER TABLE {relation} ADD COLUMN {definition}")


def add_and_backfill_column(
    operation: Operation, column: ColumnDetails, default: str
) -> list[Step]:
    """Return the steps that add a column with a volatile default without a table rewrite.

    1. ADD COLUMN … DEFAULT NULL: the default is withheld, because PostgreSQL would evaluate it for
       each existing row, which rewrites the table. DEFAULT NULL is written, because the column's
       domain may have a default of its own.
    2. SET DEFAULT: new rows get a value from here on, so that the backfill comes to an end.
    3. Backfill of the rows without a value.

    Parameters:
        operation: the operation.
        column: the column's details.
        default: the default, for new rows and existing ones.
    """
    relation = operation.relation
    name = quote_name(column.name)
    set_default = f"ALTER TABLE {relation} ALTER COLUMN {name} SET DEFAULT {default}"
    return [
        add_bare_column(relation, f"{name} {column.type} DEFAULT NULL"),
        execute_exclusively("default", set_default),
        backfill_rows(relation, f"{name} = {default}", f"{name} IS NULL"),
    ]


def drop_column_on_violation(steps: Sequence[Step], drop_column: str) -> list[Step]:
    """Return the steps, with the removal of the new column added to the undo statements.

    Only the online steps after ADD COLUMN can find rows that violate a constraint. A helper
    sequence isn't owned by the column yet, so that DROP COLUMN wouldn't drop it.

    Parameters:
        steps: the steps that add the column, its values and its constraints.
        drop_column: the statement that drops the column.
    """
    before_column = list(itertools.takewhile(lambda step: step.name != "add", steps))
    helpers = [step.sql.split()[2] for step in steps if step.name == "create helper"]
    drop_helpers = [f"DROP SEQUENCE IF EXISTS {helper}" for helper in helpers]
    undoable: list[Step] = []
    for step in steps[len(before_column) :]:
        if step.pace is Pace.ONLINE:
            undoable.append(replace(step, undo=(*step.undo, drop_column, *drop_helpers)))
        else:
            undoable.append(step)
    return [*before_column, *undoable]
