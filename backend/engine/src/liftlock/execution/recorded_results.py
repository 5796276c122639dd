"""What the database answers to a revision itself, remembered so that a resumed revision takes the same path.

Whatever crosses from the database to the script is kept; on a later attempt it is served again, and
what was written is not written twice.
"""

from __future__ import annotations

import datetime as dt
import decimal
import ipaddress
import json
import math
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any


class NotRecordable(Exception):
    """A value that can't be written down and read again."""


@dataclass(slots=True)
class RecordedResult:
    """The result of one statement.

    Parameters:
        description: of the columns, as the DB-API has it; None where there are no rows.
        rows: all rows.
        rowcount: how many rows were touched.
    """

    description: list[tuple[Any, ...]] | None
    rows: list[tuple[Any, ...]]
    rowcount: int

    def dumps(self) -> str:
        """The answer as JSON.

        Raises:
            Unrememberable: it holds a value of a type that isn't known here.
        """
        described = (
            None
            if self.description is None
            else [[one[0], _number(one[1])] for one in self.description]
        )
        rows = [[_write(value) for value in row] for row in self.rows]
        return json.dumps({"columns": described, "rows": rows, "rowcount": self.rowcount})

    @classmethod
    def loads(cls, text: str) -> RecordedResult:
        """The answer from its JSON."""
        body = json.loads(text)
        described = body["columns"]
        description = (
            None
            if described is None
            else [(name, code, None, None, None, None, None) for name, code in described]
        )
        return cls(
            description,
            [tuple(_read(value) for value in row) for row in body["rows"]],
            body["rowcount"],
        )


class ReplayCursor:
    """A cursor that has an answer already; whatever else is asked of it goes to the real one."""

    def __init__(self, answer: RecordedResult, cursor: Any) -> None:
        self._rows: Iterator[tuple[Any, ...]] = iter(answer.rows)
        self._cursor = cursor
        self.description = answer.description
        self.rowcount = answer.rowcount
        self.arraysize = 1

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row."""
        return next(self._rows, None)

    def fetchmany(self, size: int | None = None) -> list[tuple[Any, ...]]:
        """Some rows."""
        wanted = range(size or self.arraysize)
        return [row for _, row in zip(wanted, self._rows, strict=False)]

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All that are left."""
        return list(self._rows)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """The rows."""
        return self._rows

    def close(self) -> None:
        """Close the real one."""
        self._cursor.close()

    def __getattr__(self, name: str) -> Any:
        """Whatever else a dialect asks."""
        return getattr(self._cursor, name)


def capture(cursor: Any) -> RecordedResult:
    """All of a cursor's result."""
    if not cursor.description:
        return RecordedResult(None, [], cursor.rowcount)
    description = [tuple(one) for one in cursor.description]
    return RecordedResult(description, [tuple(row) for row in cursor.fetchall()], cursor.rowcount)


def _number(code: object) -> int | None:
    return code if isinstance(code, int) else getattr(code, "oid", None)


_TEXTS: dict[str, Any] = {
    "date": dt.date.fromisoformat,
    "time": dt.time.fromisoformat,
    "datetime": dt.datetime.fromisoformat,
    "Decimal": decimal.Decimal,
    "UUID": uuid.UUID,
    "float": float,
    "bytes": bytes.fromhex,
    "IPv4Address": ipaddress.ip_address,
    "IPv6Address": ipaddress.ip_address,
    "IPv4Network": ipaddress.ip_network,
    "IPv6Network": ipaddress.ip_network,
    "IPv4Interface": ipaddress.ip_interface,
    "IPv6Interface": ipaddress.ip_interface,
}


def _write(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else ["float", str(value)]
    if isinstance(value, list | tuple):
        return [type(value).__name__, *(_write(one) for one in value)]
    if isinstance(value, dict):
        return ["dict", *([_write(key), _write(one)] for key, one in value.items())]
    if isinstance(value, dt.timedelta):
        return ["timedelta", value.days, value.seconds, value.microseconds]
    if isinstance(value, memoryview | bytearray):
        value = bytes(value)
    name = next((one.__name__ for one in type(value).__mro__ if one.__name__ in _TEXTS), None)
    if name is None:
        raise NotRecordable(type(value).__name__)
    text = (
        value.hex()
        if name == "bytes"
        else value.isoformat()
        if hasattr(value, "isoformat")
        else str(value)
    )
    return [name, text]


def _read(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    name, rest = value[0], value[1:]
    if name == "dict":
        return {_read(key): _read(one) for key, one in rest}
    if name == "timedelta":
        return dt.timedelta(*rest)
    if name in _TEXTS:
        return _TEXTS[name](rest[0])
    parts: Sequence[Any] = [_read(one) for one in rest]
    return tuple(parts) if name == "tuple" else list(parts)
