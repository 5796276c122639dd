"""Details of operations: the parts of a construct that the recipes of the planner need, as SQL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol, cast

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.compiler import DDLCompiler

from liftlock.model.operation import (
    BackfillDetails,
    ColumnDetails,
    ConstraintDetails,
    Details,
    EnumDetails,
    IndexDetails,
)
from liftlock.revisions.patches import doubles_percent_signs
from liftlock.sql import constraint_definition, is_serial, unqualified

Construct = Any
"""A DDL element or an executable of SQLAlchemy or Alembic.

The attributes that are read here have no common base class, and in part no annotations.
"""


class _TypePreparer(Protocol):
    """The part of PostgreSQL's own identifier preparer that SQLAlchemy doesn't annotate."""

    def format_type(self, type_: object) -> str:
        """Return the name of a type as SQL text."""


def plain_text(sql: str, dialect: Dialect) -> str:
    """Return compiled SQL as the server gets it: for some drivers, percent signs are doubled."""
    if doubles_percent_signs(dialect.identifier_preparer):
        return sql.replace("%%", "%")
    return sql


def details_of(construct: Construct, kind: str, dialect: Dialect) -> Details:
    """Return the details of a construct; None for a kind that has no recipe.

    Parameters:
        construct: the construct, as it reached the migration context's implementation.
        kind: its kind of operation.
        dialect: the dialect that writes it as SQL.
    """
    read = _READERS.get(kind)
    return read(construct, dialect) if read is not None else None


def referred_table(key: sa.ForeignKey, dialect: Dialect) -> str:
    """Return the table that a foreign key's column is in, as SQL text."""
    schema_and_table = key.target_fullname.split(".")[:-1]
    quote = dialect.identifier_preparer.quote
    return plain_text(".".join(quote(name) for name in schema_and_table), dialect)


def _index(construct: Construct, dialect: Dialect) -> IndexDetails:
    index: sa.Index = construct.element
    preparer = dialect.identifier_preparer
    formatted = plain_text(preparer.format_index(index), dialect)
    schema = getattr(index.table, "schema", None)
    relation = formatted
    if schema:
        relation = f"{plain_text(preparer.quote(schema), dialect)}.{formatted}"
    return IndexDetails(
        name=unqualified(formatted),
        relation=relation,
        unique=bool(index.unique),
        optional=_says_if_exists(construct),
    )


def _says_if_exists(construct: Construct) -> bool:
    """Return whether a statement says IF EXISTS or IF NOT EXISTS; old versions have neither."""
    if_not_exists = getattr(construct, "if_not_exists", False)
    return bool(if_not_exists or getattr(construct, "if_exists", False))


def _added_constraint(construct: Construct, dialect: Dialect) -> ConstraintDetails:
    return _constraint(construct.element, dialect)


def _dropped_constraint(construct: Construct, dialect: Dialect) -> ConstraintDetails:
    return ConstraintDetails(_constraint_name(construct.element, dialect))


def _constraint(element: Construct, dialect: Dialect) -> ConstraintDetails:
    """Return the details of a constraint that is added."""
    compiler = _ddl_compiler(dialect)
    compiled = plain_text(compiler.process(element), dialect).strip()
    definition = constraint_definition(compiled)
    details = ConstraintDetails(
        _constraint_name(element, dialect),
        definition,
        not_valid=definition.endswith("NOT VALID"),
    )
    if isinstance(element, sa.CheckConstraint):
        expression = compiler.sql_compiler.process(
            element.sqltext, include_table=False, literal_binds=True
        )
        return replace(details, expression=plain_text(expression, dialect))
    columns = tuple(str(column.name) for column in element.columns)
    if isinstance(element, sa.ForeignKeyConstraint):
        return replace(
            details,
            columns=columns,
            refers=referred_table(element.elements[0], dialect),
            refers_columns=tuple(_referred_column(key) for key in element.elements),
        )
    return replace(
        details,
        columns=columns,
        index=_index_clauses(element, dialect),
        deferral=compiler.define_constraint_deferrability(element),
    )


def _constraint_name(element: Construct, dialect: Dialect) -> str | None:
    """Return the name that a constraint gets; None leaves it to PostgreSQL."""
    if element.name is None:
        return None
    formatted = dialect.identifier_preparer.format_constraint(element)
    return unqualified(plain_text(formatted, dialect)) if formatted else None


def _referred_column(key: sa.ForeignKey) -> str:
    return key.target_fullname.split(".")[-1]


