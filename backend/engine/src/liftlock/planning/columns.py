"""Recipes for ADD COLUMN.

A column without a volatile default and without constraints runs unchanged: ACCESS EXCLUSIVE, brief.
PostgreSQL stores a constant default in the catalog and doesn't touch the rows.

Volatile default::

    plain:  ADD COLUMN a uuid DEFAULT gen_random_uuid()      ACCESS EXCLUSIVE during a table rewrite
            NOT NULL

    online: 1. ADD COLUMN a uuid DEFAULT NULL                ACCESS EXCLUSIVE, brief
            2. ALTER COLUMN a SET DEFAULT gen_random_uuid()  ACCESS EXCLUSIVE, brief
            3. Backfill a = gen_random_uuid()
               WHERE a IS NULL                               ROW EXCLUSIVE, in batches
            4. SET NOT NULL (``not_null``)

Checks or a foreign key in the definition::

    plain:  ADD COLUMN a integer CHECK (a > 0)               ACCESS EXCLUSIVE during a full scan
            REFERENCES o (id)                                and, with a default, the validation of
                                                             the key; SHARE ROW EXCLUSIVE on o

    online: 1. ADD COLUMN a integer, as above
            2. Each check, and then the key, as separate steps (``constraints``)

NOT NULL without a default fails in PostgreSQL when the table has rows. A query looks for a row
first, so that the error doesn't cost a lock on the table.

Crash: the column exists, perhaps without its default, some values or some constraints. The next run
continues with the step that wasn't recorded. Rows that violate a constraint drop the column again.

SERIAL and IDENTITY columns are in ``sequences``. A stored generated column, a primary key and a
domain with a constraint have no online form.
"""

from __future__ import annotations

from dataclasses import replace

from liftlock.model.operation import ColumnDetails, Operation
from liftlock.model.step import Step, StepKind
from liftlock.model.table import Facts, Table
from liftlock.planning.alembic_code import write_call, write_check, write_execute
from liftlock.planning.constraints import add_check, add_foreign_key, check_name
from liftlock.planning.naming import automatic_name
from liftlock.planning.not_null import set_not_null
from liftlock.planning.sequences import add_identity, add_serial
from liftlock.planning.steps import (
    add_and_backfill_column,
    add_bare_column,
    drop_column_on_violation,
    find_violations,
)
from liftlock.planning.unchanged import (
    is_small_or_new,
    leave_unchanged,
    phase_of_operation,
    row_identifier,
    table_of,
)
from liftlock.planning.unsafe import refuse_table_rewrite
from liftlock.sql import quote_name


def add_column(operation: Operation, facts: Facts) -> list[Step] | None:
    """Plan ADD COLUMN as the column first, then its values, then its constraints."""
    table = table_of(operation, facts)
    column = operation.details
    if table is None or not isinstance(column, ColumnDetails) or is_small_or_new(table, facts):
        return None
    if column.optional and table.column(column.name) is not None:
        return []
    if column.key is None:
        steps = _add_without_key(operation, column, table, facts)
    else:
        steps = _add_with_key(operation, column, table, facts)
    if not steps:
        return steps
    alter = f"ALTER TABLE {operation.relation}"
    drop = f"{alter} DROP COLUMN IF EXISTS {quote_name(column.name)}"
    return drop_column_on_violation(steps, drop)


def _add_with_key(
    operation: Operation, column: ColumnDetails, table: Table, facts: Facts
) -> list[Step] | None:
    """Return the steps for a column with a foreign key, which are withheld from ADD COLUMN.

    With a default, PostgreSQL would validate the key under ACCESS EXCLUSIVE.
    """
    if column.key is None:
        return None
    alone = replace(column, special="", key=None)
    sql = f"ALTER TABLE {operation.relation} ADD COLUMN {column.written}"
    bare = replace(operation, sql=sql, details=alone)
    add = add_bare_column(operation.relation, column.written)
    steps = _add_without_key(bare, alone, table, facts) or [add]
    # An unchanged step would send the operation itself, with its foreign key.
    steps = [add if step.kind is StepKind.PLAIN else step for step in steps]
    name = automatic_name(table.name, (column.name,), "fkey", table.constraint_names)
    key_steps = add_foreign_key(operation, column.key, name, facts)
    if key_steps is None:
        return None
    return [*steps, *key_steps]


