"""The persisted position of a backfill.

The ledger stores it as JSON, in the transaction of each batch. Databases keep cursors of unfinished
backfills, so the names of the fields, which are the keys of the JSON object, are a file format: a
field can be added with a default, but none can be renamed or removed.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

Position = tuple[str, ...] | int
"""The end of a range of rows: a key, as one text for each column, or the number of a block."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """The position of a backfill: which tables are finished, and how far the current one is.

    Parameters:
        relation: the table as SQL text, as the project names it.
        total: the estimated number of its rows; 0 if unknown.
        rows: the number of rows that are updated.
        finished: the finished partitions and inheriting tables; the table itself if it has none.
        table: the table or partition that is being updated; empty at the beginning.
        proven: whether an updated row has made the backfill's condition false.
        at: where the next range begins in ``table``; None at the beginning of a pass.
        found: rows updated in this pass.
        skipped: rows not updated in this pass because other sessions have them locked.
        earlier: rows updated in the pass before; None in the first pass and after one that skipped
            rows.
        passes: finished passes.
        over: whether the last pass over ``table`` is finished.
        blocks: whether the ranges are blocks, not keys.
        left: the keys of locked rows, for a backfill without a condition. It has only one pass, so
            these rows are updated at its end.
    """

    relation: str
    total: float
    rows: int = 0
    finished: tuple[str, ...] = ()
    table: str = ""
    proven: bool = False
    at: Position | None = None
    found: int = 0
    skipped: int = 0
    earlier: int | None = None
    passes: int = 0
    over: bool = False
    blocks: bool = False
    left: tuple[tuple[str, ...], ...] = ()

    def begin_table(self, table: str, *, by_blocks: bool) -> Cursor:
        """Return the cursor at the beginning of another table or partition."""
        return Cursor(
            relation=self.relation,
            total=self.total,
            rows=self.rows,
            finished=self.finished,
            table=table,
            proven=self.proven,
            blocks=by_blocks,
        )

    def finish_table(self) -> Cursor:
        """Return the cursor with the current table among the finished ones."""
        return replace(self, finished=(*self.finished, self.table))

    def dumps(self) -> str:
        """Return the cursor as JSON text for the ledger."""
        return json.dumps(asdict(self))

    @classmethod
    def loads(cls, text: str) -> Cursor:
        """Return a cursor from JSON text of the ledger; fields that it lacks get their defaults.

        Raises:
            ValueError: the text is no JSON.
            TypeError: the object has no relation or no total.
        """
        stored: dict[str, Any] = json.loads(text)
        values = {field.name: stored[field.name] for field in fields(cls) if field.name in stored}
        values["finished"] = tuple(stored.get("finished", ()))
        values["left"] = tuple(tuple(key) for key in stored.get("left", ()))
        if isinstance(stored.get("at"), list):
            values["at"] = tuple(stored["at"])
        return cls(**values)
