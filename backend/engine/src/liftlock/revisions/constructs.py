"""Descriptions of constructs: from an object of SQLAlchemy or Alembic to an ``Operation``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

from liftlock.allowance import allowed
from liftlock.model.operation import Operation, digest
from liftlock.revisions.construct_details import (
    Construct,
    details_of,
    plain_text,
    referred_table,
)
from liftlock.revisions.op_backfill import Backfill

_KINDS = {
    "CreateTable": "create_table",
    "DropTable": "drop_table",
    "CreateIndex": "create_index",
    "DropIndex": "drop_index",
    "AddColumn": "add_column",
    "DropColumn": "drop_column",
    "ColumnType": "alter_type",
    "PostgresqlColumnType": "alter_type",
    "ColumnName": "rename_column",
    "ColumnDefault": "alter_default",
    "ComputedColumnDefault": "alter_computed",
    "IdentityColumnDefault": "alter_identity",
    "PostgresqlColumnIdentity": "alter_identity",
    "RenameTable": "rename_table",
    "DropConstraint": "drop_constraint",
    "SetTableComment": "comment",
    "DropTableComment": "comment",
    "SetColumnComment": "comment",
    "DropColumnComment": "comment",
    "ColumnComment": "comment",
    "CreateEnumType": "create_type",
    "DropEnumType": "drop_type",
    "CreateDomainType": "create_type",
    "DropDomainType": "drop_type",
    "CreateSequence": "create_sequence",
    "DropSequence": "drop_sequence",
    "Insert": "insert",
    "Update": "update",
    "Delete": "delete",
}
"""Kinds of operations by the name of the class; not all supported versions have all classes."""
_CONSTRAINT_KINDS = {
    "ForeignKeyConstraint": "create_foreign_key",
    "CheckConstraint": "create_check_constraint",
    "UniqueConstraint": "create_unique_constraint",
    "PrimaryKeyConstraint": "create_primary_key",
    "ExcludeConstraint": "create_exclude_constraint",
}
_MEMORY_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
"""The end of a Python object's default ``repr``, which differs in each process."""

Parameters = Sequence[Any]
"""Sets of parameters of a statement, with values of any type."""


class _TableName(NamedTuple):
    """A table's schema, where the project writes one, and its name; both without quotes."""

    schema: str | None
    name: str


def describe(
    construct: Construct, dialect: Dialect, parameters: Parameters = (), line: int | None = None
) -> Operation:
    """Return the operation that a construct stands for.

    Parameters:
        construct: a string, a DDL element or an executable, as it reached the migration context's
            implementation.
        dialect: the dialect that writes it as SQL.
        parameters: the sets of parameters that belong to it.
        line: the line of the revision's file that asks for it.
    """
    if isinstance(construct, str):
        construct = sa.text(construct)
    compiled = construct.compile(dialect=dialect)
    values = parameters or getattr(compiled, "params", None)
    kind = _kind(construct, len(parameters))
    table = _table_name(construct)
    return Operation(
        kind=kind,
        table=_as_written(table) if table else None,
        sql=plain_text(str(compiled), dialect).replace("\t", " ").strip(),
        rows=len(parameters),
        values=digest(_MEMORY_ADDRESS.sub("", repr(values))) if values else "",
        relation=_as_sql(table, dialect) if table else "",
        others=_referred_tables(construct, kind, dialect),
        line=line,
        details=details_of(construct, kind, dialect),
        allowed=allowed(),
    )


def _kind(construct: Construct, parameter_sets: int) -> str:
    if isinstance(construct, Backfill):
        return "backfill"
    name = type(construct).__name__
    if name == "AddConstraint":
        return _CONSTRAINT_KINDS.get(type(construct.element).__name__, "create_constraint")
    if name == "ColumnNullable":
        return "drop_not_null" if construct.nullable else "alter_nullable"
    if name == "Insert" and parameter_sets:
        return "bulk_insert"
    return _KINDS.get(name, "execute")


def _table_name(construct: Construct) -> _TableName | None:
    """Return the table that a construct creates, changes or drops; None if there is none."""
    name = getattr(construct, "table_name", None)
    if isinstance(name, str):
        return _TableName(getattr(construct, "schema", None), name)
    element = getattr(construct, "element", None)
    table = getattr(construct, "table", None)
    for candidate in (table, getattr(element, "table", None), element):
        if isinstance(candidate, sa.Table | sa.sql.TableClause):
            return _TableName(candidate.schema, candidate.name)
    return None


def _as_written(table: _TableName) -> str:
    return f"{table.schema}.{table.name}" if table.schema else str(table.name)


def _as_sql(table: _TableName, dialect: Dialect) -> str:
    quote = dialect.identifier_preparer.quote
    schema = f"{quote(table.schema)}." if table.schema else ""
    return plain_text(schema + quote(table.name), dialect)


def _referred_tables(construct: Construct, kind: str, dialect: Dialect) -> tuple[str, ...]:
    """Return the tables that the foreign keys of a construct refer to, as SQL text."""
    if kind == "create_table":
        keys = [key for column in construct.element.columns for key in column.foreign_keys]
    elif kind == "create_foreign_key":
        keys = list(construct.element.elements)
    elif kind == "add_column" and getattr(construct, "inline_references", None):
        keys = list(construct.column.foreign_keys)
    else:
        return ()
    return tuple(sorted({referred_table(key, dialect) for key in keys}))
