"""Tables as the catalog describes them, and the facts that an operation is planned with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from liftlock.model.replacement import ReplacementColumn


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table, with its type as PostgreSQL writes it."""

    name: str
    type: str
    not_null: bool


@dataclass(frozen=True, slots=True)
class Constraint:
    """A constraint of a table.

    Parameters:
        name: its name.
        type: ``pg_constraint.contype``: ``c`` check, ``f`` foreign key, ``n`` not null,
            ``p`` primary key, ``u`` unique, ``x`` exclusion.
        columns: the columns of the table that it contains.
        refers: the table that a foreign key references, as SQL text.
        validated: false for a constraint that is still NOT VALID.
    """

    name: str
    type: str
    columns: tuple[str, ...]
    refers: str
    validated: bool


@dataclass(frozen=True, slots=True)
class Index:
    """An index of a table.

    Parameters:
        name: its name.
        columns: its key columns, with an empty name for an expression.
        columns_only: true for an index without expressions and without a predicate.
        unique: true for a unique index.
        valid: false for an index that queries don't use, such as one of an interrupted build.
        immediate: false for a deferrable index, which allows duplicates until the transaction ends.
        constraint: true for an index that belongs to a constraint.
    """

    name: str
    columns: tuple[str, ...]
    columns_only: bool
    unique: bool
    valid: bool
    immediate: bool
    constraint: bool


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition of a table, at any depth.

    Parameters:
        relation: the partition as SQL text.
        name: its name, without the schema.
        parent: the table that it is a direct partition of, as SQL text.
        leaf: false for a partition that is partitioned itself.
        relation_names: the names of relations in its schema that could clash with generated ones.
        keys: the definitions of its own validated foreign keys.
    """

    relation: str
    name: str
    parent: str
    leaf: bool
    relation_names: frozenset[str]
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A table as the catalog describes it.

    Parameters:
        oid: its object identifier, which survives a rename.
        name: its name, without the schema.
        kind: ``pg_class.relkind``: ``r`` ordinary, ``p`` partitioned.
        bytes: its size on disk with its partitions and inheritance children, without indexes.
        rows: the planner's estimate; -1 for a table that was never analyzed.
        columns, constraints, indexes: the objects of the table.
        partitions: its partitions; parents come before their children.
        relation_names, constraint_names: the names in its schema that could clash with generated
            ones, that is, those with the same first letters.
        obstacles: the reasons, in words, for which an UPDATE of all rows would have other effects
            than PostgreSQL's own table rewrite: triggers, rules, row-level security, publications.
        has_children: true for a table that others inherit from.
        created_by_run: true for a table that this run created, which no other session uses yet.
        created_by_revision: true for a table that the current revision created.
    """

    oid: int
    name: str
    kind: str
    bytes: int
    rows: float
    columns: tuple[Column, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    indexes: tuple[Index, ...] = ()
    partitions: tuple[Partition, ...] = ()
    relation_names: frozenset[str] = frozenset()
    constraint_names: frozenset[str] = frozenset()
    obstacles: tuple[str, ...] = ()
    has_children: bool = False
    created_by_run: bool = False
    created_by_revision: bool = False

    def column(self, name: str) -> Column | None:
        """Return the column of this name."""
        return next((column for column in self.columns if column.name == name), None)

    def constraint(self, name: str | None) -> Constraint | None:
        """Return the constraint of this name."""
        named = (constraint for constraint in self.constraints if constraint.name == name)
        return next(named, None)

    def index(self, name: str) -> Index | None:
        """Return the index of this name."""
        return next((index for index in self.indexes if index.name == name), None)


@dataclass(frozen=True, slots=True)
class DryRun:
    """The effects of a statement on an empty copy of its table.

    Parameters:
        rewrites: the table was rewritten.
        rebuilds: an index was rebuilt.
        check_columns: the columns of each new check, in order, as PostgreSQL parsed it.
        index_columns: for an index, the names that PostgreSQL gives its columns.
        present: for an index of a partitioned table, the equal indexes that partitions already
            have, by the partition; both as SQL text.
        replacement: for a type change, the column as it is after the change.
        moves_rows: for a backfill, true when it changes the key or the partition of rows.
        type_rewrites: for a new column, true when its type alone makes PostgreSQL rewrite the table
            (a domain with a check).
    """

    rewrites: bool = False
    rebuilds: bool = False
    check_columns: tuple[tuple[str, ...], ...] = ()
    index_columns: tuple[str, ...] = ()
    present: Mapping[str, str] = field(default_factory=dict)
    replacement: ReplacementColumn | None = None
    moves_rows: bool = False
    type_rewrites: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """The knowledge about the database with which an operation is planned.

    Parameters:
        small_table_bytes: the size below which a table counts as small, so that a scan or rewrite
            of it is brief.
        tables: the existing tables, by the SQL text that the operation uses for them.
        dry_run: the effects of the statement on an empty copy; None where it couldn't be tried.
        allowed: the codes that the operator allows.
        labels: for ``create_type``, the labels of an enum of that name that already exists.
        server: ``server_version_num``.
    """

    small_table_bytes: int = 0
    tables: Mapping[str, Table] = field(default_factory=dict)
    dry_run: DryRun | None = None
    allowed: frozenset[str] = frozenset()
    labels: tuple[str, ...] | None = None
    server: int = 180000
