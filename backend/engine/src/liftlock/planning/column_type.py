"""Recipes for ALTER COLUMN … TYPE.

The statement is tried on an empty copy of the table. PostgreSQL shows there if it rewrites the
table or an index, and how it writes the definitions of the objects on the column.

Neither the table nor an index is rewritten, such as for varchar(50) to varchar(80)::

    plain:  ALTER COLUMN a TYPE varchar(80)              ACCESS EXCLUSIVE; brief without checks, but
                                                         during a full scan with a check on the
                                                         column

    online: 1. DROP CONSTRAINT of each check on a,
               ALTER COLUMN a TYPE varchar(80),
               ADD CONSTRAINT of each check NOT VALID    ACCESS EXCLUSIVE, brief, one transaction
            2. ANALYZE t (a)                             SHARE UPDATE EXCLUSIVE
            3. VALIDATE CONSTRAINT of each check         SHARE UPDATE EXCLUSIVE, full scan

    crash:  After step 1 the column has its type. The next run continues with the statistics, which
            the type change deletes, and with the checks, which reject new violations already.

The table or an index is rewritten, such as for integer to bigint: a replacement column (see
``column_replacement``) takes the place of the old one::

    plain:  ALTER COLUMN a TYPE bigint                   ACCESS EXCLUSIVE during a rewrite of the
                                                         table and all its indexes

    online: 1. ADD COLUMN new bigint, with triggers that
               copy a to new in each written row         ACCESS EXCLUSIVE, brief
            2. Backfill new = a                          ROW EXCLUSIVE, in batches
            3. SET NOT NULL on new (``not_null``)
            4. CREATE INDEX CONCURRENTLY, on new, of
               each index that contains a                SHARE UPDATE EXCLUSIVE
            5. ADD CONSTRAINT … NOT VALID, VALIDATE, of
               each check and foreign key                as in ``constraints``
            6. ANALYZE t (new)                           SHARE UPDATE EXCLUSIVE
            7. Wait for transactions whose snapshot is
               older than new's values: to them, new
               would be null in every row                no lock
            8. Swap: drop a, rename new and its objects  ACCESS EXCLUSIVE, brief, one transaction
               (``column_swap``)

    crash:  Before step 8 the application uses a, and the triggers keep new up to date. The next run
            continues with the step that wasn't recorded. A row that can't be converted, or that
            violates a constraint, removes new and all its objects. Step 8 is done or not done.
"""

from __future__ import annotations

from dataclasses import replace

from liftlock.model.operation import ColumnDetails, Operation, digest
from liftlock.model.replacement import DependentConstraint, ReplacementColumn
from liftlock.model.step import Step
from liftlock.model.table import Facts
from liftlock.planning.alembic_code import write_call, write_execute
from liftlock.planning.column_replacement import Replacement, comment_on, without_validation
from liftlock.planning.column_swap import swap_columns
from liftlock.planning.naming import quote_literal
from liftlock.planning.steps import analyze_column, execute_exclusively, validate
from liftlock.planning.unchanged import (
    is_small_or_new,
    leave_unchanged,
    phase_of_operation,
    table_of,
)
from liftlock.planning.unsafe import refuse_table_rewrite
from liftlock.sql import changed_type, quote_name


def alter_type(operation: Operation, facts: Facts) -> list[Step] | None:
    """Plan a type change: in place where that is brief, otherwise by a replacement column."""
    table = table_of(operation, facts)
    column = operation.details
    dry_run = facts.dry_run
    if table is None or not isinstance(column, ColumnDetails) or is_small_or_new(table, facts):
        return None
    # Even a brief type change deletes the column's statistics, and the planner would choose bad
    # plans until the next ANALYZE.
    analyze = analyze_column(operation.relation, column.name)
    in_place = [leave_unchanged(operation, facts), analyze]
    new = dry_run.replacement if dry_run else None
    if dry_run and not dry_run.rewrites and not dry_run.rebuilds:
        if new is None or not new.checks:
            return in_place
        change = _change_type_without_checks(operation, new.checks, facts)
        return [change, analyze, *_validate_checks(operation, new.checks)]
    obstacles = [*new.obstacles, *table.obstacles] if new else list(table.obstacles)
    if new is not None and not obstacles:
        return _replace_column(operation, column, new, facts)
    _refuse(operation, column, facts, obstacles)
    return in_place


