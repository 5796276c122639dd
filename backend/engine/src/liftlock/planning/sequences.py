"""Recipes for new SERIAL and IDENTITY columns.

SERIAL::

    plain:  ALTER TABLE t ADD COLUMN n SERIAL NOT NULL       ACCESS EXCLUSIVE during a table rewrite

    online: 1. CREATE SEQUENCE t_n_seq                       no lock on the table
            2. ADD COLUMN n integer DEFAULT NULL             ACCESS EXCLUSIVE, brief
            3. ALTER COLUMN n SET DEFAULT nextval(t_n_seq)   ACCESS EXCLUSIVE, brief
            4. ALTER SEQUENCE t_n_seq OWNED BY t.n           brief
            5. Backfill n = nextval(t_n_seq)                 ROW EXCLUSIVE, in batches
            6. SET NOT NULL (``not_null``)

IDENTITY::

    plain:  ALTER TABLE t ADD COLUMN n integer
            GENERATED ALWAYS AS IDENTITY                     ACCESS EXCLUSIVE during a table rewrite

    online: 1. CREATE SEQUENCE helper                        no lock on the table
            2. ADD COLUMN n integer DEFAULT NULL             ACCESS EXCLUSIVE, brief
            3. ALTER COLUMN n SET DEFAULT nextval(helper)    ACCESS EXCLUSIVE, brief
            4. Backfill n = nextval(helper)                  ROW EXCLUSIVE, in batches
            5. SET NOT NULL (``not_null``)
            6. ALTER COLUMN n DROP DEFAULT,
               ADD GENERATED ALWAYS AS IDENTITY, setval()    ACCESS EXCLUSIVE, brief
            7. DROP SEQUENCE helper                          no lock on the table

Crash: the finished steps stay, and the next run continues with the one that wasn't recorded. Rows
that are inserted from step 3 on have a number. Only an error in the proof of NOT NULL drops the
column and the helper sequence again.
"""

from __future__ import annotations

from dataclasses import replace

from liftlock.model.operation import ColumnDetails, Operation, digest
from liftlock.model.step import Pace, Phase, Step
from liftlock.model.table import Table
from liftlock.planning.naming import automatic_name, in_schema_of, quote_literal
from liftlock.planning.not_null import set_not_null
from liftlock.planning.steps import add_and_backfill_column, execute_exclusively
from liftlock.planning.unchanged import row_identifier
from liftlock.sql import identity_options, quote_name


def add_serial(
    operation: Operation, column: ColumnDetails, table: Table, phase: Phase
) -> list[Step]:
    """Return the steps that add a SERIAL column.

    The type SERIAL is withheld: its default is volatile and rewrites the table. The sequence has
    the name that SERIAL gives it.

    Parameters:
        operation: the operation.
        column: the column's details.
        table: the table.
        phase: the phase of the steps that reject nulls.
    """
    relation = operation.relation
    name = automatic_name(table.name, (column.name,), "seq", table.relation_names)
    sequence = in_schema_of(relation, name)
    owner = f"{relation}.{quote_name(column.name)}"
    create = _without_table("create sequence", f"CREATE SEQUENCE {sequence} AS {column.type}")
    own = execute_exclusively("own sequence", f"ALTER SEQUENCE {sequence} OWNED BY {owner}")
    add, set_default, backfill = add_and_backfill_column(operation, column, _nextval(sequence))
    steps = [create, add, set_default, own, backfill]
    if column.not_null:
        steps += set_not_null(relation, column.name, phase, row_identifier(table))
    return steps


def add_identity(
    operation: Operation, column: ColumnDetails, table: Table, phase: Phase
) -> list[Step]:
    """Return the steps that add an IDENTITY column.

    GENERATED … AS IDENTITY is withheld from ADD COLUMN, because PostgreSQL would rewrite the table.
    It also requires a column that is NOT NULL:
    https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-DESC-GENERATED-IDENTITY
    So a helper sequence numbers the rows until all have a value.

    Parameters:
        operation: the operation.
        column: the column's details.
        table: the table.
        phase: the phase of the steps that reject nulls.
    """
    relation = operation.relation
    helper = in_schema_of(relation, f"liftlock_{digest(operation.sql)}")
    options = identity_options(column.identity)
    create = f"CREATE SEQUENCE {helper} AS {column.type}"
    if options:
        create += f" {options}"
    return [
        _without_table("create helper", create.rstrip()),
        *add_and_backfill_column(operation, column, _nextval(helper)),
        *set_not_null(relation, column.name, phase, row_identifier(table)),
        _become_identity(relation, column, helper),
        _without_table("drop helper", f"DROP SEQUENCE {helper}"),
    ]


def _become_identity(relation: str, column: ColumnDetails, helper: str) -> Step:
    """Return the step that replaces the default by the identity.

    The statements are one step: between them, a new row would have no number, or a duplicate one.
    """
    alter = f"ALTER TABLE {relation} ALTER COLUMN {quote_name(column.name)}"
    owner = f"{quote_literal(relation)}, {quote_literal(column.name)}"
    sequence = f"pg_get_serial_sequence({owner})"
    continue_numbers = f"SELECT setval({sequence}, last_value, is_called) FROM {helper}"
    return replace(
        execute_exclusively("identity", f"{alter} DROP DEFAULT"),
        more_sql=(f"{alter} ADD {column.identity}", continue_numbers),
    )


def _without_table(name: str, sql: str) -> Step:
    """Return a brief statement that locks no table in use."""
    return Step(name=name, sql=sql, pace=Pace.BRIEF, lock=None)


def _nextval(sequence: str) -> str:
    return f"nextval({quote_literal(sequence)}::regclass)"
