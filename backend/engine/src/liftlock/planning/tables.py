"""Recipes that drop tables, columns and constraints, and that create enum types.

DROP of a foreign key, alone or with its table or column::

    plain:  ALTER TABLE t DROP CONSTRAINT fk           ACCESS EXCLUSIVE on t and on the referenced
                                                       table: blocks reads and writes of both
    online: 1. LOCK TABLE parent, then t               ACCESS EXCLUSIVE on both
            2. ALTER TABLE t DROP CONSTRAINT fk        the locks are held already

    crash:  Nothing is done, or all of it: both statements are in one transaction.

The statement is brief. The danger is the second lock: plain DROP takes the lock on t first, and
blocks all queries on t while it waits for the other one. In the online form the referenced table is
locked first, as an application does that writes parent rows before child rows, and the stall budget
limits the wait for both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from liftlock.model.operation import ColumnDetails, ConstraintDetails, EnumDetails, Operation
from liftlock.model.step import Step
from liftlock.model.table import Constraint, Facts
from liftlock.planning.unchanged import leave_unchanged, table_of


def create_type(operation: Operation, facts: Facts) -> list[Step] | None:
    """Skip CREATE TYPE for an enum that already exists with the same labels.

    Within one process, Alembic remembers the enums that it created, and doesn't create one for a
    second table. A resumed run is another process.
    """
    enum = operation.details
    if isinstance(enum, EnumDetails) and enum.labels == facts.labels:
        return []
    return None


def drop_column(operation: Operation, facts: Facts) -> list[Step] | None:
    """Plan DROP COLUMN; the tables that its foreign keys reference are locked first."""
    table = table_of(operation, facts)
    column = operation.details
    if table is None or table.created_by_run or not isinstance(column, ColumnDetails):
        return None
    dropped = [constraint for constraint in table.constraints if column.name in constraint.columns]
    return _lock_referenced_first(operation, facts, dropped)


def drop_constraint(operation: Operation, facts: Facts) -> list[Step] | None:
    """Plan DROP CONSTRAINT; the table that a foreign key references is locked first."""
    table = table_of(operation, facts)
    details = operation.details
    if table is None or table.created_by_run or not isinstance(details, ConstraintDetails):
        return None
    constraint = table.constraint(details.name)
    if constraint is None:
        return None
    return _lock_referenced_first(operation, facts, [constraint])


def drop_table(operation: Operation, facts: Facts) -> list[Step] | None:
    """Plan DROP TABLE; the tables that its foreign keys reference are locked first."""
    table = table_of(operation, facts)
    if table is None or table.created_by_run:
        return None
    return _lock_referenced_first(operation, facts, table.constraints)


def _lock_referenced_first(
    operation: Operation, facts: Facts, dropped: Iterable[Constraint]
) -> list[Step] | None:
    foreign_keys = [constraint for constraint in dropped if constraint.type == "f"]
    referenced = sorted({key.refers for key in foreign_keys if key.refers})
    if not referenced:
        return None
    tables = tuple(dict.fromkeys([*referenced, operation.relation]))
    return [replace(leave_unchanged(operation, facts), tables=tables)]
