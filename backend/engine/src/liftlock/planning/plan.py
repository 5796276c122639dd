"""Operations to steps: each that blocks takes its online form, where it has one."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from liftlock.model.operation import Operation
from liftlock.model.step import Phase, Step
from liftlock.model.table import Facts
from liftlock.planning import backfill, columns, constraints, indexes, tables
from liftlock.planning.default import unchanged

RECIPES: dict[str, Callable[[Operation, Facts], list[Step] | None]] = {
    "create_index": indexes.create_index,
    "drop_index": indexes.drop_index,
    "create_unique_constraint": constraints.create_unique_constraint,
    "create_primary_key": constraints.create_primary_key,
    "create_foreign_key": constraints.create_foreign_key,
    "create_check_constraint": constraints.create_check_constraint,
    "create_exclude_constraint": constraints.create_exclude_constraint,
    "alter_nullable": columns.alter_nullable,
    "alter_type": columns.alter_type,
    "add_column": columns.add_column,
    "create_type": tables.create_type,
    "drop_column": tables.drop_column,
    "drop_constraint": tables.drop_constraint,
    "drop_table": tables.drop_table,
    "backfill": backfill.backfill,
}
NEEDS_REHEARSAL = frozenset({"add_column", "alter_type", "backfill", "create_check_constraint"})
"""Operations whose effect depends on more than the catalog says; only PostgreSQL knows it."""


def plan(operation: Operation, facts: Facts) -> tuple[Step, ...]:
    """The steps for an operation, in order.

    Parameters:
        operation: what the revision asked for.
        facts: of the tables it is about.

    Raises:
        UnsafeRevision: there is no form of it that lets the traffic go on, and nobody allows it.
    """
    recipe = RECIPES.get(operation.kind)
    steps = recipe(operation, facts) if recipe else None
    return tuple(steps) if steps is not None else (unchanged(operation, facts),)


def phase_of(steps: Iterable[Step]) -> Phase:
    """The phase of a revision: *contract* when any of its steps is."""
    contract = any(step.phase is Phase.CONTRACT for step in steps)
    return Phase.CONTRACT if contract else Phase.EXPAND
