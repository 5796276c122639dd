"""The recipe of ``op.backfill``."""

from __future__ import annotations

from dataclasses import replace

from liftlock.model.facts import Facts
from liftlock.model.operation import BackfillParts, Operation
from liftlock.model.step import Step
from liftlock.planning.filling import fill
from liftlock.planning.forms import has_key, is_brief, phase, subject


def backfill(operation: Operation, facts: Facts) -> list[Step] | None:
    """In batches, where the table is neither new nor small.

    Without a condition, a row that was updated is told from one that wasn't by its key alone; where there is none, or
    the update changes it or may not be tried, it takes one statement. So it does where rows would leave their partition.
    """
    parts, table = operation.parts, subject(operation, facts)
    if not isinstance(parts, BackfillParts) or table is None or is_brief(table, facts):
        return None
    moves = facts.rehearsal.moves if facts.rehearsal else not parts.where
    if moves or (not parts.where and not has_key(table)):
        return None
    return [replace(fill(operation.relation, parts.values, parts.where), phase=phase(operation, facts))]
