"""How a table is cut into slices: by a unique key, else by blocks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from liftlock.model.operation import quote_name
from liftlock.postgres.catalog import Execute
from liftlock.postgres.queries import CATALOG

BLOCKS_PER_ROW = 0.02
_TID_RANGE_SCANS = 140000


def blocks_of(execute: Execute, table: str) -> int:
    """How many blocks a table has."""
    return int(execute(CATALOG["blocks"], {"relation": without_only(table)})[0]["blocks"])


def without_only(table: str) -> str:
    """A table's name, where it is meant without those that inherit from it."""
    return table.removeprefix("ONLY ")


def reads_blocks(execute: Execute) -> bool:
    """Whether a range of row addresses is read by itself, and not by a scan of the whole table."""
    return (
        int(execute("SELECT current_setting('server_version_num') AS number", {})[0]["number"])
        >= _TID_RANGE_SCANS
    )


def ranges_of(execute: Execute, relation: str, *, blocks: bool = False) -> Ranges:
    """The ranges of a table: of its key, or of blocks where it has none or that is wanted."""
    keys = [] if blocks else execute(CATALOG["key_columns"], {"relation": without_only(relation)})
    return Keys(keys) if keys else Blocks()


class Ranges(Protocol):
    """How a table is cut into slices; where one ends is a value that JSON can hold.

    ``key`` is a row's key, as an SQL array of texts; empty where there is none.
    """

    key: str

    def end(self, execute: Execute, relation: str, start: Any, size: int) -> Any:
        """Where the slice ends that begins here; None after the last."""

    def between(self, start: Any, end: Any) -> tuple[str, dict[str, object]]:
        """The condition of a slice, with its parameters."""

    def among(self, keys: Sequence[Sequence[str]]) -> tuple[str, dict[str, object]]:
        """The condition of being one of these rows, with its parameters."""

    def named(self, end: Any) -> str:
        """The last row of a slice, for people."""


class Keys:
    """Ranges of a unique key."""

    def __init__(self, columns: Sequence[Mapping[str, Any]]) -> None:
        self._names = [quote_name(one["name"]) for one in columns]
        self._types = [one["type"] for one in columns]
        self._row = f"({', '.join(self._names)})"
        self.key = f"ARRAY[{', '.join(f'CAST({name} AS text)' for name in self._names)}]"

    def end(
        self, execute: Execute, relation: str, start: list[str] | None, size: int
    ) -> list[str] | None:
        """The last key of the next slice; None after the last."""
        after, values = self._bound(">", "ll_a", start)
        listed, down = ", ".join(self._names), ", ".join(f"{name} DESC" for name in self._names)
        texts = ", ".join(
            f"CAST({name} AS text) AS k{number}" for number, name in enumerate(self._names)
        )
        rows = execute(
            f"SELECT {texts} FROM (SELECT {listed} FROM {relation} WHERE {after} ORDER BY {listed} LIMIT {size}) AS slice"
            f" ORDER BY {down} LIMIT 1",
            values,
        )
        return [rows[0][f"k{number}"] for number in range(len(self._names))] if rows else None

    def between(self, start: list[str] | None, end: list[str]) -> tuple[str, dict[str, object]]:
        """The condition of a slice."""
        after, first = self._bound(">", "ll_a", start)
        until, second = self._bound("<=", "ll_b", end)
        return f"{after} AND {until}", first | second

    def among(self, keys: Sequence[Sequence[str]]) -> tuple[str, dict[str, object]]:
        """The condition of having one of these keys."""
        listed = ", ".join(
            f"CAST(ll_one ->> {number} AS {kind})" for number, kind in enumerate(self._types)
        )
        rows = f"SELECT {listed} FROM jsonb_array_elements(CAST(CAST(:ll_keys AS text) AS jsonb)) AS ll_one"
        return f"{self._row} IN ({rows})", {"ll_keys": json.dumps(keys)}

    def named(self, end: list[str]) -> str:
        """A row's key."""
        return ", ".join(f"{name}={value}" for name, value in zip(self._names, end, strict=True))

    def _bound(
        self, sign: str, prefix: str, key: list[str] | None
    ) -> tuple[str, dict[str, object]]:
        if key is None:
            return "true", {}
        values: dict[str, object] = {f"{prefix}{number}": value for number, value in enumerate(key)}
        casts = ", ".join(
            f"CAST(CAST(:{name} AS text) AS {kind})"
            for name, kind in zip(values, self._types, strict=True)
        )
        return f"{self._row} {sign} ({casts})", values


class Blocks:
    """Ranges of blocks, where there is no unique key."""

    key = ""

    def end(self, execute: Execute, relation: str, start: int | None, size: int) -> int | None:
        """The block before which the next slice ends."""
        at, last = start or 0, blocks_of(execute, relation)
        return min(at + max(1, int(size * BLOCKS_PER_ROW)), last) if at < last else None

    def between(self, start: int | None, end: int) -> tuple[str, dict[str, object]]:
        """The condition of a slice; a range of row addresses is scanned by itself since PostgreSQL 14."""
        return f"ctid >= CAST('({start or 0},0)' AS tid) AND ctid < CAST('({end},0)' AS tid)", {}

    def among(self, keys: Sequence[Sequence[str]]) -> tuple[str, dict[str, object]]:
        """Rows without a key can't be told apart."""
        raise NotImplementedError

    def named(self, end: int) -> str:
        """A block."""
        return f"in block {end - 1}"
