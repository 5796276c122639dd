"""What the catalog says of the tables that an operation is about."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DependentIndex:
    """An index that a column is in, defined anew for its twin.

    Parameters:
        name: its name.
        relation: the same as SQL text.
        definition: all from USING on, with the twin in the column's place; empty where the copy has none like it.
        unique: whether it forbids duplicates.
        constraint: PRIMARY KEY or UNIQUE, where a constraint owns it.
        deferral: DEFERRABLE and so on.
        comment, constraint_comment: their comments, as SQL literals.
        column_only: whether the column stands in it by itself, outside of expressions and the predicate.
        replica_identity: whether it is the table's replica identity.
        clustered: whether the table is clustered on it.
    """

    name: str
    relation: str
    definition: str
    unique: bool
    constraint: str
    deferral: str
    comment: str | None
    constraint_comment: str | None
    column_only: bool
    replica_identity: bool
    clustered: bool


@dataclass(frozen=True, slots=True)
class DependentConstraint:
    """A check or a foreign key that a column is in, defined anew for its twin.

    Parameters:
        name: its name.
        relation: the table it stands on, as SQL text: another one, where that refers to the column.
        definition: the SQL text behind the name.
        refers: the table that a foreign key refers to, as SQL text.
        validated: whether all rows are known to keep it.
        comment: its comment, as an SQL literal.
    """

    name: str
    relation: str
    definition: str
    refers: str
    validated: bool
    comment: str | None


@dataclass(frozen=True, slots=True)
class DependentSequence:
    """A sequence that counts a column.

    Parameters:
        relation: the sequence as SQL text.
        name: its name, without the schema.
        identity: how the column is generated, as SQL text; empty where the column's default asks the sequence.
        grants: the privileges on it, as SQL text behind GRANT.
    """

    relation: str
    name: str
    identity: str
    grants: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReplacementColumn:
    """What a column of another type needs to take the place of the one that is there.

    Parameters:
        type: its type, as SQL text.
        default: its default, as SQL text.
        not_null: where it must not be null, the name of the constraint that says so; empty where it has none.
        attributes: what more ALTER COLUMN is to set, as SQL text.
        grants: the column's privileges, as SQL text behind GRANT.
        comment: the column's comment, as an SQL literal.
        indexes, checks: what the column is in.
        keys: the foreign keys that it is in, or that refer to it.
        sequences: what counts it.
        obstacles: what can't be carried over, as PostgreSQL describes it.
        state: the fingerprint of all of these on the column that is there.
    """

    type: str
    default: str | None
    not_null: str | None
    attributes: tuple[str, ...]
    grants: tuple[str, ...]
    comment: str | None
    indexes: tuple[DependentIndex, ...]
    checks: tuple[DependentConstraint, ...]
    keys: tuple[DependentConstraint, ...]
    sequences: tuple[DependentSequence, ...]
    obstacles: tuple[str, ...]
    state: str
