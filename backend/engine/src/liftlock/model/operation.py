"""One ``op.*`` call of a revision, as it reached the database's door."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

_LEADING = re.compile(r"\A(?:[\s(]|--[^\n]*(?:\n|\Z)|/\*.*?\*/)*", re.DOTALL)
_LITERAL = re.compile(r"'(?:[^']|'')*'|\b\d+(?:\.\d+)?\b")


def quote_name(name: str) -> str:
    """An identifier as SQL text, whatever its characters."""
    return '"' + name.replace('"', '""') + '"'


def unqualified(relation: str) -> str:
    """The name in SQL text, without its schema and quotes."""
    return (
        re.sub(r'^.*\.(?=[^."]+$|"(?:[^"]|"")*"$)', "", relation)
        .removeprefix('"')
        .removesuffix('"')
        .replace('""', '"')
    )


@dataclass(frozen=True, slots=True)
class IndexDetails:
    """What an operation on an index is made of.

    Parameters:
        name: the index's name.
        relation: the same as SQL text, with the schema where one is written.
        unique: whether it forbids duplicates.
        optional: whether the operation says IF [NOT] EXISTS.
    """

    name: str
    relation: str
    unique: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True)
class ConstraintDetails:
    """What an operation on a constraint is made of.

    Parameters:
        name: the constraint's name; None leaves it to PostgreSQL.
        definition: the SQL text behind the name.
        columns: the table's columns in it.
        expression: of a check.
        refers: the table that a foreign key refers to, as SQL text.
        refers_columns: that table's columns.
        index: what stands behind the columns in the index of a unique constraint, such as INCLUDE.
        deferral: DEFERRABLE and so on.
        not_valid: whether the project itself asks for NOT VALID.
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
    """What an operation on a column is made of.

    Parameters:
        name: the column's name.
        type: its type as SQL text; empty where the operation doesn't say.
        default: its default as SQL text; empty where there is none.
        not_null: whether it must not be null.
        checks: checks that are written with the column.
        special: SERIAL, IDENTITY, GENERATED, PRIMARY KEY or REFERENCES: what more PostgreSQL does with it.
        identity: of an identity column, how its values are generated, as SQL text.
        using: of a type change, the expression that makes the new values; empty where the cast does.
        optional: whether the operation says IF [NOT] EXISTS.
        key: the foreign key that is written with the column.
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
        """The column by itself, as a definition: without its constraints but NOT NULL."""
        first_words = [quote_name(self.name), self.type]
        first_words += [f"DEFAULT {self.default}"] if self.default else []
        first_words += ["NOT NULL"] if self.not_null else []
        return " ".join(first_words)


@dataclass(frozen=True, slots=True)
class BackfillDetails:
    """What a backfill is made of: the SET clause, and which rows still need it (empty for all, once)."""

    values: str
    where: str


@dataclass(frozen=True, slots=True)
class EnumDetails:
    """What an enum is made of: its name as SQL text, and its labels in their order."""

    relation: str
    labels: tuple[str, ...]


Details = IndexDetails | ConstraintDetails | ColumnDetails | BackfillDetails | EnumDetails | None


@dataclass(frozen=True, slots=True)
class Operation:
    """What a revision asked for.

    Parameters:
        kind: the name of the operation, such as ``add_column``.
        table: the table it is about, as the project writes it; None where there is none.
        sql: the statement that plain Alembic would run.
        rows: how many sets of parameters go with it.
        values: the fingerprint of these parameters.
        relation: the table as SQL text.
        others: tables besides it that it locks, such as one that a foreign key refers to, as SQL text.
        line: the line of the revision's file that asks for it.
        details: what it is made of, where there is an online form.
        allowed: codes of what the revision allows here, with a reason each.
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
    def shape(self) -> str:
        """The operation with its literals masked: what makes it known again on a later attempt."""
        return digest(f"{self.kind} {mask_literals(self.sql)}")

    @property
    def fingerprint(self) -> str:
        """The exact text, as evidence."""
        return digest(self.sql)

    @property
    def evidence(self) -> str:
        """The exact text and values, as evidence."""
        return digest(" ".join(self.asks)) if self.values else self.fingerprint

    @property
    def asks(self) -> tuple[str, str]:
        """All that it asks for; it differs from run to run where it is made up in Python."""
        return self.fingerprint, self.values


def first_words(sql: str, count: int = 1) -> list[str]:
    """The first words of a statement, behind its comments and parentheses, in capitals."""
    return [
        one.upper()
        for one in re.split(r"[\s(;]+", _LEADING.sub("", sql, count=1), maxsplit=count)[:count]
        if one
    ]


def mask_literals(sql: str) -> str:
    """SQL without its literals."""
    return _LITERAL.sub("?", sql)


def digest(text: str) -> str:
    """Sixteen hexadecimal digits for a text, whatever its white space."""
    return hashlib.sha256(" ".join(text.split()).encode()).hexdigest()[:16]
