"""A database's schema, as far as the rules of ``check`` compare it.

Objects are known by their OIDs, so that a renamed object is still the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from liftlock.postgres.catalog import Execute
from liftlock.postgres.queries import CATALOG

_WIDER_TYPES = {
    "smallint": {"integer", "bigint", "numeric"},
    "integer": {"bigint", "numeric"},
    "bigint": {"numeric"},
    "real": {"double precision"},
    "timestamp without time zone": {"timestamp with time zone"},
    "timestamp with time zone": {"timestamp without time zone"},
}
"""Types that can hold all values of another. Between the types of timestamps, values depend on the
time zone; the rule LL-TIMEZONE-DEPENDENT is about that."""


def holds_all(old: str, new: str) -> bool:
    """Return whether a type is known to hold all values of another.

    Parameters:
        old: the other type as SQL text.
        new: the type as SQL text.
    """
    return new in _WIDER_TYPES.get(old, ())


@dataclass(frozen=True, slots=True)
class SchemaColumn:
    """A column.

    Parameters:
        table: its table as SQL text.
        name: its name.
        type: its type as SQL text.
        not_null: whether it is NOT NULL.
        has_default: whether it has a default, or is an identity or a generated column.
        inherited: whether it comes from a partitioned table or a parent, whose column is reported.
    """

    table: str
    name: str
    type: str
    not_null: bool
    has_default: bool = False
    inherited: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaConstraint:
    """A condition for the rows of a table.

    Parameters:
        table: the table as SQL text.
        table_oid: the table's OID.
        name: the name of the constraint, or of the index.
        columns: the columns that it is about.
    """

    table: str
    table_oid: int
    name: str
    columns: tuple[str, ...]

    @property
    def demand(self) -> tuple[object, ...]:
        """The condition, without the constraint's OID and name.

        A constraint that is created again, as with its column, has the same condition.
        """
        return self.table_oid, self.columns


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignKey(SchemaConstraint):
    """A foreign key.

    Parameters:
        indexed: whether the first columns of a valid index are those of the key.
        refers: the referred table as SQL text.
        refers_columns: the referred columns.
    """

    indexed: bool
    refers: str
    refers_columns: tuple[str, ...]

    @property
    def demand(self) -> tuple[object, ...]:
        """The condition, without the constraint's OID and name."""
        return self.table_oid, self.columns, self.refers, self.refers_columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Unique(SchemaConstraint):
    """A unique index on columns, without expressions and without a WHERE clause.

    Parameters:
        primary: whether it is the index of the primary key.
    """

    primary: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Check(SchemaConstraint):
    """A check or exclusion constraint, or a unique index with an expression or a WHERE clause."""

    @property
    def demand(self) -> tuple[object, ...]:
        """The condition; the name stands for the expression, which isn't compared."""
        return self.table_oid, self.columns, self.name


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema.

    Parameters:
        tables: the names of tables as SQL text, by OID.
        views: the names of views as SQL text.
        columns: the columns, by the table's OID and the column's number (``attnum``).
        keys: the foreign keys, by OID.
        uniques: the unique indexes on columns, by OID.
        checks: the other conditions, by OID.
        triggers: the names of triggers, each with the OID of its table.
        unproven: the constraints that aren't valid, each as its table and its name.
        broken: the invalid indexes, each as its table and its name.
    """

    tables: dict[int, str] = field(default_factory=dict)
    views: frozenset[str] = frozenset()
    columns: dict[tuple[int, int], SchemaColumn] = field(default_factory=dict)
    keys: dict[int, ForeignKey] = field(default_factory=dict)
    uniques: dict[int, Unique] = field(default_factory=dict)
    checks: dict[int, Check] = field(default_factory=dict)
    triggers: frozenset[tuple[str, int]] = frozenset()
    unproven: frozenset[tuple[str, str]] = frozenset()
    broken: frozenset[tuple[str, str]] = frozenset()


def schema(execute: Execute, version_table: str) -> Schema:
    """Read the schema of a database.

    Parameters:
        execute: runs statements on the database.
        version_table: the name of the version table, which is left out, as the ledger is.
    """
    parameters = {"version_table": version_table.rpartition(".")[2]}
    (row,) = execute(CATALOG["schema"], parameters)
    return schema_from(json.loads(row["schema"]))


def schema_from(found: Mapping[str, Any]) -> Schema:
    """Return a schema from the JSON object of the query ``schema``."""
    return Schema(
        tables=dict(found["tables"]),
        views=frozenset(found["views"]),
        columns={(oid, number): SchemaColumn(*fields) for oid, number, *fields in found["columns"]},
        keys={oid: ForeignKey(**_with_tuples(fields)) for oid, fields in found["keys"]},
        uniques={oid: Unique(**_with_tuples(fields)) for oid, fields in found["uniques"]},
        checks={oid: Check(**_with_tuples(fields)) for oid, fields in found["checks"]},
        triggers=frozenset((name, table) for name, table in found["triggers"]),
        unproven=frozenset((table, name) for table, name in found["unproven"]),
        broken=frozenset((table, name) for table, name in found["broken"]),
    )


def _with_tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Turn the lists of JSON into tuples, which can be hashed."""
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
    }
