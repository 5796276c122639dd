"""Queries for rows that would break a revision, built from names of columns alone.

A request may come from a hostile revision. So a name becomes a part of a query only if the
database's own catalog has a column of that name: PostgreSQL reads ``t.name`` as the function call
``name(t)`` if the table has no such column.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from liftlock.sql import quote_name

SAMPLE = 5
"""The number of rows that a query returns at most."""
_MAX_KEY_COLUMNS = 32
"""The most columns that an index of PostgreSQL can have."""
_INPUT_IS_VALID_VERSION = 160000
"""The first server with ``pg_input_is_valid``, which tests a conversion without an error."""


class RowsWanted(StrEnum):
    """The rows that a query looks for.

    Members:
        NULL: rows whose column is null.
        SAME: rows that have duplicates.
        ORPHANED: rows that refer to a row that doesn't exist.
        UNFIT: rows whose value can't be converted to a type.
    """

    NULL = "null"
    SAME = "same"
    ORPHANED = "orphaned"
    UNFIT = "unfit"


@dataclass(frozen=True, slots=True)
class RowQuery:
    """A request for rows of a table.

    Parameters:
        rows: the rows that are wanted.
        table: the table as SQL text.
        columns: the columns that decide; exactly one for ``NULL`` and ``UNFIT``.
        refers: for ``ORPHANED``, the table that the columns refer to, as SQL text.
        refers_columns: for ``ORPHANED``, the columns of that table.
        type: for ``UNFIT``, the type that the values should have, as SQL text.
    """

    rows: RowsWanted
    table: str
    columns: tuple[str, ...]
    refers: str = ""
    refers_columns: tuple[str, ...] = ()
    type: str = ""

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> RowQuery:
        """Read a query that ``dataclasses.asdict`` and JSON wrote.

        Raises:
            KeyError, TypeError, ValueError: the fields aren't those of a query.
        """
        return cls(
            RowsWanted(fields["rows"]),
            str(fields["table"]),
            tuple(str(name) for name in fields["columns"]),
            str(fields["refers"]),
            tuple(str(name) for name in fields["refers_columns"]),
            str(fields["type"]),
        )

    @property
    def since(self) -> int:
        """The first server version that can run the query, such as ``160000``; 0 for any."""
        return _INPUT_IS_VALID_VERSION if self.rows is RowsWanted.UNFIT else 0


@dataclass(frozen=True, slots=True)
class Relation:
    """A table as the database's catalog describes it.

    Parameters:
        name: the table as SQL text, with its schema.
        columns: the names of all columns.
        key: the columns of the primary key, in their order; empty if there is none.
        partitioned: whether its rows are in its partitions. The rows of tables that inherit from
            it don't count as its rows.
    """

    name: str
    columns: frozenset[str]
    key: tuple[str, ...]
    partitioned: bool


@dataclass(frozen=True, slots=True)
class _Query:
    """The clauses of a query."""

    select: str
    source: str
    conditions: list[str]
    grouping: str = ""

    def __str__(self) -> str:
        clauses = ["SELECT", self.select, "FROM", self.source]
        clauses += ["WHERE", " AND ".join(self.conditions)]
        if self.grouping:
            clauses.append(self.grouping)
        return " ".join([*clauses, "LIMIT", str(SAMPLE)])


def statement(
    row_query: RowQuery, table: Relation, refers: Relation | None = None
) -> tuple[str, dict[str, object]]:
    """Build the SQL of a query and its parameters.

    The query returns the primary key of some of the rows, or their ``ctid`` if there is no key. It
    returns no other values: reports and logs must not contain the data of users.

    Parameters:
        row_query: the query.
        table: its table.
        refers: the table that it refers to.

    Raises:
        ValueError: a column doesn't exist in these tables.
    """
    columns = _columns("t", row_query.columns, table)
    present = [f"{column} IS NOT NULL" for column in columns]
    match row_query.rows:
        case RowsWanted.NULL:
            query = _Query(_row_identifier(table), _any_source(table), [f"{columns[0]} IS NULL"])
        case RowsWanted.UNFIT:
            text = f"CAST({columns[0]} AS pg_catalog.text)"
            unfit = f"NOT pg_catalog.pg_input_is_valid({text}, :type)"
            query = _Query(_row_identifier(table), _any_source(table), [*present, unfit])
        case RowsWanted.SAME:
            select = "CAST(min(t.ctid) AS text) AS first, count(*) AS times"
            grouping = f"GROUP BY {', '.join(columns)} HAVING count(*) > 1"
            query = _Query(select, _own_source("t", table), present, grouping)
        case RowsWanted.ORPHANED:
            orphaned = _not_referenced(row_query, columns, refers)
            query = _Query(_row_identifier(table), _own_source("t", table), [*present, orphaned])
    parameters: dict[str, object] = {"type": row_query.type} if row_query.type else {}
    return str(query), parameters


def _not_referenced(row_query: RowQuery, columns: list[str], refers: Relation | None) -> str:
    if refers is None:
        raise ValueError(row_query.refers)
    referred = _columns("r", row_query.refers_columns, refers)
    equal = [f"{other} = {column}" for other, column in zip(referred, columns, strict=True)]
    subquery = " ".join(["SELECT FROM", _own_source("r", refers), "WHERE", " AND ".join(equal)])
    return f"NOT EXISTS ({subquery})"


def _row_identifier(table: Relation) -> str:
    if not table.key:
        return "CAST(t.ctid AS text) AS ctid"
    return ", ".join(_columns("t", table.key, table))


def _any_source(table: Relation) -> str:
    """Return the table with its children: NOT NULL and a change of type reach them too."""
    return f"{_escaped(table.name)} AS t"


def _own_source(alias: str, relation: Relation) -> str:
    """Return the table without its children: they don't inherit unique and foreign keys."""
    only = "" if relation.partitioned else "ONLY "
    return f"{only}{_escaped(relation.name)} AS {alias}"


def _columns(alias: str, names: tuple[str, ...], relation: Relation) -> list[str]:
    if not names or len(names) > _MAX_KEY_COLUMNS or not relation.columns.issuperset(names):
        message = f"{relation.name} has no columns {', '.join(names)}"
        raise ValueError(message)
    return [f"{alias}.{_escaped(quote_name(name))}" for name in names]


def _escaped(text: str) -> str:
    """Escape colons: ``liftlock.postgres.session.execute`` reads ``:name`` as a parameter."""
    return text.replace(":", "\\:")