def _index_clauses(element: Construct, dialect: Dialect) -> str:
    """Return the clauses after the columns in the index of a unique constraint."""
    options = element.dialect_options["postgresql"]
    clauses = ""
    included = options.get("include") or ()
    if included:
        names = (getattr(column, "name", column) for column in included)
        quoted = ", ".join(dialect.identifier_preparer.quote(name) for name in names)
        clauses += f" INCLUDE ({plain_text(quoted, dialect)})"
    if options.get("nulls_not_distinct"):
        clauses += " NULLS NOT DISTINCT"
    return clauses


def _backfill(construct: Construct, _dialect: Dialect) -> BackfillDetails:
    return BackfillDetails(construct.values, construct.where)


def _enum(construct: Construct, dialect: Dialect) -> EnumDetails | None:
    """Return the details of an enum type; None for a domain, which has no recipe."""
    element = construct.element
    if not hasattr(element, "enums"):
        return None
    preparer = cast("_TypePreparer", dialect.identifier_preparer)
    name = plain_text(preparer.format_type(element), dialect)
    return EnumDetails(name, tuple(element.enums))


def _changed_column(construct: Construct, dialect: Dialect) -> ColumnDetails:
    """Return the details of a column that is altered, renamed or dropped."""
    name = getattr(construct, "column_name", None)
    if name is None:
        name = construct.column.name
    using = str(getattr(construct, "using", None) or "")
    return ColumnDetails(name=str(name), using=plain_text(using, dialect))


def _added_column(construct: Construct, dialect: Dialect) -> ColumnDetails:
    column: sa.Column[Any] = construct.column
    compiler = _ddl_compiler(dialect)
    default = compiler.get_column_default_string(column)
    special = _special(construct, compiler.get_column_specification(column))
    checks = [check for check in column.constraints if isinstance(check, sa.CheckConstraint)]
    details = ColumnDetails(
        name=str(column.name),
        type=_type(column, dialect),
        default=plain_text(default, dialect) if default else "",
        not_null=not column.nullable,
        checks=tuple(_constraint(check, dialect) for check in checks),
        special=special,
        optional=_says_if_exists(construct),
    )
    if column.identity is not None:
        identity = plain_text(compiler.process(column.identity), dialect)
        details = replace(details, identity=identity)
    if special == "REFERENCES":
        key = next(iter(column.foreign_keys))
        details = replace(details, key=_constraint(key.constraint, dialect))
    return details


def _type(column: sa.Column[Any], dialect: Dialect) -> str:
    """Return a column's type as SQL text."""
    # SQLAlchemy 1.4 has the second name only
    compiler = getattr(dialect, "type_compiler_instance", None) or dialect.type_compiler
    return plain_text(compiler.process(column.type, type_expression=column), dialect)


def _special(construct: Construct, specification: str) -> str:
    """Return the word for a column that PostgreSQL fills itself, or ties to other columns.

    Parameters:
        construct: ADD COLUMN.
        specification: the column's name and definition.

    Returns:
        ``ColumnDetails.special``; empty for an ordinary column.
    """
    column = construct.column
    if column.computed is not None:
        return "GENERATED"
    if getattr(construct, "inline_primary_key", None) and column.primary_key:
        return "PRIMARY KEY"
    if getattr(construct, "inline_references", None) and column.foreign_keys:
        return "REFERENCES"
    if column.identity is not None:
        return "IDENTITY"
    return "SERIAL" if is_serial(specification) else ""


def _ddl_compiler(dialect: Dialect) -> DDLCompiler:
    """Return a compiler for parts of statements, made without a statement as SQLAlchemy does it."""
    make_compiler: Callable[..., DDLCompiler] = dialect.ddl_compiler
    return make_compiler(dialect, None)


_READERS: dict[str, Callable[[Construct, Dialect], Details]] = {
    "add_column": _added_column,
    "alter_default": _changed_column,
    "alter_nullable": _changed_column,
    "alter_type": _changed_column,
    "backfill": _backfill,
    "create_check_constraint": _added_constraint,
    "create_foreign_key": _added_constraint,
    "create_index": _index,
    "create_primary_key": _added_constraint,
    "create_type": _enum,
    "create_unique_constraint": _added_constraint,
    "drop_column": _changed_column,
    "drop_constraint": _dropped_constraint,
    "drop_index": _index,
    "drop_not_null": _changed_column,
    "rename_column": _changed_column,
}
