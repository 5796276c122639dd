"""Columns that count: serial and identity. PostgreSQL would rewrite the table to number the rows that are there."""

from __future__ import annotations

import re
from dataclasses import replace

from liftlock.model.operation import ColumnDetails, Operation, digest, quote_name
from liftlock.model.step import Pace, Phase, Step
from liftlock.model.table import Table
from liftlock.planning.default import row_identifier
from liftlock.planning.naming import automatic
from liftlock.planning.not_null import not_null
from liftlock.planning.steps import exclusive_step, filling


def serial(operation: Operation, parts: ColumnDetails, table: Table, phase: Phase) -> list[Step]:
    """The sequence that SERIAL makes, by the same name; then as any default that differs from row to row."""
    name = automatic(table.name, (parts.name,), "seq", lambda name: name in table.relation_names)
    sequence = in_schema_of(operation.relation, name)
    owner = f"{operation.relation}.{quote_name(parts.name)}"
    create = Step(
        name="create sequence",
        sql=f"CREATE SEQUENCE {sequence} AS {parts.type}",
        pace=Pace.BRIEF,
        lock=None,
    )
    add, default, backfill = filling(operation, parts, _next(sequence))
    owned = exclusive_step("own sequence", f"ALTER SEQUENCE {sequence} OWNED BY {owner}")
    proven = (
        not_null(operation.relation, parts.name, phase, row_identifier(table))
        if parts.not_null
        else []
    )
    return [create, add, default, owned, backfill, *proven]


def identity(operation: Operation, parts: ColumnDetails, table: Table, phase: Phase) -> list[Step]:
    """Counted by a helper sequence until all rows have a value; then the identity goes on from there.

    That is one step: in between, a new row would get no value, or one that is taken.
    A column must be NOT NULL before it can become an identity:
    https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-DESC-GENERATED-IDENTITY
    """
    options = re.search(r"\((.*)\)\Z", parts.identity, re.DOTALL)
    helper = in_schema_of(operation.relation, f"liftlock_{digest(operation.sql)}")
    alter = f"ALTER TABLE {operation.relation} ALTER COLUMN {quote_name(parts.name)}"
    text = operation.relation.replace("'", "''")
    named = parts.name.replace("'", "''")
    goes_on = f"SELECT setval(pg_get_serial_sequence('{text}', '{named}'), last_value, is_called) FROM {helper}"
    return [
        Step(
            name="create helper",
            sql=f"CREATE SEQUENCE {helper} AS {parts.type} {options[1] if options else ''}".rstrip(),
            pace=Pace.BRIEF,
            lock=None,
        ),
        *filling(operation, parts, _next(helper)),
        *not_null(operation.relation, parts.name, phase, row_identifier(table)),
        replace(
            exclusive_step("identity", f"{alter} DROP DEFAULT"),
            more_sql=(f"{alter} ADD {parts.identity}", goes_on),
        ),
        Step(name="drop helper", sql=f"DROP SEQUENCE {helper}", pace=Pace.BRIEF, lock=None),
    ]


def in_schema_of(relation: str, name: str) -> str:
    """A relation of a name in the schema of another, as SQL text."""
    schema, dot, _ = relation.rpartition(".")
    return f"{schema}{dot}{quote_name(name)}"


def _next(sequence: str) -> str:
    text = sequence.replace("'", "''")
    return f"nextval('{text}'::regclass)"
