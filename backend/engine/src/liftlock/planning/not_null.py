"""Recipe for SET NOT NULL.

::

    plain:  ALTER TABLE t ALTER COLUMN a SET NOT NULL           ACCESS EXCLUSIVE during a full scan

    online: 1. SELECT … FROM t WHERE a IS NULL                  ACCESS SHARE
            2. ADD CONSTRAINT helper CHECK (a IS NOT NULL)
               NOT VALID                                        ACCESS EXCLUSIVE, brief
            3. VALIDATE CONSTRAINT helper                       SHARE UPDATE EXCLUSIVE, full scan
            4. ALTER COLUMN a SET NOT NULL                      ACCESS EXCLUSIVE, brief
            5. DROP CONSTRAINT helper                           ACCESS EXCLUSIVE, brief

    crash:  After 1: nothing. After 2 and 3: the helper check, which already rejects new nulls.
            After 4: the column is NOT NULL, and the helper check is still there. The next run
            continues with the step that wasn't recorded. A null that step 3 finds reverses step 2.

From PostgreSQL 12 on, SET NOT NULL skips the scan when a valid check proves that there are no
nulls:
https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-DESC-SET-DROP-NOT-NULL
"""

from __future__ import annotations

from dataclasses import replace

from liftlock.model.operation import ColumnDetails, Operation, digest
from liftlock.model.step import Phase, Step
from liftlock.model.table import Facts
from liftlock.planning.steps import execute_exclusively, find_violations, validate
from liftlock.planning.unchanged import (
    is_small_or_new,
    phase_of_operation,
    row_identifier,
    table_of,
)
from liftlock.sql import quote_name


def alter_nullable(operation: Operation, facts: Facts) -> list[Step] | None:
    """Plan SET NOT NULL; nothing remains to be done for a column that is NOT NULL already."""
    table = table_of(operation, facts)
    details = operation.details
    if table is None or table.created_by_run or not isinstance(details, ColumnDetails):
        return None
    column = table.column(details.name)
    if column is not None and column.not_null:
        return []
    if is_small_or_new(table, facts):
        return None
    phase = phase_of_operation(operation, facts)
    return set_not_null(operation.relation, details.name, phase, row_identifier(table))


def set_not_null(relation: str, column: str, phase: Phase, shown: str) -> list[Step]:
    """Return the steps that make a column NOT NULL without a scan under ACCESS EXCLUSIVE.

    Parameters:
        relation: the table as SQL text.
        column: the column's name.
        phase: the phase of the steps that reject nulls.
        shown: the select list that identifies a row with a null.
    """
    name = quote_name(column)
    # The prefix keeps the name ``t_a_not_null`` free: from PostgreSQL 18 on, SET NOT NULL creates a
    # constraint of that name.
    helper = f"liftlock_{digest(f'{relation} {column}')}"
    alter = f"ALTER TABLE {relation}"
    add = f"{alter} ADD CONSTRAINT {quote_name(helper)} CHECK ({name} IS NOT NULL) NOT VALID"
    drop_if_exists = f"{alter} DROP CONSTRAINT IF EXISTS {quote_name(helper)}"
    drop = f"{alter} DROP CONSTRAINT {quote_name(helper)}"
    return [
        # A NOT VALID check rejects each update of an old row with a null, in any column. Such rows
        # must be found before the check exists.
        find_violations(
            f"SELECT {shown} FROM {relation} WHERE {name} IS NULL", name=f"look at {column}"
        ),
        # NOT VALID withholds the scan from the statement that takes the strong lock.
        replace(execute_exclusively(f"add helper for {column}", add), phase=phase),
        replace(validate(relation, helper, drop_if_exists), name=f"validate helper for {column}"),
        replace(
            execute_exclusively(f"set {column}", f"{alter} ALTER COLUMN {name} SET NOT NULL"),
            phase=phase,
        ),
        # A statement of its own: in one ALTER TABLE, PostgreSQL drops the check before it looks for
        # a proof, and scans the table.
        execute_exclusively(f"drop helper for {column}", drop),
    ]
