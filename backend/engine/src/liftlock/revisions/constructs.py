"""What a DDL or DML construct means: from SQLAlchemy's objects to an ``Operation``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

from liftlock.allowance import allowed
from liftlock.model.operation import Operation, digest
from liftlock.revisions.construct_details import details_of, plain_text, referred

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
    "Backfill": "backfill",
    "Insert": "insert",
    "Update": "update",
    "Delete": "delete",
}
_CONSTRAINTS = {
    "ForeignKeyConstraint": "create_foreign_key",
    "CheckConstraint": "create_check_constraint",
    "UniqueConstraint": "create_unique_constraint",
    "PrimaryKeyConstraint": "create_primary_key",
    "ExcludeConstraint": "create_exclude_constraint",
}


_PLACE = re.compile(r" at 0x[0-9a-f]+")
"""Where an object happens to be in memory."""


def describe(
    construct: Any, dialect: Dialect, parameters: Sequence[Any] = (), line: int | None = None
) -> Operation:
    """The operation that a construct stands for.

    Parameters:
        construct: what reached the migration context's implementation: a string, a DDL element or
            an executable.
        dialect: how it is written as SQL.
        parameters: the rows that go with it.
        line: where the revision's file asks for it.
    """
    if isinstance(construct, str):
        construct = sa.text(construct)
    compiled = construct.compile(dialect=dialect)
    sql = plain_text(str(compiled), dialect).replace("\t", " ").strip()
    values = parameters or getattr(compiled, "params", None)
    kind = _kind(construct, len(parameters))
    return Operation(
        kind=kind,
        table=_table(construct),
        sql=sql,
        rows=len(parameters),
        values=digest(_PLACE.sub("", repr(values))) if values else "",
        relation=_relation(construct, dialect),
        others=_others(construct, kind, dialect),
        line=line,
        details=details_of(construct, kind, dialect),
        allowed=allowed(),
    )


def _kind(construct: Any, parameter_sets: int) -> str:
    name = type(construct).__name__
    if name == "AddConstraint":
        return _CONSTRAINTS.get(type(construct.element).__name__, "create_constraint")
    if name == "ColumnNullable":
        return "drop_not_null" if construct.nullable else "alter_nullable"
    if name == "Insert" and parameter_sets:
        return "bulk_insert"
    return _KINDS.get(name, "execute")


def _table(construct: Any) -> str | None:
    name = getattr(construct, "table_name", None)
    if isinstance(name, str):
        schema = getattr(construct, "schema", None)
        return f"{schema}.{name}" if schema else str(name)
    subject = getattr(construct, "element", None)
    table = getattr(construct, "table", None)
    for candidate in (table, getattr(subject, "table", None), subject):
        if isinstance(candidate, sa.Table | sa.sql.TableClause):
            return str(getattr(candidate, "fullname", candidate.name))
    return None


def _relation(construct: Any, dialect: Dialect) -> str:
    """The table as SQL text; empty where there is none."""
    quote = dialect.identifier_preparer
    name = getattr(construct, "table_name", None)
    if isinstance(name, str):
        schema = getattr(construct, "schema", None)
        return plain_text(
            (f"{quote.quote(schema)}." if schema else "") + quote.quote(name), dialect
        )
    subject = getattr(construct, "element", None)
    for candidate in (getattr(construct, "table", None), getattr(subject, "table", None), subject):
        if isinstance(candidate, sa.Table | sa.sql.TableClause):
            return plain_text(quote.format_table(candidate), dialect)  # type: ignore[arg-type]
    return ""


def _others(construct: Any, kind: str, dialect: Dialect) -> tuple[str, ...]:
    """The tables that a foreign key of the construct refers to, as SQL text."""
    if kind == "create_table":
        keys = [key for column in construct.element.columns for key in column.foreign_keys]
    elif kind == "create_foreign_key":
        keys = list(construct.element.elements)
    elif kind == "add_column" and getattr(construct, "inline_references", None):
        keys = list(construct.column.foreign_keys)
    else:
        return ()
    return tuple(sorted({referred(key, dialect) for key in keys}))
