"""Results of the statements that a revision sends over its connection, as the ledger keeps them.

A resumed revision gets them again, so it takes the same path (``replay``). The JSON is a persisted
format: users' databases hold it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from liftlock.execution.result_values import decode, encode

Row = tuple[Any, ...]
Description = list[tuple[Any, ...]] | None


class Cursor(Protocol):
    """The part of a DB-API cursor that is used here."""

    @property
    def description(self) -> Sequence[Sequence[Any]] | None:
        """The columns of the result; None where there is none."""

    @property
    def rowcount(self) -> int:
        """The number of rows that the statement returned or changed."""

    def fetchall(self) -> Sequence[Sequence[Any]]:
        """Return the rows that are left."""

    def close(self) -> None:
        """Close the cursor."""


@dataclass(slots=True)
class RecordedResult:
    """The result of one statement.

    Parameters:
        description: the columns, as the DB-API describes them; None where there is no result set.
        rows: all rows.
        rowcount: how many rows the statement returned or changed.
    """

    description: Description
    rows: list[Row]
    rowcount: int

    def dumps(self) -> str:
        """Return the result as JSON.

        Raises:
            NotRecordable: it holds a value of a type that isn't known here.
        """
        columns = None
        if self.description is not None:
            columns = [[column[0], _type_oid(column[1])] for column in self.description]
        rows = [[encode(value) for value in row] for row in self.rows]
        return json.dumps({"columns": columns, "rows": rows, "rowcount": self.rowcount})

    @classmethod
    def loads(cls, text: str) -> RecordedResult:
        """Return the result from its JSON."""
        body = json.loads(text)
        description: Description = None
        if body["columns"] is not None:
            description = [(name, oid, *[None] * 5) for name, oid in body["columns"]]
        rows = [tuple(decode(value) for value in row) for row in body["rows"]]
        return cls(description, rows, body["rowcount"])


class ReplayCursor:
    """A cursor with a recorded result, in place of the driver's.

    Parameters:
        result: the recorded result.
        cursor: the driver's cursor, which answers everything else.
    """

    def __init__(self, result: RecordedResult, cursor: Cursor) -> None:
        self._rows: Iterator[Row] = iter(result.rows)
        self._cursor = cursor
        self.description = result.description
        self.rowcount = result.rowcount
        self.arraysize = 1

    def fetchone(self) -> Row | None:
        """Return the next row; None after the last one."""
        return next(self._rows, None)

    def fetchmany(self, size: int | None = None) -> list[Row]:
        """Return the next rows, at most as many as asked for."""
        most = range(size or self.arraysize)
        return [row for _, row in zip(most, self._rows, strict=False)]

    def fetchall(self) -> list[Row]:
        """Return the rows that are left."""
        return list(self._rows)

    def __iter__(self) -> Iterator[Row]:
        """Iterate over the rows that are left."""
        return self._rows

    def close(self) -> None:
        """Close the driver's cursor."""
        self._cursor.close()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - an attribute of any driver's cursor
        """Return an attribute of the driver's cursor, such as a dialect asks for."""
        return getattr(self._cursor, name)


def capture(cursor: Cursor) -> RecordedResult:
    """Return all of a cursor's result."""
    if not cursor.description:
        return RecordedResult(None, [], cursor.rowcount)
    description = [tuple(column) for column in cursor.description]
    rows = [tuple(row) for row in cursor.fetchall()]
    return RecordedResult(description, rows, cursor.rowcount)


def _type_oid(code: object) -> int | None:
    """Return the OID of a column's type from the type code of any driver."""
    return code if isinstance(code, int) else getattr(code, "oid", None)