def replacement_name(operation: Operation) -> str:
    """Return the name of the replacement column until the swap."""
    return f"liftlock_{digest(operation.sql)}"


def column_state(relation: str, column: str) -> str:
    """Return a query for the digest of all that a replacement column takes over from a column.

    Parameters:
        relation: the table as SQL text.
        column: the column's name.
    """
    dependents = (
        "SELECT count(*) FROM pg_catalog.pg_depend AS d"
        " WHERE d.refclassid = 'pg_catalog.pg_class'::regclass"
        " AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum"
    )
    default = (
        "SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_catalog.pg_attrdef AS d"
        " WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum"
    )
    attributes = (
        "a.attnotnull, a.attidentity, a.attacl::text, a.attstattarget, a.attoptions, a.attstorage,"
        " col_description(a.attrelid, a.attnum)"
    )
    values = f"jsonb_build_array(({dependents}), ({default}), {attributes})"
    return (
        f"SELECT md5({values}::text) AS fingerprint FROM pg_catalog.pg_attribute AS a"
        f" WHERE a.attrelid = {quote_literal(relation)}::regclass"
        f" AND a.attname = {quote_literal(column)}"
    )


def _change_type_without_checks(
    operation: Operation, checks: tuple[DependentConstraint, ...], facts: Facts
) -> Step:
    """Return the type change during which the column has no checks.

    The checks are withheld, because PostgreSQL scans the table for them under ACCESS EXCLUSIVE.
    They are added again in the same transaction, NOT VALID, so that no other session writes a row
    without them.
    """
    alter = f"ALTER TABLE {operation.relation}"
    drop_first, *more_sql = [
        f"{alter} DROP CONSTRAINT {quote_name(check.name)}" for check in checks
    ]
    more_sql.append(operation.sql)
    for check in checks:
        name = quote_name(check.name)
        definition = without_validation(check.definition)
        more_sql.append(f"{alter} ADD CONSTRAINT {name} {definition}")
        more_sql += comment_on("CONSTRAINT", f"{name} ON {operation.relation}", check.comment)
    return replace(
        execute_exclusively("alter", drop_first),
        more_sql=tuple(more_sql),
        phase=phase_of_operation(operation, facts),
    )


def _validate_checks(operation: Operation, checks: tuple[DependentConstraint, ...]) -> list[Step]:
    """Return the validation of the checks that were valid before."""
    return [
        replace(validate(operation.relation, check.name), name=f"validate {check.name}")
        for check in checks
        if check.validated
    ]


def _replace_column(
    operation: Operation, column: ColumnDetails, new: ReplacementColumn, facts: Facts
) -> list[Step]:
    replacement = Replacement(
        relation=operation.relation,
        table=facts.tables[operation.relation],
        column=column,
        name=replacement_name(operation),
        new=new,
        phase=phase_of_operation(operation, facts),
    )
    state = column_state(operation.relation, column.name)
    return [*replacement.steps(), swap_columns(replacement, state)]


def _refuse(
    operation: Operation, column: ColumnDetails, facts: Facts, obstacles: list[str]
) -> None:
    """Refuse the type change, unless it is allowed.

    Raises:
        UnsafeRevision: ``LL-TABLE-REWRITE`` isn't allowed.
    """
    relation = operation.relation
    new = f"{column.name}_new"
    new_type = changed_type(operation.sql) or "…"
    add = f"ALTER TABLE {relation} ADD COLUMN {quote_name(new)} {new_type}"
    values = f"{quote_name(new)} = {column.using or quote_name(column.name)}"
    where = f"{quote_name(new)} IS NULL"
    refuse_table_rewrite(
        operation,
        facts,
        what=f"a type change of {operation.table}.{column.name} rewrites the table or its indexes "
        "while reads and writes are blocked",
        remedy="Add a column of the new type, fill it in batches, and drop the old one in a later "
        "release:\n"
        f"  {write_execute(add)}\n"
        f"  {write_call('backfill', relation, set=values, where=where)}",
        obstacles=obstacles,
    )
