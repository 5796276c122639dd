"""A schema, as far as rules look at it; things are known by their identity, whatever they are called."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SchemaColumn:
    """A column: its table, its name, its type as SQL text, and whether it must not be null."""

    table: str
    name: str
    type: str
    not_null: bool


@dataclass(frozen=True, slots=True)
class Key:
    """A foreign key: its table, name and columns, and whether an index begins with these."""

    table: str
    name: str
    columns: tuple[str, ...]
    indexed: bool
    table_oid: int


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema.

    Parameters:
        tables: names by identity.
        columns: by the identity of the table and the number of the column.
        keys: foreign keys, by identity.
        unproven: constraints that aren't valid, and the tables they are on.
        broken: invalid indexes, and the tables they are on.
    """

    tables: dict[int, str] = field(default_factory=dict)
    columns: dict[tuple[int, int], SchemaColumn] = field(default_factory=dict)
    keys: dict[int, Key] = field(default_factory=dict)
    unproven: frozenset[tuple[str, str]] = frozenset()
    broken: frozenset[tuple[str, str]] = frozenset()
