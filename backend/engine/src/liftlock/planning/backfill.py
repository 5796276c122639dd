"""Recipe for ``op.backfill``.

::

    plain:  UPDATE t SET a = f(b) WHERE a IS NULL      ROW EXCLUSIVE; locks each updated row until
                                                       the end of the transaction
    online: 1. UPDATE of one key range, many times     ROW EXCLUSIVE; each batch takes about half of
                                                       the stall budget and commits its cursor

    crash:  The finished batches and the cursor are committed. The next run continues from the
            cursor.
"""

from __future__ import annotations

from dataclasses import replace

from liftlock.model.operation import BackfillDetails, Operation
from liftlock.model.step import Step
from liftlock.model.table import Facts
from liftlock.planning.steps import backfill_rows
from liftlock.planning.unchanged import has_key, is_small_or_new, phase_of_operation, table_of


def backfill(operation: Operation, facts: Facts) -> list[Step] | None:
    """Plan an update in batches, or in one statement where batches could miss or repeat rows.

    Without a condition, only its key distinguishes a row that has been updated from one that
    hasn't. A table without a key, and an update that changes the key or the partition of rows, take
    one statement. So does an update without a condition that couldn't be tried on an empty copy.
    """
    table = table_of(operation, facts)
    details = operation.details
    if table is None or not isinstance(details, BackfillDetails) or is_small_or_new(table, facts):
        return None
    if not details.where and not has_key(table):
        return None
    moves_rows = facts.dry_run.moves_rows if facts.dry_run else not details.where
    if moves_rows:
        return None
    step = backfill_rows(operation.relation, details.values, details.where)
    return [replace(step, phase=phase_of_operation(operation, facts))]
