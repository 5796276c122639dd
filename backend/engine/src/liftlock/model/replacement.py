"""A replacement column: the second column by which a type change is made online.

PostgreSQL itself writes the definitions, on an empty copy of the table in which the column has the
new type already; see ``liftlock.planning.column_type``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DependentIndex:
    """An index that contains the column, as it is to be built on the replacement column.

    Parameters:
        name: its name.
        relation: the same name as SQL text, with its schema where needed.
        definition: the SQL text from USING on, with the replacement column in the old column's
            place; empty for an index that the empty copy lacks.
        unique: true for a unique index.
        constraint: PRIMARY KEY or UNIQUE, for an index that belongs to a constraint.
        deferral: DEFERRABLE, INITIALLY DEFERRED.
        comment, constraint_comment: the comments on it and on its constraint, as SQL literals.
        column_only: true where the column is a key or INCLUDE column of the index, and doesn't only
            occur in an expression or the predicate.
        replica_identity: true for the table's replica identity.
        clustered: true for the index that the table is clustered on.
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
    """A check or a foreign key on the column, as it is to be created on the replacement column.

    Parameters:
        name: its name.
        relation: the table it belongs to, as SQL text; another table for a foreign key that
            references the column.
        definition: the SQL text that follows the name.
        refers: the table that a foreign key references, as SQL text.
        validated: false for a constraint that is still NOT VALID.
        comment: the comment on it, as an SQL literal.
    """

    name: str
    relation: str
    definition: str
    refers: str
    validated: bool
    comment: str | None


@dataclass(frozen=True, slots=True)
class DependentSequence:
    """A sequence that the column owns.

    Parameters:
        relation: the sequence as SQL text.
        name: its name, without the schema.
        identity: the GENERATED … AS IDENTITY clause; empty for a sequence that the column's default
            calls.
        grants: the privileges on it, each as the SQL text that follows GRANT.
        comment: the comment on the sequence of an identity, as an SQL literal.
    """

    relation: str
    name: str
    identity: str
    grants: tuple[str, ...]
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class ReplacementColumn:
    """The properties of a replacement column, and the objects to create on it.

    Parameters:
        type: its type, as SQL text.
        default: its default, as SQL text.
        not_null: the name of the column's NOT NULL constraint, or empty where the constraint has no
            name (before PostgreSQL 18); None for a column that may be null.
        attributes: further ALTER COLUMN actions, such as SET STATISTICS 50.
        grants: the column's privileges, each as the SQL text that follows GRANT.
        comment: the comment on the column, as an SQL literal.
        indexes, checks: the objects that contain the column.
        keys: the foreign keys from the column or to it.
        sequences: the sequences that the column owns.
        obstacles: the objects that can't be recreated on another column, as PostgreSQL describes
            them.
        fingerprint: the digest of these properties on the old column, when they were read.
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
    fingerprint: str
