"""NOT NULL without a scan under a strong lock.

SET NOT NULL believes a valid check and doesn't look at the rows then (PostgreSQL 12):
https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-DESC-SET-DROP-NOT-NULL
"""

from __future__ import annotations

from liftlock.model.lock import LockMode
from liftlock.model.operation import digest, quote_name
from liftlock.model.step import Pace, Phase, Step, StepKind

_STRONG = LockMode.ACCESS_EXCLUSIVE


def not_null(relation: str, column: str, phase: Phase, sample: str) -> list[Step]:
    """Look for nulls; prove that there are none by a helper check; believe it; drop the helper.

    The helper is dropped by a statement of its own: within one ALTER TABLE the drop comes first, and
    the scan that it was to save is done after all.

    Parameters:
        relation: the table as SQL text.
        column: the column's name.
        phase: of the step that sets it.
        sample: what is shown of rows that are null.
    """
    helper = quote_name(f"liftlock_{digest(f'{relation} {column}')}")
    alter = f"ALTER TABLE {relation}"
    drop = f"{alter} DROP CONSTRAINT IF EXISTS {helper}"
    name = quote_name(column)
    return [
        Step(
            name=f"look at {column}",
            sql=f"SELECT {sample} FROM {relation} WHERE {name} IS NULL LIMIT 5",
            pace=Pace.ONLINE,
            lock=LockMode.ACCESS_SHARE,
            kind=StepKind.LOOK,
        ),
        Step(
            name=f"add helper for {column}",
            sql=f"{alter} ADD CONSTRAINT {helper} CHECK ({name} IS NOT NULL) NOT VALID",
            pace=Pace.BRIEF,
            lock=_STRONG,
            phase=phase,
        ),
        Step(
            name=f"validate helper for {column}",
            sql=f"{alter} VALIDATE CONSTRAINT {helper}",
            pace=Pace.ONLINE,
            lock=LockMode.SHARE_UPDATE_EXCLUSIVE,
            undo=(drop,),
        ),
        Step(
            name=f"set {column}",
            sql=f"{alter} ALTER COLUMN {name} SET NOT NULL",
            pace=Pace.BRIEF,
            lock=_STRONG,
            phase=phase,
        ),
        Step(
            name=f"drop helper for {column}",
            sql=f"{alter} DROP CONSTRAINT {helper}",
            pace=Pace.BRIEF,
            lock=_STRONG,
        ),
    ]
