"""Ranges of rows, which a backfill updates one after another: of a unique key, or of blocks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from liftlock.postgres.catalog import Execute
from liftlock.postgres.cursor import Position
from liftlock.postgres.queries import CATALOG, QUERIES
from liftlock.sql import quote_name

BLOCKS_PER_ROW = 0.02
"""Blocks for each row of a range's wanted size, where rows aren't counted: 50 rows a block."""

_TID_RANGE_SCAN_VERSION = 140000
"""The first version of PostgreSQL that reads only the blocks of a range of ``ctid``."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on rows.

    Parameters:
        sql: the condition as SQL text.
        parameters: the values of its named parameters.
    """

    sql: str
    parameters: dict[str, object] = field(default_factory=dict)


class Ranges(Protocol):
    """A division of a table into ranges of rows.

    ``key`` is the SQL text of a row's key, as an array of texts; empty if the table has no key.
    """

    key: str

    def end(
        self, execute: Execute, relation: str, start: Position | None, size: int
    ) -> Position | None:
        """Return the end of the range that begins after ``start``; None if no row follows.

        Parameters:
            execute: runs statements.
            relation: the table as SQL text.
            start: the end of the range before; None at the beginning of the table.
            size: the wanted number of rows.
        """

    def between(self, start: Position | None, end: Position) -> Condition:
        """Return the condition that selects the rows of a range."""

    def among(self, keys: Sequence[Sequence[str]]) -> Condition:
        """Return the condition that selects the rows with one of these keys."""

    def describe(self, end: Position) -> str:
        """Return text for people that identifies the last row of a range."""


def ranges_of(execute: Execute, relation: str, *, blocks: bool = False) -> Ranges:
    """Return the ranges of a table: of a unique key, or of blocks if it has none.

    Parameters:
        execute: runs statements.
        relation: the table as SQL text, with or without ONLY.
        blocks: whether to use blocks even if there is a key.
    """
    if blocks:
        return Blocks()
    columns = execute(CATALOG["key_columns"], {"relation": without_only(relation)})
    return Keys(columns) if columns else Blocks()


def blocks_of(execute: Execute, table: str) -> int:
    """Return the number of blocks of a table."""
    return int(execute(CATALOG["blocks"], {"relation": without_only(table)})[0]["blocks"])


def without_only(table: str) -> str:
    """Return a table's name without ONLY, which excludes the tables that inherit from it."""
    return table.removeprefix("ONLY ")


def reads_blocks(execute: Execute) -> bool:
    """Return whether the server reads only the blocks of a range, not the whole table.

    The plan is called TID range scan and exists since PostgreSQL 14.
    """
    (backend,) = execute(QUERIES["backend"], {})
    return int(backend["version"]) >= _TID_RANGE_SCAN_VERSION


class Keys:
    """Ranges of a unique key.

    Positions are texts, which JSON can hold, and are cast to the types of the columns.

    Parameters:
        columns: the name and type of each column of the key.
    """

    def __init__(self, columns: Sequence[Mapping[str, Any]]) -> None:
        self._names = [quote_name(column["name"]) for column in columns]
        self._types = [column["type"] for column in columns]
        self._row = f"({', '.join(self._names)})"
        self.key = f"ARRAY[{', '.join(f'CAST({name} AS text)' for name in self._names)}]"

    def end(
        self, execute: Execute, relation: str, start: Position | None, size: int
    ) -> tuple[str, ...] | None:
        """Return the last key of the next range; None if no row follows."""
        after_start = self._compared(">", "ll_a", start)
        names = ", ".join(self._names)
        descending = ", ".join(f"{name} DESC" for name in self._names)
        texts = ", ".join(
            f"CAST({name} AS text) AS k{number}" for number, name in enumerate(self._names)
        )
        rows = execute(
            f"SELECT {texts} FROM (SELECT {names} FROM {relation} WHERE {after_start.sql}"
            f" ORDER BY {names} LIMIT {size}) AS slice ORDER BY {descending} LIMIT 1",
            after_start.parameters,
        )
        if not rows:
            return None
        return tuple(rows[0][f"k{number}"] for number in range(len(self._names)))

    def between(self, start: Position | None, end: Position) -> Condition:
        """Return the condition that selects the rows after one key up to another."""
        after_start = self._compared(">", "ll_a", start)
        until_end = self._compared("<=", "ll_b", end)
        return Condition(
            f"{after_start.sql} AND {until_end.sql}",
            after_start.parameters | until_end.parameters,
        )

    def among(self, keys: Sequence[Sequence[str]]) -> Condition:
        """Return the condition that selects the rows with one of these keys."""
        columns = ", ".join(
            f"CAST(ll_one ->> {number} AS {type_})" for number, type_ in enumerate(self._types)
        )
        rows = (
            f"SELECT {columns}"
            " FROM jsonb_array_elements(CAST(CAST(:ll_keys AS text) AS jsonb)) AS ll_one"
        )
        return Condition(f"{self._row} IN ({rows})", {"ll_keys": json.dumps(keys)})

    def describe(self, end: Position) -> str:
        """Return a key, such as ``"tenant"=7, "id"=42``."""
        columns = zip(self._names, _key(end), strict=True)
        return ", ".join(f"{name}={value}" for name, value in columns)

    def _compared(self, operator: str, prefix: str, key: Position | None) -> Condition:
        """Return the condition that compares a row's key with a key, as rows; none without one.

        Parameters:
            operator: the comparison.
            prefix: the beginning of the parameters' names.
            key: the key to compare with.
        """
        if key is None:
            return Condition("true")
        parameters: dict[str, object] = {
            f"{prefix}{number}": value for number, value in enumerate(_key(key))
        }
        # The inner cast tells drivers that prepare statements to send a text, not a bigint.
        values = ", ".join(
            f"CAST(CAST(:{name} AS text) AS {type_})"
            for name, type_ in zip(parameters, self._types, strict=True)
        )
        return Condition(f"{self._row} {operator} ({values})", parameters)


class Blocks:
    """Ranges of blocks, for tables without a unique key; a position is the number of a block."""

    key = ""

    def end(self, execute: Execute, relation: str, start: Position | None, size: int) -> int | None:
        """Return the block after the last one of the next range; None if no block follows."""
        first = _block(start)
        blocks = blocks_of(execute, relation)
        if first >= blocks:
            return None
        return min(first + max(1, int(size * BLOCKS_PER_ROW)), blocks)

    def between(self, start: Position | None, end: Position) -> Condition:
        """Return the condition that selects the rows of the blocks from one up to another."""
        first, after_last = _block(start), _block(end)
        return Condition(
            f"ctid >= CAST('({first},0)' AS tid) AND ctid < CAST('({after_last},0)' AS tid)"
        )

    def among(self, keys: Sequence[Sequence[str]]) -> Condition:
        """Raise: rows without a key cannot be identified."""
        raise NotImplementedError

    def describe(self, end: Position) -> str:
        """Return the last block of a range."""
        return f"in block {_block(end) - 1}"


def _key(position: Position) -> tuple[str, ...]:
    """Return a position of ``Keys``.

    Raises:
        TypeError: it is one of ``Blocks``, as when a unique index was created since.
    """
    if isinstance(position, int):
        message = f"a block instead of a key: {position}"
        raise TypeError(message)
    return position


def _block(position: Position | None) -> int:
    """Return a position of ``Blocks``; 0 for None, the beginning of a table.

    Raises:
        TypeError: it is one of ``Keys``, as when the unique index was dropped since.
    """
    if isinstance(position, tuple):
        message = f"a key instead of a block: {position}"
        raise TypeError(message)
    return position or 0
