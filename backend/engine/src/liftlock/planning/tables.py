"""Recipes that take tables, columns and constraints away.

All are brief; what can make the application wait is a second table: dropping a foreign key locks both,
reads included. So the referred table is locked first, and the wait for both counts as one.
"""

from __future__ import annotations

from dataclasses import replace

from liftlock.model.facts import Constraint, Facts
from liftlock.model.operation import ColumnParts, ConstraintParts, EnumParts, Operation
from liftlock.model.step import Step
from liftlock.planning.forms import plain, subject


def create_type(operation: Operation, facts: Facts) -> list[Step] | None:
    """Nothing, where a revision before made the same enum: Alembic remembers that, but only for as long as its process lives."""
    parts = operation.parts
    return [] if isinstance(parts, EnumParts) and parts.labels == facts.labels else None


def drop_column(operation: Operation, facts: Facts) -> list[Step] | None:
    """With the foreign keys that the column is in."""
    table, parts = subject(operation, facts), operation.parts
    if not isinstance(parts, ColumnParts) or table is None or table.new:
        return None
    return _locking(operation, facts, [one for one in table.constraints if parts.name in one.columns])


def drop_constraint(operation: Operation, facts: Facts) -> list[Step] | None:
    """A foreign key, most of all."""
    table, parts = subject(operation, facts), operation.parts
    if not isinstance(parts, ConstraintParts) or table is None or table.new:
        return None
    found = table.constraint(parts.name)
    return _locking(operation, facts, [found] if found else [])


def drop_table(operation: Operation, facts: Facts) -> list[Step] | None:
    """With all its foreign keys."""
    table = subject(operation, facts)
    return None if table is None or table.new else _locking(operation, facts, list(table.constraints))


def _locking(operation: Operation, facts: Facts, constraints: list[Constraint]) -> list[Step] | None:
    referred = sorted({one.refers for one in constraints if one.type == "f" and one.refers})
    if not referred:
        return None
    return [replace(plain(operation, facts), tables=tuple(dict.fromkeys([*referred, operation.relation])))]
