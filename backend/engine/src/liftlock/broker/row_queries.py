"""What a real database is asked about the rows of a table: statements made from the names of its columns alone.

Who asks may be a hostile revision. So a name becomes a part of a statement only where the database's own catalog has it: what
isn't a column could be a function, which ``t.name`` calls as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from liftlock.model.operation import quote_name

SAMPLE = 5
"""How many rows are shown."""
_MOST = 32
"""How many columns a key has at most."""
_SOFT_INPUT = 160000
"""The first server that tells whether a text is a value of a type, without an error: ``pg_input_is_valid``."""


class RowsWanted(StrEnum):
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
class RowQuery:
    """A question.

    Parameters:
        rows: which are looked for.
        table: its name as SQL text.
        columns: by which columns; for nulls and types it is one.
        refers, refers_columns: what the columns refer to.
        type: what values should be of.
    """

    rows: RowsWanted
    table: str
    columns: tuple[str, ...]
    refers: str = ""
    refers_columns: tuple[str, ...] = ()
    type: str = ""

    @classmethod
    def from_dict(cls, asked: Mapping[str, Any]) -> RowQuery:
        """One that was written down by ``asdict``, as JSON gives it back.

        Raises:
            KeyError, TypeError, ValueError: it wasn't.
        """
        columns, others = (
            tuple(str(name) for name in asked[part]) for part in ("columns", "refers_columns")
        )
        return cls(
            RowsWanted(asked["rows"]),
            str(asked["table"]),
            columns,
            str(asked["refers"]),
            others,
            str(asked["type"]),
        )

    @property
    def since(self) -> int:
        """The first server version that can tell."""
        return _SOFT_INPUT if self.rows is RowsWanted.UNFIT else 0


@dataclass(frozen=True, slots=True)
class Relation:
    """A table as the database's own catalog has it.

    Parameters:
        name: as SQL text.
        columns: all of them.
        key: those of its primary key.
        partitioned: whether its rows are those of its partitions; those of tables that inherit from it aren't its own.
    """

    name: str
    columns: frozenset[str]
    key: tuple[str, ...]
    partitioned: bool


def statement(
    question: RowQuery, table: Relation, refers: Relation | None = None
) -> tuple[str, dict[str, object]]:
    """A query for some of the rows, by their primary key, else by their place, with its parameters; never other values.

    Parameters:
        question: what is asked.
        table, refers: what its tables are.

    Raises:
        ValueError: a column isn't one of these tables'.
    """
    columns = _columns("t", question.columns, table)
    present = " AND ".join(f"{name} IS NOT NULL" for name in columns)
    sample = (
        ", ".join(_columns("t", table.key, table)) if table.key else "CAST(t.ctid AS text) AS ctid"
    )
    rows = f"FROM {_source('t', table)} WHERE"
    match question.rows:
        case RowsWanted.NULL:
            sql = f"SELECT {sample} FROM {_escaped(table.name)} AS t WHERE {columns[0]} IS NULL"
        case RowsWanted.UNFIT:
            fits = f"pg_catalog.pg_input_is_valid(CAST({columns[0]} AS pg_catalog.text), :type)"
            sql = f"SELECT {sample} FROM {_escaped(table.name)} AS t WHERE {present} AND NOT {fits}"
        case RowsWanted.SAME:
            sql = f"SELECT CAST(min(t.ctid) AS text) AS first, count(*) AS times {rows} {present}"
            sql += f" GROUP BY {', '.join(columns)} HAVING count(*) > 1"
        case RowsWanted.ORPHANED:
            if refers is None:
                raise ValueError(question.refers)
            others = _columns("r", question.refers_columns, refers)
            same = " AND ".join(
                f"{other} = {name}" for other, name in zip(others, columns, strict=True)
            )
            sql = f"SELECT {sample} {rows} {present} AND NOT EXISTS (SELECT FROM {_source('r', refers)} WHERE {same})"
    return f"{sql} LIMIT {SAMPLE}", {"type": question.type} if question.type else {}


def _source(alias: str, relation: Relation) -> str:
    """The rows that a constraint of a table is about."""
    return f"{'' if relation.partitioned else 'ONLY '}{_escaped(relation.name)} AS {alias}"


def _columns(alias: str, names: tuple[str, ...], relation: Relation) -> list[str]:
    if not names or len(names) > _MOST or not relation.columns.issuperset(names):
        message = f"{relation.name} has no columns {', '.join(names)}"
        raise ValueError(message)
    return [f"{alias}.{_escaped(quote_name(name))}" for name in names]


def _escaped(text: str) -> str:
    """A colon would be taken for the beginning of a parameter."""
    return text.replace(":", "\\:")
