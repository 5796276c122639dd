"""The recipe of ``op.backfill``."""

from __future__ import annotations

from liftlock.model.facts import Facts
from liftlock.model.lock import LockMode
from liftlock.model.operation import BackfillParts, Operation
from liftlock.model.step import Means, Pace, Step
from liftlock.planning.forms import has_key, is_brief, phase, subject


def backfill(operation: Operation, facts: Facts) -> list[Step] | None:
    """In batches, where the table is neither new nor small.

    Without a condition, a row that was updated is told from one that wasn't by its key alone; where there
    is none, it takes one statement.
    """
    parts, table = operation.parts, subject(operation, facts)
    if not isinstance(parts, BackfillParts) or table is None or is_brief(table, facts):
        return None
    if not parts.where and not has_key(table):
        return None
    return [
        Step(
            part="backfill",
            sql=parts.values,
            pace=Pace.BATCHED,
            lock=LockMode.ROW_EXCLUSIVE,
            phase=phase(operation, facts),
            means=Means.BACKFILL,
            tables=(operation.relation,),
            where=parts.where,
        )
    ]
