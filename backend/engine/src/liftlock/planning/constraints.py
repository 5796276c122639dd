"""Recipes for check, foreign key, unique, primary key and exclusion constraints.

CHECK::

    plain:  ALTER TABLE t ADD CONSTRAINT c CHECK (…)         ACCESS EXCLUSIVE during a full scan

    online: 1. SELECT … FROM t WHERE NOT (…)                 ACCESS SHARE
            2. ADD CONSTRAINT c CHECK (…) NOT VALID          ACCESS EXCLUSIVE, brief
            3. VALIDATE CONSTRAINT c                         SHARE UPDATE EXCLUSIVE, full scan

FOREIGN KEY::

    plain:  ALTER TABLE t ADD CONSTRAINT c FOREIGN KEY …     SHARE ROW EXCLUSIVE on both tables
                                                             during a full scan: blocks writes

    online: 1. SELECT … orphans                              ACCESS SHARE on both
            2. LOCK TABLE parent, t                          SHARE ROW EXCLUSIVE on both
               ADD CONSTRAINT c FOREIGN KEY … NOT VALID      the locks are held already
            3. VALIDATE CONSTRAINT c                         SHARE UPDATE EXCLUSIVE on t,
                                                             ROW SHARE on the parent

Crash of either: after step 2 the constraint is NOT VALID, and checks new rows. The next run
continues with step 3. A row that violates it in step 3 drops the constraint again.

UNIQUE and PRIMARY KEY::

    plain:  ALTER TABLE t ADD CONSTRAINT c UNIQUE (a)        ACCESS EXCLUSIVE during an index build

    online: 1. PRIMARY KEY only: SET NOT NULL (``not_null``), for each column that may be null
            2. CREATE UNIQUE INDEX CONCURRENTLY c ON t (a)   SHARE UPDATE EXCLUSIVE
            3. ADD CONSTRAINT c UNIQUE USING INDEX c         ACCESS EXCLUSIVE, brief

    crash:  An interrupted build leaves an invalid index, which the next run drops and builds again.
            After step 2 there is a unique index without its constraint. Duplicates in step 2 drop
            the index, and NOT NULL where step 1 has set it.

EXCLUDE has no online form: PostgreSQL can't build its index concurrently.

https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES
"""

from __future__ import annotations

from dataclasses import replace

from liftlock.model.lock import LockMode
from liftlock.model.operation import ConstraintDetails, Operation
from liftlock.model.step import Pace, Step
from liftlock.model.table import Facts, Table
from liftlock.planning.alembic_code import write_execute, write_not_valid_key
from liftlock.planning.naming import automatic_name, in_schema_of
from liftlock.planning.not_null import set_not_null
from liftlock.planning.partitions import PartitionedIndex, add_foreign_keys
from liftlock.planning.steps import (
    build_index,
    execute_exclusively,
    find_violations,
    validate,
)
from liftlock.planning.unchanged import (
    is_small_or_new,
    phase_of_operation,
    row_identifier,
    table_of,
)
from liftlock.planning.unsafe import refuse_table_rewrite, refuse_unless_allowed
from liftlock.sql import quote_name, unqualified

_VALIDATES_KEYS_TO_PARTITIONS = 180000


def create_check_constraint(operation: Operation, facts: Facts) -> list[Step] | None:
    """Plan ADD CHECK as NOT VALID, then VALIDATE."""
    table = table_of(operation, facts)
    constraint = operation.details
    if table is None or not isinstance(constraint, ConstraintDetails):
        return None
    if constraint.not_valid or is_small_or_new(table, facts):
        return None
    columns: tuple[str, ...] = ()
    if facts.dry_run and facts.dry_run.check_columns:
        columns = facts.dry_run.check_columns[0]
    name = constraint.name or check_name(table.name, columns, table.constraint_names)
    return add_check(operation.relation, name, constraint.expression, row_identifier(table))


def check_name(table: str, columns: tuple[str, ...], taken: frozenset[str]) -> str:
    """Return the name that PostgreSQL gives a check; it contains the column of a one-column check.

    Parameters:
        table: the table's name.
        columns: the columns in the check.
        taken: the names in use.
    """
    named = columns if len(columns) == 1 else ()
    return automatic_name(table, named, "check", taken)


