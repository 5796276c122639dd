"""What a real database is asked about the rows of a table: statements made from names alone.

Who asks may be a hostile revision. So each name is checked, and nothing else becomes a part of a statement.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from liftlock.model.operation import quoted

SAMPLE = 5
"""How many rows are shown."""
_NAME = re.compile(r'([a-z_][a-z0-9_]*|"([^"\0]|"")+")(\.([a-z_][a-z0-9_]*|"([^"\0]|"")+"))?')
"""Of a table, as PostgreSQL's ``quote_ident`` writes it."""
_SOFT_INPUT = 160000
"""The first server that tells whether a text is a value of a type, without an error: ``pg_input_is_valid``."""


class Rows(StrEnum):
    """Which rows are looked for."""

    NULL = "null"
    """Those without a value."""
    SAME = "same"
    """Those that others are like."""
    ORPHANED = "orphaned"
    """Those that refer to nothing."""
    UNFIT = "unfit"
    """Those whose value is none of a type."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question.

    Parameters:
        rows: which are looked for.
        table: its name as SQL text.
        columns: by which columns; for nulls and types it is one.
        key: the columns that name a row in the answer; its place does where there are none.
        refers, refers_columns: what the columns refer to.
        type: what values should be of.
    """

    rows: Rows
    table: str
    columns: tuple[str, ...]
    key: tuple[str, ...] = ()
    refers: str = ""
    refers_columns: tuple[str, ...] = ()
    type: str = ""

    @classmethod
    def from_dict(cls, asked: Mapping[str, Any]) -> Question:
        """One that was written down by ``asdict``, as JSON gives it back.

        Raises:
            KeyError, TypeError, ValueError: it wasn't.
        """
        columns, key, others = (tuple(asked[name]) for name in ("columns", "key", "refers_columns"))
        return cls(Rows(asked["rows"]), asked["table"], columns, key, asked["refers"], others, asked["type"])

    @property
    def since(self) -> int:
        """The first server version that can tell."""
        return _SOFT_INPUT if self.rows is Rows.UNFIT else 0

    @property
    def parameters(self) -> dict[str, str]:
        """Of the statement."""
        given = {"table": self.table} | ({"refers": self.refers} if self.refers else {})
        return given | ({"type": self.type} if self.type else {})


def statement(question: Question) -> str:
    """A query for some of the rows: their primary key, else their place; never other values.

    Rows of tables that inherit from the table aren't its own; those of its partitions are.

    Raises:
        ValueError: a name isn't one.
    """
    table, columns = _named(question.table), [f"t.{_column(name)}" for name in question.columns]
    present = " AND ".join(f"{name} IS NOT NULL" for name in columns)
    sample = ", ".join(f"t.{_column(name)}" for name in question.key) or "CAST(t.ctid AS text) AS ctid"
    match question.rows:
        case Rows.NULL:
            sql = f"SELECT {sample} FROM {table} AS t WHERE {columns[0]} IS NULL"
        case Rows.UNFIT:
            sql = f"SELECT {sample} FROM {table} AS t WHERE {present} AND NOT pg_input_is_valid(CAST({columns[0]} AS text), :type)"
        case Rows.SAME:
            sql = f"SELECT CAST(min(t.ctid) AS text) AS first, count(*) AS times FROM {table} AS t WHERE {present} AND {_own('t', 'table')}"
            sql += f" GROUP BY {', '.join(columns)} HAVING count(*) > 1"
        case Rows.ORPHANED:
            pairs = zip(question.refers_columns, columns, strict=True)
            same = " AND ".join(f"r.{_column(other)} = {name}" for other, name in pairs)
            sql = f"SELECT {sample} FROM {table} AS t WHERE {present} AND {_own('t', 'table')}"
            sql += f" AND NOT EXISTS (SELECT FROM {_named(question.refers)} AS r WHERE {same} AND {_own('r', 'refers')})"
    return f"{sql} LIMIT {SAMPLE}"


def _own(alias: str, parameter: str) -> str:
    """Whether a row is the table's own: not that of a table that inherits from it, but that of a partition."""
    partitioned = f"SELECT FROM pg_catalog.pg_partitioned_table AS p WHERE p.partrelid = CAST(:{parameter} AS regclass)"
    return f"({alias}.tableoid = CAST(:{parameter} AS regclass) OR EXISTS ({partitioned}))"


def _named(table: str) -> str:
    if _NAME.fullmatch(table) is None:
        message = f"{table!r} is no name of a table"
        raise ValueError(message)
    return table.replace(":", "\\:")


def _column(name: str) -> str:
    if not name or "\0" in name:
        message = f"{name!r} is no name of a column"
        raise ValueError(message)
    return quoted(name).replace(":", "\\:")
