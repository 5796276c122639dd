"""What the catalog says of the tables that an operation is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


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
        plain: whether it has neither expressions nor a predicate.
        unique: whether it forbids duplicates.
        valid: whether queries may use it.
        constraint: whether a constraint owns it.
    """

    name: str
    columns: tuple[str, ...]
    plain: bool
    unique: bool
    valid: bool
    constraint: bool


@dataclass(frozen=True, slots=True)
class Table:
    """A table as the catalog has it.

    Parameters:
        oid: its identity, whatever it is called.
        name: its name, without the schema.
        kind: ``r`` ordinary, ``p`` partitioned.
        bytes: its size on disk, without indexes.
        rows: the planner's estimate; -1 when it was never analysed.
        columns, constraints, indexes: what stands on it.
        relation_names, constraint_names: names that are taken in its schema and begin like its own.
        new: whether this run made it, so that nobody else uses it yet.
        newborn: whether this very revision made it.
    """

    oid: int
    name: str
    kind: str
    bytes: int
    rows: float
    columns: tuple[Column, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    indexes: tuple[Index, ...] = ()
    relation_names: frozenset[str] = frozenset()
    constraint_names: frozenset[str] = frozenset()
    new: bool = False
    newborn: bool = False

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
class Rehearsal:
    """What a statement did to an empty copy of its table.

    Parameters:
        rewrites: whether the table was written anew.
        rebuilds: whether an index was.
        check_columns: the columns that PostgreSQL found in each new check, in order.
    """

    rewrites: bool = False
    rebuilds: bool = False
    check_columns: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known when an operation is planned.

    Parameters:
        small: bytes up to which a table is small: what scans or rewrites it is brief.
        tables: by their SQL text in the operation; one that isn't there is missing.
        rehearsal: what the statement does; None where it couldn't be rehearsed.
        allowed: codes of what the operator allows.
    """

    small: int = 0
    tables: Mapping[str, Table] = field(default_factory=dict)
    rehearsal: Rehearsal | None = None
    allowed: frozenset[str] = frozenset()
