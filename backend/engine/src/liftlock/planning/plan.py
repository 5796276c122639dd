"""The table of recipes: an operation that would block the application becomes its online form."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from liftlock.model.operation import Operation
from liftlock.model.step import Phase, Step
from liftlock.model.table import Facts
from liftlock.planning import (
    backfill,
    column_type,
    columns,
    constraints,
    indexes,
    not_null,
    tables,
)
from liftlock.planning.unchanged import leave_unchanged

# A recipe returns the steps of the online form; an empty list where nothing remains to be done; or
# None, to run the operation unchanged.
Recipe = Callable[[Operation, Facts], list[Step] | None]

RECIPES: dict[str, Recipe] = {
    "create_index": indexes.create_index,
    "drop_index": indexes.drop_index,
    "create_unique_constraint": constraints.create_unique_constraint,
    "create_primary_key": constraints.create_primary_key,
    "create_foreign_key": constraints.create_foreign_key,
    "create_check_constraint": constraints.create_check_constraint,
    "create_exclude_constraint": constraints.create_exclude_constraint,
    "alter_nullable": not_null.alter_nullable,
    "alter_type": column_type.alter_type,
    "add_column": columns.add_column,
    "create_type": tables.create_type,
    "drop_column": tables.drop_column,
    "drop_constraint": tables.drop_constraint,
    "drop_table": tables.drop_table,
    "backfill": backfill.backfill,
}

# The catalog doesn't show what these do to a table. They are tried on an empty copy of it.
NEEDS_DRY_RUN = frozenset({"add_column", "alter_type", "backfill", "create_check_constraint"})


def plan(operation: Operation, facts: Facts) -> tuple[Step, ...]:
    """Return the steps of an operation, in order.

    Parameters:
        operation: the operation.
        facts: the facts about its tables.

    Raises:
        UnsafeRevision: the operation has no online form, and neither the revision nor the operator
            allows the blocking one.
    """
    recipe = RECIPES.get(operation.kind)
    steps = recipe(operation, facts) if recipe else None
    if steps is None:
        return (leave_unchanged(operation, facts),)
    return tuple(steps)


def phase_of(steps: Iterable[Step]) -> Phase:
    """Return the phase of a revision: *contract* when one of its steps is."""
    if any(step.phase is Phase.CONTRACT for step in steps):
        return Phase.CONTRACT
    return Phase.EXPAND
