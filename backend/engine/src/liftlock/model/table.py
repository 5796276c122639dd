"""What the catalog says of the tables that an operation is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from liftlock.model.replacement import ReplacementColumn


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its type as PostgreSQL writes it, and whether it must not be null."""

    name: str
    type: str
    not_null: bool


@dataclass(frozen=True, slots=True)
class Constraint:
    """A constraint of a table.

    Parameters:
        name: its name.
        type: ``c`` check, ``f`` foreign key, ``n`` not null, ``p`` primary key, ``u`` unique, ``x`` exclusion.
        columns: the columns in it.
        refers: for a foreign key, the other table, as SQL text.
        validated: whether all rows are known to keep it.
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
        columns: its columns; an empty name stands for an expression.
        columns_only: whether it has neither expressions nor a predicate.
        unique: whether it forbids duplicates.
        valid: whether queries may use it.
        immediate: whether it forbids them at once, and not at the end of a transaction.
        constraint: whether a constraint owns it.
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
    """A partition of a table, at whatever depth.

    Parameters:
        relation: itself, as SQL text.
        name: its name, without the schema.
        parent: the table right above it, as SQL text.
        leaf: whether it holds rows, and isn't partitioned itself.
        relation_names: names that are taken in its schema.
        keys: the definitions of its own foreign keys, those that are proven.
    """

    relation: str
    name: str
    parent: str
    leaf: bool
    relation_names: frozenset[str]
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A table as the catalog has it.

    Parameters:
        oid: its identity, whatever it is called.
        name: its name, without the schema.
        kind: ``r`` ordinary, ``p`` partitioned.
        bytes: its size on disk, without indexes, with its partitions and the tables that inherit from it.
        rows: the planner's estimate; -1 when it was never analysed.
        columns, constraints, indexes: what stands on it.
        partitions: its partitions, each after the one above it.
        relation_names, constraint_names: names that are taken in its schema and begin like its own.
        obstacles: what makes an update of all rows another thing than PostgreSQL's own rewrite of the table, for people.
        has_children: whether other tables inherit from it.
        created_by_run: whether this run made it, so that nobody else uses it yet.
        created_by_revision: whether this very revision made it.
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
        """The column of a name."""
        return next((one for one in self.columns if one.name == name), None)

    def constraint(self, name: str | None) -> Constraint | None:
        """The constraint of a name."""
        return next((one for one in self.constraints if one.name == name), None)

    def index(self, name: str) -> Index | None:
        """The index of a name."""
        return next((one for one in self.indexes if one.name == name), None)


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a statement did to an empty copy of its table.

    Parameters:
        rewrites: whether the table was written anew.
        rebuilds: whether an index was.
        check_columns: the columns that PostgreSQL found in each new check, in order.
        index_columns: for an index, how PostgreSQL names its columns.
        present: for an index of a partitioned table, those that partitions have already, by the partition; both as SQL text.
        replacement: for a type change, what it made of the column.
        moves_rows: for a backfill, whether it gives rows another key, or another partition.
        type_rewrites: for a new column, whether its type alone makes the table be written anew: a domain with a check.
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
    """What is known when an operation is planned.

    Parameters:
        small_table_bytes: bytes up to which a table is small: what scans or rewrites it is brief.
        tables: by their SQL text in the operation; one that isn't there is missing.
        dry_run: what the statement does; None where it couldn't be rehearsed.
        allowed: codes of what the operator allows.
        labels: of the enum that the operation is to make, where it is there already.
        server: its version, as ``server_version_num`` has it.
    """

    small_table_bytes: int = 0
    tables: Mapping[str, Table] = field(default_factory=dict)
    dry_run: DryRun | None = None
    allowed: frozenset[str] = frozenset()
    labels: tuple[str, ...] | None = None
    server: int = 180000