def add_check(relation: str, name: str, expression: str, shown: str) -> list[Step]:
    """Return the steps that add a check constraint.

    Parameters:
        relation: the table as SQL text.
        name: the constraint's name.
        expression: its condition.
        shown: the select list that identifies a row that violates it.
    """
    # NOT VALID withholds the scan from the statement that takes the strong lock.
    definition = f"ADD CONSTRAINT {quote_name(name)} CHECK ({expression}) NOT VALID"
    drop = f"ALTER TABLE {relation} DROP CONSTRAINT IF EXISTS {quote_name(name)}"
    return [
        # A NOT VALID check rejects each update of an old row that violates it, in any column. Such
        # rows must be found before the check exists.
        find_violations(f"SELECT {shown} FROM {relation} WHERE NOT ({expression})"),
        execute_exclusively("add", f"ALTER TABLE {relation} {definition}"),
        validate(relation, name, drop),
    ]


def create_foreign_key(operation: Operation, facts: Facts) -> list[Step] | None:
    """Plan ADD FOREIGN KEY as NOT VALID, then VALIDATE."""
    table = table_of(operation, facts)
    key = operation.details
    if table is None or table.created_by_run or not isinstance(key, ConstraintDetails):
        return None
    if key.not_valid:
        return None
    if is_small_or_new(table, facts) and is_small_or_new(facts.tables.get(key.refers), facts):
        return None
    name = key.name or automatic_name(table.name, key.columns, "fkey", table.constraint_names)
    return add_foreign_key(operation, key, name, facts)


def add_foreign_key(
    operation: Operation, key: ConstraintDetails, name: str, facts: Facts
) -> list[Step] | None:
    """Return the steps that add a foreign key; None to run the operation unchanged.

    Before PostgreSQL 18, VALIDATE on a key to a partitioned table leaves the constraints that it
    has for each of the partitions NOT VALID, for good (seen on 13 and 16):
    https://www.postgresql.org/docs/18/release-18.html

    Parameters:
        operation: the operation on the referencing table.
        key: the details of the key.
        name: its name.
        facts: the facts about both tables.

    Raises:
        UnsafeRevision: the key references a partitioned table, before PostgreSQL 18.
    """
    table = facts.tables[operation.relation]
    parent = facts.tables.get(key.refers)
    if parent and parent.kind == "p" and facts.server < _VALIDATES_KEYS_TO_PARTITIONS:
        _refuse_key_to_partitions(operation, key, name, facts)
        return None
    steps: list[Step] = []
    if key.refers_columns:
        steps.append(find_violations(_orphans(operation.relation, table, key, parent)))
    definition = f"ADD CONSTRAINT {quote_name(name)} {key.definition}"
    add = Step(
        name="add",
        sql=f"ALTER TABLE {operation.relation} {definition}",
        pace=Pace.BRIEF,
        lock=LockMode.SHARE_ROW_EXCLUSIVE,
        # ADD FOREIGN KEY locks its own table first. An application that writes parent rows before
        # child rows locks the tables in the other order, and the two could deadlock.
        tables=tuple(dict.fromkeys([key.refers, operation.relation])),
    )
    if table.kind == "p":
        return [*steps, *add_foreign_keys(table, key, name, add)]
    drop = f"ALTER TABLE {operation.relation} DROP CONSTRAINT IF EXISTS {quote_name(name)}"
    return [
        *steps,
        # NOT VALID withholds the scan from the statement that blocks writes to both tables.
        replace(add, sql=f"{add.sql} NOT VALID"),
        validate(operation.relation, name, drop),
    ]


def _refuse_key_to_partitions(
    operation: Operation, key: ConstraintDetails, name: str, facts: Facts
) -> None:
    parent = facts.tables[key.refers]
    code = write_not_valid_key(
        name, operation.relation, key.columns, key.refers, key.refers_columns
    )
    refuse_table_rewrite(
        operation,
        facts,
        what=f"a foreign key from {operation.table} to the partitioned table {parent.name} scans "
        f"{operation.table} while writes to both tables are blocked. PostgreSQL "
        f"{facts.server // 10000} can't validate such a key later",
        remedy="Upgrade to PostgreSQL 18, which can validate the key while writes continue.\n"
        f"Or add a key that checks new rows only, and isn't validated:\n  {code}",
    )


def _orphans(relation: str, table: Table, key: ConstraintDetails, parent: Table | None) -> str:
    """Return the query for rows without a referenced row."""
    pairs = zip(key.columns, key.refers_columns, strict=True)
    matches = " AND ".join(
        f"parent.{quote_name(other)} = child.{quote_name(own)}" for own, other in pairs
    )
    given = " AND ".join(f"child.{quote_name(column)} IS NOT NULL" for column in key.columns)
    parents = f"SELECT FROM {_own_rows(key.refers, parent)} AS parent WHERE {matches}"
    children = f"SELECT {row_identifier(table, 'child')} FROM {_own_rows(relation, table)} AS child"
    return f"{children} WHERE {given} AND NOT EXISTS ({parents})"


