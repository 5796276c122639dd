"""Tables, facts and operations for the tests of recipes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from liftlock.model.operation import (
    BackfillDetails,
    ColumnDetails,
    ConstraintDetails,
    IndexDetails,
    Operation,
)
from liftlock.model.replacement import (
    DependentConstraint,
    DependentIndex,
    ReplacementColumn,
)
from liftlock.model.step import Step
from liftlock.model.table import Column, Constraint, DryRun, Facts, Index, Partition, Table
from liftlock.planning.column_type import replacement_name
from liftlock.planning.plan import plan

SMALL_TABLE_BYTES = 1 << 20

INDEX = Index(
    "ix",
    ("a",),
    columns_only=True,
    unique=False,
    valid=True,
    immediate=True,
    constraint=False,
)
KEY_INDEX = replace(INDEX, name="t_pkey", columns=("id",), unique=True, constraint=True)
BIG = Table(
    oid=1,
    name="t",
    kind="r",
    bytes=1 << 30,
    rows=1e7,
    columns=(Column("id", "integer", not_null=True), Column("a", "integer", not_null=False)),
    constraints=(
        Constraint("t_pkey", "p", ("id",), "", validated=True),
        Constraint("t_a_fkey", "f", ("a",), "o", validated=True),
    ),
    indexes=(INDEX, KEY_INDEX),
)
SMALL = replace(BIG, bytes=100)
NEW = replace(BIG, created_by_run=True)
PARENT = replace(BIG, oid=2, name="o")
PARTITIONED = replace(
    BIG,
    kind="p",
    partitions=(
        Partition("p1", "p1", "t", leaf=True, relation_names=frozenset()),
        Partition("s.p2", "p2", "t", leaf=False, relation_names=frozenset()),
        Partition("s.p3", "p3", "s.p2", leaf=True, relation_names=frozenset({"p3_a_idx"})),
    ),
)
REWRITES = DryRun(rewrites=True)

CREATE_INDEX = Operation(
    "create_index",
    "t",
    "CREATE UNIQUE INDEX ix2 ON t (a)",
    relation="t",
    details=IndexDetails("ix2", "ix2", unique=True),
)
SET_NOT_NULL = Operation(
    "alter_nullable",
    "t",
    "ALTER TABLE t ALTER COLUMN a SET NOT NULL",
    relation="t",
    details=ColumnDetails("a"),
)
FOREIGN_KEY = ConstraintDetails(
    None, "FOREIGN KEY (a) REFERENCES o (id)", ("a",), refers="o", refers_columns=("id",)
)
ADD_FOREIGN_KEY = Operation(
    "create_foreign_key",
    "t",
    "ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES o (id)",
    relation="t",
    others=("o",),
    details=FOREIGN_KEY,
)
CHANGE_TYPE = Operation(
    "alter_type",
    "t",
    "ALTER TABLE t ALTER COLUMN a TYPE bigint",
    relation="t",
    line=7,
    details=ColumnDetails("a"),
)
REPLACEMENT_NAME = replacement_name(CHANGE_TYPE)
DEPENDENT_CHECK = DependentConstraint(
    "c", "t", "CHECK ((a > 0))", "", validated=True, comment="'positive'"
)
DEPENDENT_KEY = DependentConstraint(
    "fk",
    "t",
    f'FOREIGN KEY ("{REPLACEMENT_NAME}") REFERENCES o(id)',
    "o",
    validated=True,
    comment=None,
)
REFERENCING_KEY = DependentConstraint(
    "fk2",
    "u",
    f'FOREIGN KEY (x) REFERENCES t("{REPLACEMENT_NAME}")',
    "t",
    validated=False,
    comment=None,
)
DEPENDENT_INDEX = DependentIndex(
    "ix",
    "ix",
    "USING btree (x)",
    unique=False,
    constraint="",
    deferral="",
    comment=None,
    constraint_comment=None,
    column_only=True,
    replica_identity=False,
    clustered=False,
)
REPLACEMENT = ReplacementColumn(
    type="bigint",
    default="7",
    not_null=None,
    attributes=("SET STATISTICS 50",),
    grants=("SELECT (a) ON t TO PUBLIC",),
    comment="'it''s'",
    indexes=(DEPENDENT_INDEX,),
    checks=(DEPENDENT_CHECK,),
    keys=(),
    sequences=(),
    obstacles=(),
    fingerprint="0cc175b9c0f1b6a831c399e269772661",
)
BACKFILL = Operation(
    "backfill",
    "t",
    "UPDATE t SET a = 1 WHERE a IS NULL",
    relation="t",
    details=BackfillDetails("a = 1", "a IS NULL"),
)


def facts(table: Table | None = BIG, **changes: Any) -> Facts:
    """Return the facts about the table t.

    Parameters:
        table: the table; None for one that doesn't exist.
        changes: other fields of the facts.
    """
    tables = {"t": table} if table else {}
    given = Facts(small_table_bytes=SMALL_TABLE_BYTES, tables=tables, dry_run=DryRun())
    return replace(given, **changes)


def add_constraint(kind: str, **details: Any) -> Operation:
    """Return an operation that adds a constraint to t.

    Parameters:
        kind: the name of the operation.
        details: the details of the constraint.
    """
    constraint = ConstraintDetails(**{"name": None, **details})
    sql = f"ALTER TABLE t ADD {constraint.definition}"
    return Operation(kind, "t", sql, relation="t", details=constraint, line=7)


def add_column(name: str, definition: str, **details: Any) -> Operation:
    """Return an operation that adds a column to t.

    Parameters:
        name: the column's name.
        definition: its definition as SQL text; the first word is the type.
        details: the details of the column.
    """
    column = ColumnDetails(**{"name": name, "type": definition.split(maxsplit=1)[0], **details})
    sql = f"ALTER TABLE t ADD COLUMN {name} {definition}"
    return Operation("add_column", "t", sql, relation="t", details=column, line=7)


DEFAULT = add_column(
    "b", "uuid DEFAULT gen_random_uuid() NOT NULL", default="gen_random_uuid()", not_null=True
)


def names(steps: Iterable[Step]) -> list[str]:
    """Return the names of the steps."""
    return [step.name for step in steps]


def statements(steps: Iterable[Step]) -> list[str]:
    """Return the statements of the steps; a backfill is written as an UPDATE."""
    written: list[str] = []
    for step in steps:
        if step.where:
            written.append(f"UPDATE {step.tables[0]} SET {step.sql} WHERE {step.where}")
        else:
            written += [step.sql, *step.more_sql]
    return written


def replace_column(new: ReplacementColumn = REPLACEMENT, table: Table = BIG) -> tuple[Step, ...]:
    """Return the steps of a type change by a replacement column."""
    return plan(CHANGE_TYPE, facts(table, dry_run=DryRun(rewrites=True, replacement=new)))