def _add_without_key(
    operation: Operation, column: ColumnDetails, table: Table, facts: Facts
) -> list[Step] | None:
    if facts.dry_run is None or facts.dry_run.rewrites:
        return _add_without_rewrite(operation, column, table, facts)
    if column.not_null and not column.default and not column.special:
        any_row = f"SELECT {row_identifier(table)} FROM {operation.relation}"
        return [find_violations(any_row), leave_unchanged(operation, facts)]
    if column.checks and column.special not in {"GENERATED", "PRIMARY KEY"}:
        # The checks are withheld: in ADD COLUMN, PostgreSQL scans the table for them under ACCESS
        # EXCLUSIVE.
        add = add_bare_column(operation.relation, column.written)
        return [add, *_add_checks(operation, column, table, facts)]
    return None


def _add_without_rewrite(
    operation: Operation, column: ColumnDetails, table: Table, facts: Facts
) -> list[Step] | None:
    """Return the steps for a column with which PostgreSQL would rewrite the table.

    Raises:
        UnsafeRevision: its values can't be filled in by batches.
    """
    obstacles = list(table.obstacles)
    type_rewrites = facts.dry_run is not None and facts.dry_run.type_rewrites
    if type_rewrites:
        obstacles.insert(0, f"{column.type}, a domain with a constraint, tested for each row")
    if not obstacles:
        steps = _add_and_fill(operation, column, table, facts)
        if steps is not None:
            return [*steps, *_add_checks(operation, column, table, facts)]
    remedy = _use_base_type if type_rewrites else _fill_in_batches
    refuse_table_rewrite(
        operation,
        facts,
        what=f"the new column {operation.table}.{column.name} makes PostgreSQL rewrite the table "
        "while reads and writes are blocked",
        remedy=remedy(operation, column),
        obstacles=obstacles,
    )
    return None


def _add_and_fill(
    operation: Operation, column: ColumnDetails, table: Table, facts: Facts
) -> list[Step] | None:
    """Return the steps that add a column and its values; None for values that PostgreSQL generates.

    The default and NOT NULL are withheld from ADD COLUMN.
    """
    phase = phase_of_operation(operation, facts)
    if column.special == "SERIAL":
        return add_serial(operation, column, table, phase)
    if column.special == "IDENTITY":
        return add_identity(operation, column, table, phase)
    if column.special or not column.default:
        return None
    steps = add_and_backfill_column(operation, column, column.default)
    if column.not_null:
        steps += set_not_null(operation.relation, column.name, phase, row_identifier(table))
    return steps


def _add_checks(
    operation: Operation, column: ColumnDetails, table: Table, facts: Facts
) -> list[Step]:
    parsed = facts.dry_run.check_columns if facts.dry_run else ()
    taken = table.constraint_names
    steps: list[Step] = []
    for number, check in enumerate(column.checks):
        columns = parsed[number] if number < len(parsed) else (column.name,)
        name = check.name or check_name(table.name, columns, taken)
        taken |= {name}
        steps += add_check(operation.relation, name, check.expression, row_identifier(table))
    return steps


def _fill_in_batches(operation: Operation, column: ColumnDetails) -> str:
    relation = operation.relation
    name = column.name
    values = f"{quote_name(name)} = {column.default or '…'}"
    where = f"{quote_name(name)} IS NULL"
    lines = [
        "Add a column that may be null, fill it in batches, then add its default and constraints:",
        f"  {_add_bare(operation, column)}",
        f"  {write_call('backfill', relation, set=values, where=where)}",
    ]
    if column.not_null:
        lines.append(f"  {write_call('alter_column', relation, name, nullable=False)}")
    return "\n".join(lines)


def _use_base_type(operation: Operation, column: ColumnDetails) -> str:
    lines = [
        f"Give it the base type of the domain {column.type}, and a constraint like the domain's:",
        f"  {_add_bare(operation, replace(column, type='…'))}",
        f"  {write_check(operation.relation, '…')}",
    ]
    return "\n".join(lines)


def _add_bare(operation: Operation, column: ColumnDetails) -> str:
    definition = f"{quote_name(column.name)} {column.type}"
    return write_execute(f"ALTER TABLE {operation.relation} ADD COLUMN {definition}")
