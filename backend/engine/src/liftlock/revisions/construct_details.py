"""What an operation is made of: from SQLAlchemy's constructs to the pieces of SQL that recipes are written with."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

from liftlock.model.operation import (
    BackfillDetails,
    ColumnDetails,
    ConstraintDetails,
    Details,
    EnumDetails,
    IndexDetails,
)

_INDEX = frozenset({"create_index", "drop_index"})
_CONSTRAINT = frozenset(
    {
        "create_foreign_key",
        "create_check_constraint",
        "create_unique_constraint",
        "create_primary_key",
    }
)
_CONSTRAINT_NAME = re.compile(r'CONSTRAINT ("(?:[^"]|"")+"|\S+) ')
_COLUMN = frozenset(
    {
        "alter_nullable",
        "alter_default",
        "drop_not_null",
        "alter_type",
        "drop_column",
        "rename_column",
    }
)


def plain_text(sql: str, dialect: Dialect) -> str:
    """SQL as the server reads it: some drivers want each percent sign doubled."""
    doubled = getattr(dialect.identifier_preparer, "_double_percents", False)
    return sql.replace("%%", "%") if doubled else sql


def details_of(construct: Any, kind: str, dialect: Dialect) -> Details:
    """The parts of a construct; None for a kind that has no recipe.

    Parameters:
        construct: what reached the migration context's implementation.
        kind: its kind of operation.
        dialect: how it is written as SQL.
    """
    if kind in _INDEX:
        return _index(construct, dialect)
    if kind in _CONSTRAINT:
        return constraint(construct.element, dialect)
    if kind == "add_column":
        return _column(construct, dialect)
    return _named(construct, kind, dialect)


def _named(construct: Any, kind: str, dialect: Dialect) -> Details:
    if kind == "drop_constraint":
        return ConstraintDetails(_name(construct.element, dialect))
    if kind == "backfill":
        return BackfillDetails(construct.values, construct.where)
    quote: Any = dialect.identifier_preparer  # PostgreSQL's own, which knows of types
    if kind == "create_type" and hasattr(construct.element, "enums"):
        return EnumDetails(
            plain_text(quote.format_type(construct.element), dialect),
            tuple(construct.element.enums),
        )
    if kind in _COLUMN:
        name = construct.column_name if hasattr(construct, "column_name") else construct.column.name
        return ColumnDetails(name=str(name), using=str(getattr(construct, "using", None) or ""))
    return None


def _index(construct: Any, dialect: Dialect) -> IndexDetails:
    index, quote = construct.element, dialect.identifier_preparer
    optional = bool(
        getattr(construct, "if_not_exists", False) or getattr(construct, "if_exists", False)
    )
    name = plain_text(quote.format_index(index), dialect)
    schema = getattr(index.table, "schema", None)
    relation = f"{plain_text(quote.quote(schema), dialect)}.{name}" if schema else name
    return IndexDetails(
        name=_unquoted(name), relation=relation, unique=bool(index.unique), optional=optional
    )


def constraint(element: Any, dialect: Dialect) -> ConstraintDetails:
    """The parts of a constraint that is made."""
    compiler = dialect.ddl_compiler(dialect, None)  # type: ignore[arg-type] # as SQLAlchemy's own DDL does
    definition = _CONSTRAINT_NAME.sub(
        "", plain_text(compiler.process(element), dialect).strip(), count=1
    )
    parts = ConstraintDetails(
        _name(element, dialect), definition, not_valid=definition.endswith("NOT VALID")
    )
    if isinstance(element, sa.CheckConstraint):
        written = compiler.sql_compiler.process(
            element.sqltext, include_table=False, literal_binds=True
        )
        return replace(parts, expression=plain_text(written, dialect))
    columns = tuple(str(column.name) for column in element.columns)
    if isinstance(element, sa.ForeignKeyConstraint):
        refers, others = _target(element, dialect)
        return replace(parts, columns=columns, refers=refers, refers_columns=others)
    options = element.dialect_options["postgresql"]
    index = " NULLS NOT DISTINCT" if options.get("nulls_not_distinct") else ""
    include = options.get("include") or ()
    quoted = ", ".join(
        dialect.identifier_preparer.quote(getattr(one, "name", one)) for one in include
    )
    index = (f" INCLUDE ({quoted})" if include else "") + index
    return replace(
        parts,
        columns=columns,
        index=index,
        deferral=compiler.define_constraint_deferrability(element),
    )


def _name(element: Any, dialect: Dialect) -> str | None:
    formatted = (
        dialect.identifier_preparer.format_constraint(element) if element.name is not None else None
    )
    return _unquoted(plain_text(formatted, dialect)) if formatted else None


def referred(key: Any, dialect: Dialect) -> str:
    """The table that a foreign key's column is in, as SQL text."""
    quote = dialect.identifier_preparer
    names = key._get_colspec().split(".")[:-1]
    return plain_text(".".join(quote.quote(name) for name in names), dialect)


def _target(element: sa.ForeignKeyConstraint, dialect: Dialect) -> tuple[str, tuple[str, ...]]:
    columns = tuple(key._get_colspec().split(".")[-1] for key in element.elements)
    return referred(element.elements[0], dialect), columns


def _column(construct: Any, dialect: Dialect) -> ColumnDetails:
    column = construct.column
    compiler = dialect.ddl_compiler(dialect, None)  # type: ignore[arg-type]
    types = (
        getattr(dialect, "type_compiler_instance", None) or dialect.type_compiler
    )  # SQLAlchemy 1.4 has the latter only
    kind = plain_text(types.process(column.type, type_expression=column), dialect)
    default = compiler.get_column_default_string(column)
    identity = getattr(column, "identity", None)
    special = _special(construct, compiler.get_column_specification(column))
    checks = [one for one in column.constraints if isinstance(one, sa.CheckConstraint)]
    return ColumnDetails(
        name=str(column.name),
        type=kind,
        default=plain_text(default, dialect) if default else "",
        not_null=not column.nullable,
        checks=tuple(constraint(one, dialect) for one in checks),
        special=special,
        identity=plain_text(compiler.process(identity), dialect) if identity is not None else "",
        optional=bool(getattr(construct, "if_not_exists", False)),
        key=constraint(next(iter(column.foreign_keys)).constraint, dialect)
        if special == "REFERENCES"
        else None,
    )


def _special(construct: Any, specification: str) -> str:
    """What makes PostgreSQL itself fill a new column, or tie it to others, in the words of its definition."""
    column = construct.column
    if getattr(column, "computed", None) is not None:
        return "GENERATED"
    if getattr(construct, "inline_primary_key", None) and column.primary_key:
        return "PRIMARY KEY"
    if getattr(construct, "inline_references", None) and column.foreign_keys:
        return "REFERENCES"
    if getattr(column, "identity", None) is not None:
        return "IDENTITY"
    if re.match(r'("[^"]+"|\S+) (BIG|SMALL)?SERIAL\b', specification):
        return "SERIAL"
    return ""


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