def _own_rows(relation: str, table: Table | None) -> str:
    """Return a table for FROM, without its inheritance children: foreign keys ignore their rows."""
    if table is None or table.kind == "p":
        return relation
    return f"ONLY {relation}"


def create_unique_constraint(operation: Operation, facts: Facts) -> list[Step] | None:
    """Plan ADD UNIQUE as a concurrent index build, then ADD CONSTRAINT … USING INDEX."""
    table = table_of(operation, facts)
    constraint = operation.details
    if table is None or not isinstance(constraint, ConstraintDetails):
        return None
    if is_small_or_new(table, facts):
        return None
    taken = table.relation_names | table.constraint_names
    name = constraint.name or automatic_name(table.name, constraint.columns, "key", taken)
    return _build_constraint(operation, replace(constraint, name=name), "UNIQUE", facts)


def create_primary_key(operation: Operation, facts: Facts) -> list[Step] | None:
    """Plan ADD PRIMARY KEY as NOT NULL, a concurrent index build, then USING INDEX.

    NOT NULL comes first: ADD PRIMARY KEY USING INDEX would scan the table for nulls under ACCESS
    EXCLUSIVE.
    """
    table = table_of(operation, facts)
    constraint = operation.details
    if table is None or not isinstance(constraint, ConstraintDetails):
        return None
    if is_small_or_new(table, facts):
        return None
    phase = phase_of_operation(operation, facts)
    columns = [table.column(name) for name in constraint.columns]
    nullable = [column.name for column in columns if column and not column.not_null]
    steps: list[Step] = []
    for name in nullable:
        steps += set_not_null(operation.relation, name, phase, row_identifier(table))
    alter = f"ALTER TABLE {operation.relation} ALTER COLUMN"
    undo = [f"{alter} {quote_name(name)} DROP NOT NULL" for name in nullable]
    taken = table.relation_names | table.constraint_names
    key = constraint.name or automatic_name(table.name, (), "pkey", taken)
    for step in _build_constraint(operation, replace(constraint, name=key), "PRIMARY KEY", facts):
        steps.append(replace(step, undo=(*step.undo, *undo)))
    return steps


def _build_constraint(
    operation: Operation, constraint: ConstraintDetails, kind: str, facts: Facts
) -> list[Step]:
    """Return the steps that build a unique index and make it a constraint.

    Parameters:
        operation: the operation.
        constraint: the constraint's details, with its name.
        kind: UNIQUE or PRIMARY KEY.
        facts: the facts about the table.
    """
    table = facts.tables[operation.relation]
    name = constraint.name or ""
    columns = ", ".join(quote_name(column) for column in constraint.columns)
    definition = f"({columns}){constraint.index}"
    if table.kind == "p":
        partitioned = PartitionedIndex(
            relation=operation.relation,
            name=name,
            unique=True,
            definition=definition,
            columns=constraint.columns,
            present=facts.dry_run.present if facts.dry_run else {},
            constraint=kind,
            details=constraint,
        )
        return list(partitioned.steps(table.partitions))
    quoted = quote_name(name)
    create = f"CREATE UNIQUE INDEX CONCURRENTLY {quoted} ON {operation.relation} {definition}"
    using = f"ADD CONSTRAINT {quoted} {kind} USING INDEX {quoted}{constraint.deferral}"
    return [
        build_index(create, in_schema_of(operation.relation, name), operation.relation),
        execute_exclusively("attach", f"ALTER TABLE {operation.relation} {using}"),
    ]


def create_exclude_constraint(operation: Operation, facts: Facts) -> list[Step] | None:
    """Refuse an exclusion constraint on a table in use."""
    if is_small_or_new(table_of(operation, facts), facts):
        return None
    copy = in_schema_of(operation.relation, f"{unqualified(operation.relation)}_new")
    definition = operation.sql.partition(" ADD ")[2]
    refuse_unless_allowed(
        "LL-EXCLUSION-CONSTRAINT",
        operation,
        facts,
        what=f"an exclusion constraint on {operation.table} builds its index while reads and "
        "writes are blocked. PostgreSQL can't build such an index concurrently",
        remedy="Create a second table with the constraint. Let the application write to both, copy "
        "the old rows, and rename the tables in a later revision:\n"
        f"  {write_execute(f'CREATE TABLE {copy} (LIKE {operation.relation} INCLUDING ALL)')}\n"
        f"  {write_execute(f'ALTER TABLE {copy} ADD {definition}')}",
    )
    return None
