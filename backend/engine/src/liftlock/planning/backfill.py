"""The recipe of ``op.backfill``."""

from __future__ import annotations

from dataclasses import replace

from liftlock.model.operation import BackfillDetails, Operation
from liftlock.model.step import Step
from liftlock.model.table import Facts
from liftlock.planning.default import has_key, is_small_or_new, phase, table_of
from liftlock.planning.steps import fill


def backfill(operation: Operation, facts: Facts) -> list[Step] | None:
    """In batches, where the table is neither new nor small.

    Without a condition, a row that was updated is told from one that wasn't by its key alone; where there is none, or
    the update changes it or may not be tried, it takes one statement. So it does where rows would leave their partition.
    """
    parts, table = operation.details, table_of(operation, facts)
    if not isinstance(parts, BackfillDetails) or table is None or is_small_or_new(table, facts):
        return None
    moves = facts.dry_run.moves_rows if facts.dry_run else not parts.where
    if moves or (not parts.where and not has_key(table)):
        return None
    return [
        replace(fill(operation.relation, parts.values, parts.where), phase=phase(operation, facts))
    ]
