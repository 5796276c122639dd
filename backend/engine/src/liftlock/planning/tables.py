"""Recipes that take tables, columns and constraints away.

All are brief; what can make the application wait is a second table: dropping a foreign key locks both,
reads included. So the referred table is locked first, and the wait for both counts as one.
"""

from __future__ import annotations

from dataclasses import replace

from liftlock.model.operation import ColumnDetails, ConstraintDetails, EnumDetails, Operation
from liftlock.model.step import Step
from liftlock.model.table import Constraint, Facts
from liftlock.planning.default import table_of, unchanged


def create_type(operation: Operation, facts: Facts) -> list[Step] | None:
    """Nothing, where a revision before made the same enum: Alembic remembers that, but only for as long as its process lives."""
    parts = operation.details
    return [] if isinstance(parts, EnumDetails) and parts.labels == facts.labels else None


def drop_column(operation: Operation, facts: Facts) -> list[Step] | None:
    """With the foreign keys that the column is in."""
    table, parts = table_of(operation, facts), operation.details
    if not isinstance(parts, ColumnDetails) or table is None or table.created_by_run:
        return None
    return _locking(
        operation, facts, [one for one in table.constraints if parts.name in one.columns]
    )


def drop_constraint(operation: Operation, facts: Facts) -> list[Step] | None:
    """A foreign key, most of all."""
    table, parts = table_of(operation, facts), operation.details
    if not isinstance(parts, ConstraintDetails) or table is None or table.created_by_run:
        return None
    found = table.constraint(parts.name)
    return _locking(operation, facts, [found] if found else [])


def drop_table(operation: Operation, facts: Facts) -> list[Step] | None:
    """With all its foreign keys."""
    table = table_of(operation, facts)
    return (
        None
        if table is None or table.created_by_run
        else _locking(operation, facts, list(table.constraints))
    )


def _locking(
    operation: Operation, facts: Facts, constraints: list[Constraint]
) -> list[Step] | None:
    referred = sorted({one.refers for one in constraints if one.type == "f" and one.refers})
    if not referred:
        return None
    return [
        replace(
            unchanged(operation, facts),
            tables=tuple(dict.fromkeys([*referred, operation.relation])),
        )
    ]
