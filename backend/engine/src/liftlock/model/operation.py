"""One ``op.*`` call of a revision, as the recorder takes it from the migration context."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from liftlock.sql import mask_literals, quote_name


@dataclass(frozen=True, slots=True)
class IndexDetails:
    """The parts of an operation on an index.

    Parameters:
        name: the index's name.
        relation: the same name as SQL text, with the schema where the revision writes one.
        unique: true for a unique index.
        optional: true where the operation has IF [NOT] EXISTS.
    """

    name: str
    relation: str
    unique: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True)
class ConstraintDetails:
    """The parts of an operation on a constraint.

    Parameters:
        name: the constraint's name; None where PostgreSQL is to choose it.
        definition: the SQL text that follows the name.
        columns: the columns of the constraint's own table.
        expression: the condition of a check constraint.
        refers: the table that a foreign key references, as SQL text.
        refers_columns: the referenced columns.
        index: the SQL text that follows the columns of a unique constraint's index (INCLUDE …).
        deferral: DEFERRABLE, INITIALLY DEFERRED.
        not_valid: true where the revision itself writes NOT VALID.
    """

    name: str | None
    definition: str = ""
    columns: tuple[str, ...] = ()
    expression: str = ""
    refers: str = ""
    refers_columns: tuple[str, ...] = ()
    index: str = ""
    deferral: str = ""
    not_valid: bool = False


@dataclass(frozen=True, slots=True)
class ColumnDetails:
    """The parts of an operation on a column.

    Parameters:
        name: the column's name.
        type: its type as SQL text; empty where the operation doesn't name one.
        default: its default as SQL text; empty for a column without one.
        not_null: true for a NOT NULL column.
        checks: the check constraints in the column's definition.
        special: SERIAL, IDENTITY, GENERATED, PRIMARY KEY or REFERENCES, for a column that
            PostgreSQL fills, or for which it creates another object.
        identity: the GENERATED … AS IDENTITY clause of an identity column.
        using: the USING expression of a type change; empty where the cast converts the values.
        optional: true where the operation has IF [NOT] EXISTS.
        key: the foreign key in the column's definition.
    """

    name: str
    type: str = ""
    default: str = ""
    not_null: bool = False
    checks: tuple[ConstraintDetails, ...] = ()
    special: str = ""
    identity: str = ""
    using: str = ""
    optional: bool = False
    key: ConstraintDetails | None = None

    @property
    def written(self) -> str:
        """Return the column's definition with NOT NULL, but without its other constraints."""
        words = [quote_name(self.name), self.type]
        if self.default:
            words.append(f"DEFAULT {self.default}")
        if self.not_null:
            words.append("NOT NULL")
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class BackfillDetails:
    """The parts of a backfill.

    Parameters:
        values: the SET clause.
        where: the condition of the rows that still need it; empty to update each row once.
    """

    values: str
    where: str


@dataclass(frozen=True, slots=True)
class EnumDetails:
    """The parts of an enum type.

    Parameters:
        relation: its name as SQL text.
        labels: its labels, in order.
    """

    relation: str
    labels: tuple[str, ...]


Details = IndexDetails | ConstraintDetails | ColumnDetails | BackfillDetails | EnumDetails | None


_ROW_KINDS = frozenset({"execute", "insert", "update", "delete", "bulk_insert", "backfill"})


@dataclass(frozen=True, slots=True)
class Operation:
    """One ``op.*`` call of a revision.

    Parameters:
        kind: the name of the operation, such as ``add_column``.
        table: the table's name as the revision writes it; None for an operation without a table.
        sql: the statement that plain Alembic would run.
        rows: the number of parameter sets that are sent with the statement.
        values: the fingerprint of these parameters.
        relation: the table as SQL text.
        others: the other tables that the operation locks, such as a referenced one, as SQL text.
        line: the line of the revision's file that calls it.
        details: its parts; None for an operation without a recipe.
        allowed: the codes that the revision allows for this operation, each with its reason.
    """

    kind: str
    table: str | None
    sql: str
    rows: int = 0
    values: str = ""
    relation: str = ""
    others: tuple[str, ...] = ()
    line: int | None = None
    details: Details = None
    allowed: dict[str, str] = field(default_factory=dict, hash=False)

    @property
    def may_change_rows(self) -> bool:
        """Return whether it is DML or raw SQL, whose locks and duration aren't known beforehand."""
        return self.kind in _ROW_KINDS

    @property
    def shape(self) -> str:
        """Return the digest of the statement without its literals.

        A resumed run finds the operation's ledger row by it: literals such as a random default may
        differ between two attempts.
        """
        return digest(f"{self.kind} {mask_literals(self.sql)}")

    @property
    def fingerprint(self) -> str:
        """Return the digest of the exact statement."""
        return digest(self.sql)

    @property
    def evidence(self) -> str:
        """Return the digest of the exact statement and its parameters, as the ledger stores it."""
        return digest(" ".join(self.asks)) if self.values else self.fingerprint

    @property
    def asks(self) -> tuple[str, str]:
        """Return the fingerprints of the statement and its parameters.

        Two runs of a deterministic revision return the same ones.
        """
        return self.fingerprint, self.values


def digest(text: str) -> str:
    """Return sixteen hexadecimal digits that identify a text; white space doesn't count."""
    return hashlib.sha256(" ".join(text.split()).encode()).hexdigest()[:16]
