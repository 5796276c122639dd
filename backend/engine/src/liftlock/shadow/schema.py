"""A schema, as far as rules look at it; things are known by their identity, whatever they are called."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from liftlock.postgres.catalog import Execute
from liftlock.postgres.queries import CATALOG

_WIDER = {
    "smallint": {"integer", "bigint", "numeric"},
    "integer": {"bigint", "numeric"},
    "bigint": {"numeric"},
    "real": {"double precision"},
    "timestamp without time zone": {"timestamp with time zone"},
    "timestamp with time zone": {"timestamp without time zone"},
}
"""Types that hold all of another; LL-TIMEZONE-DEPENDENT speaks of the last two."""


def holds_all(old: str, new: str) -> bool:
    """Whether a type is known to hold all values of another; their names are SQL text."""
    return new in _WIDER.get(old, ())


@dataclass(frozen=True, slots=True)
class SchemaColumn:
    """A column.

    Parameters:
        table: its table, as SQL text.
        name: its name.
        type: its type as SQL text.
        not_null: whether it must not be null.
        has_default: whether the server gives it a value.
        inherited: whether it is a partition's, or a child's, and its parent's as well: what is said of that is said once.
    """

    table: str
    name: str
    type: str
    not_null: bool
    has_default: bool = False
    inherited: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaConstraint:
    """What the rows of a table must satisfy: its table, its name, and the columns that it is about."""

    table: str
    table_oid: int
    name: str
    columns: tuple[str, ...]

    @property
    def demand(self) -> tuple[object, ...]:
        """What it demands of rows, whatever its identity: one that is made anew with its column is the same."""
        return self.table_oid, self.columns


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignKey(SchemaConstraint):
    """A foreign key: what it refers to as well, and whether an index begins with its columns."""

    indexed: bool
    refers: str
    refers_columns: tuple[str, ...]

    @property
    def demand(self) -> tuple[object, ...]:
        """What it demands of rows, whatever it is called."""
        return self.table_oid, self.columns, self.refers, self.refers_columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Unique(SchemaConstraint):
    """A unique index on columns alone, and whether it is the primary key's."""

    primary: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Check(SchemaConstraint):
    """What an expression says of rows: a check, an exclusion, a unique index on an expression or of a part of the rows."""

    @property
    def demand(self) -> tuple[object, ...]:
        """As far as it is told from others on the same columns."""
        return self.table_oid, self.columns, self.name


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema.

    Parameters:
        tables: names by identity.
        views: names of views.
        columns: by the identity of the table and the number of the column.
        keys: foreign keys, by identity.
        uniques: unique indexes, by identity.
        checks: checks, exclusions and unique indexes with expressions, by identity.
        triggers: names of triggers, each with the identity of its table.
        unproven: constraints that aren't valid, and the tables they are on.
        broken: invalid indexes, and the tables they are on.
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
    """The schema of a database, as far as rules look at it.

    Parameters:
        execute: runs statements.
        version_table: is left out.
    """
    found = json.loads(
        execute(CATALOG["schema"], {"version_table": version_table.rpartition(".")[2]})[0]["schema"]
    )
    return Schema(
        tables=dict(found["tables"]),
        views=frozenset(found["views"]),
        columns={(oid, number): SchemaColumn(*rest) for oid, number, *rest in found["columns"]},
        keys={
            oid: ForeignKey(
                **one | {name: tuple(one[name]) for name in ("columns", "refers_columns")}
            )
            for oid, one in found["keys"]
        },
        uniques={
            oid: Unique(**one | {"columns": tuple(one["columns"])}) for oid, one in found["uniques"]
        },
        checks={
            oid: Check(**one | {"columns": tuple(one["columns"])}) for oid, one in found["checks"]
        },
        triggers=frozenset((name, table) for name, table in found["triggers"]),
        unproven=frozenset((table, name) for table, name in found["unproven"]),
        broken=frozenset((table, name) for table, name in found["broken"]),
    )
