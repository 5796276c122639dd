"""Updates a whole table in slices, each in a transaction of its own that also says how far it came.

A slice is a range of a unique key, else of blocks. It is sized by time. The rows that the application
changes meanwhile are safe: each row's condition is judged again when its turn comes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from liftlock.postgres.catalog import Execute
from liftlock.postgres.queries import CATALOG
from liftlock.postgres.ranges import BLOCKS_PER_ROW, Blocks, Ranges, ranges_of, reads_blocks

_FIRST = 1_000
_LEAST, _MOST = 100, 100_000
_PASSES = 5
_CUT = 8
"""How much smaller the slices become when one row of a slice fails."""
_MOST_LEFT = 100_000
"""Bytes of the keys of locked rows that a cursor may hold from one slice; more are waited for."""
_LONGEST_STEP = 4.0
"""A slice grows at most so many times from one to the next."""


class Database(Protocol):
    """Runs statements with named parameters."""

    def rows(self, statement: str, parameters: Mapping[str, object]) -> Sequence[Mapping[str, Any]]:
        """The rows of a query."""

    def count(self, statement: str, parameters: Mapping[str, object]) -> int:
        """How many rows a statement changed."""


class RowsLocked(Exception):
    """Rows of a slice are locked by somebody else; raised by the caller's ``Database``, with a new transaction begun."""


class NeverFinishes(Exception):
    """The update leaves its own condition true, so it would go on for ever."""


_BEGINNING: dict[str, Any] = {
    "at": None,
    "found": 0,
    "skipped": 0,
    "earlier": None,
    "passes": 0,
    "over": False,
    "blocks": False,
    "left": [],
}
"""Where the backfill of a table, or of a partition, begins."""


@dataclass(frozen=True, slots=True)
class BackfillTask:
    """What is to be done.

    Parameters:
        relation: the table, as SQL text.
        values: the SET clause.
        where: which rows still need it; the update must make it false. Empty for all rows, once.
        table: the same table, or the partition that is updated now.
        by_blocks: whether it goes by blocks from the first pass on.
    """

    relation: str
    values: str
    where: str
    table: str = ""
    by_blocks: bool = False

    @property
    def target(self) -> str:
        """What is updated, by the name that the project's SQL knows it by."""
        return (
            self.table
            if self.table == self.relation
            else f"{self.table} AS {self.relation.rpartition('.')[2]}"
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """A slice that was updated and not yet committed.

    Parameters:
        cursor: where to go on.
        rows: updated so far.
        rate: rows a second.
        last: whether nothing is left.
        done: how many rows of this slice were updated.
        skipped: how many weren't, since somebody has them locked.
        seconds: how long it took.
    """

    cursor: dict[str, Any] = field(default_factory=dict)
    rows: int = 0
    rate: float = 0.0
    last: bool = False
    done: int = 0
    skipped: int = 0
    seconds: float = 0.0


def run(
    database: Database,
    backfill: BackfillTask,
    cursor: Mapping[str, Any] | None,
    seconds: Callable[[], float],
    total: float = 0,
) -> Iterator[Batch]:
    """Update slice by slice; the caller commits after each.

    Parameters:
        database: runs statements.
        backfill: what is to be done.
        cursor: where an earlier attempt came to; None to begin.
        seconds: how long the next slice is to take.
        total: how many rows there are, as far as is known.

    Rows that came or moved behind the cursor, or were locked, are met by another pass. It ends when a pass finds none; when it
    finds as many as the one before, since their new values leave the condition true; or after some passes, since rows that
    others keep writing are a default's business. The later passes go by blocks, which is faster where a slice of blocks is read
    alone (PostgreSQL 14). Without a condition there is one pass, and the keys of rows that are locked are kept for its end.

    Raises:
        Endless: the first rows that are updated all leave the condition true.
    """
    beginning = {
        "relation": backfill.relation,
        "total": max(total, 0),
        "rows": 0,
        "finished": [],
        "table": "",
        "proven": False,
    }
    state = {"left": []} | dict(cursor or beginning)
    before, started = int(state["rows"]), time.monotonic()
    rest = [one for one in tables(database.rows, backfill.relation) if one not in state["finished"]]
    for table in rest:
        if state["table"] != table:
            state |= _BEGINNING | {"table": table, "blocks": backfill.by_blocks}
        for batch in _run_batch(database, replace(backfill, table=table), state, seconds):
            over = state["over"] and table == rest[-1]
            if state["over"]:
                state["finished"] = [*state["finished"], table]
            rate = (state["rows"] - before) / max(time.monotonic() - started, 1e-6)
            yield replace(batch, cursor=dict(state), rows=state["rows"], rate=rate, last=over)


def _run_batch(
    database: Database, backfill: BackfillTask, state: dict[str, Any], seconds: Callable[[], float]
) -> Iterator[Batch]:
    """The slices of one table, or of one partition."""
    size = _FIRST
    ranges = ranges_of(database.rows, backfill.table, blocks=state["blocks"])
    while not state["over"]:
        begun, done, skipped = time.monotonic(), 0, 0
        end = ranges.end(database.rows, backfill.table, state["at"], size)
        if end is None and state["left"]:
            end, keys = state["at"], state["left"]
            done, state["left"] = _run_single_pass(database, backfill, ranges, ranges.among(keys))
            state["rows"], skipped = state["rows"] + done, len(state["left"])
        elif end is None:
            _finish_pass(backfill, state)
            state["blocks"] = reads_blocks(database.rows)
            ranges = ranges_of(database.rows, backfill.table, blocks=state["blocks"])
        else:
            done, skipped = _slice(database, backfill, ranges, end, state)
            state |= {
                "rows": state["rows"] + done,
                "found": state["found"] + done,
                "skipped": state["skipped"] + skipped,
            }
        state["at"] = end
        took = max(time.monotonic() - begun, 1e-6)
        yield Batch(done=done, skipped=skipped, seconds=took)
        if end is not None:
            size = int(min(max(size * min(seconds() / took, _LONGEST_STEP), _LEAST), _MOST))


def _finish_pass(backfill: BackfillTask, state: dict[str, Any]) -> None:
    found, skipped, earlier, passes = (
        state["found"],
        state["skipped"],
        state["earlier"],
        state["passes"] + 1,
    )
    steady = earlier is not None and found >= earlier
    over = not backfill.where or (skipped == 0 and (found == 0 or steady or passes >= _PASSES))
    state |= {
        "earlier": None if skipped else found,
        "found": 0,
        "skipped": 0,
        "passes": passes,
        "over": over,
    }


def _slice(
    database: Database, backfill: BackfillTask, ranges: Ranges, end: Any, state: dict[str, Any]
) -> tuple[int, int]:
    """Update a slice; how many rows were, and how many weren't since somebody has them locked."""
    condition = ranges.between(state["at"], end)
    if not backfill.where:
        done, left = _run_single_pass(database, backfill, ranges, condition)
        state["left"] = [*state["left"], *left]
        return done, len(left)
    return (
        _update(database, backfill, condition)
        if state["proven"]
        else _proven(database, backfill, condition, state)
    )


def _proven(
    database: Database,
    backfill: BackfillTask,
    condition: tuple[str, dict[str, object]],
    state: dict[str, Any],
) -> tuple[int, int]:
    """Update a slice; the first that has rows is asked whether it makes the condition false."""
    text, values = condition
    update = f"UPDATE {backfill.target} SET {backfill.values} WHERE {text} AND ({backfill.where}) RETURNING ({backfill.where}) AS still"
    counted = f"WITH done AS ({update}) SELECT count(*) AS done, count(*) FILTER (WHERE still) AS still FROM done"
    try:
        found = database.rows(_escaped(counted, values), values)[0]
    except RowsLocked:
        return _update(database, backfill, condition)
    if found["done"] and found["still"] == found["done"]:
        raise NeverFinishes
    state["proven"] = bool(found["done"])
    return int(found["done"]), 0


def _run_single_pass(
    database: Database,
    backfill: BackfillTask,
    ranges: Ranges,
    condition: tuple[str, dict[str, object]],
) -> tuple[int, list[list[str]]]:
    """Update rows, each of them once; how many were, and the keys of those that somebody has locked: no other pass finds them."""
    text, values = condition
    try:
        return database.count(
            _escaped(f"UPDATE {backfill.target} SET {backfill.values} WHERE {text}", values), values
        ), []
    except RowsLocked as collision:
        free = f"SELECT ctid AS ll_at, {ranges.key} AS ll_key FROM {backfill.target} WHERE {text} FOR NO KEY UPDATE SKIP LOCKED"
        update = f"UPDATE {backfill.target} SET {backfill.values} WHERE ctid = ANY (ARRAY(SELECT ll_at FROM free)) AND {text} RETURNING 1"
        left = f"SELECT {ranges.key} FROM {backfill.target} WHERE {text} EXCEPT SELECT ll_key FROM free"
        statement = (
            f"WITH free AS MATERIALIZED ({free}), done AS ({update}) SELECT (SELECT count(*) FROM done) AS done,"
            f" (SELECT count(*) FROM free) AS free, CAST(to_jsonb(ARRAY({left})) AS text) AS locked"
        )
        found = database.rows(_escaped(statement, values), values)[0] if ranges.key else None
        if found is None or found["done"] != found["free"] or len(found["locked"]) > _MOST_LEFT:
            raise (
                collision.__cause__ or collision
            ) from None  # a row was changed just now, or most of them are locked: try again
        return int(found["done"]), json.loads(found["locked"])


def tables(execute: Execute, relation: str) -> list[str]:
    """The partitions, or the tables that inherit, which hold a table's rows; the table itself where there are none."""
    return [row["relation"] for row in execute(CATALOG["leaves"], {"relation": relation})] or [
        relation
    ]


def fill_blocks(
    database: Database, backfill: BackfillTask, start: int, end: int, seconds: float
) -> Iterator[int]:
    """Update the rows of a range of blocks that still need it, slice by slice; yields how many each had.

    Parameters:
        database: runs statements.
        backfill: what is to be done; it has a condition.
        start, end: the first block, and the one after the last.
        seconds: how long a slice is to take.
    """
    ranges, at, size = Blocks(), start, _FIRST
    while at < end:
        begun = time.monotonic()
        until = min(at + max(1, int(size * BLOCKS_PER_ROW)), end)
        done, _ = _update(database, backfill, ranges.between(at, until))
        yield done
        at = until
        took = max(time.monotonic() - begun, 1e-6)
        size = int(min(max(size * min(seconds / took, _LONGEST_STEP), _LEAST), _MOST))


def find_failing_row(
    database: Database,
    undone: Callable[[], AbstractContextManager[None]],
    backfill: BackfillTask,
    cursor: Mapping[str, Any] | None,
    fails: Callable[[Exception], bool],
) -> str:
    """Which row can't be updated, by its key; where there is none, in which block it is.

    Slices are tried and undone, ever smaller ones: from where the backfill is, or from the beginning when it goes by blocks.

    Parameters:
        database: runs statements.
        undone: what is run in it is undone.
        backfill: what is to be done.
        cursor: where it came to.
        fails: whether an error is the row's.
    """
    state = dict(cursor or {"finished": [], "table": ""})
    for table in tables(database.rows, backfill.relation):
        known = state if table == state["table"] and not state["blocks"] else _BEGINNING
        if table not in state["finished"]:
            found = _failing(database, undone, replace(backfill, table=table), known, fails)
            if found:
                return found
    return ""


def _failing(
    database: Database,
    undone: Callable[[], AbstractContextManager[None]],
    backfill: BackfillTask,
    state: Mapping[str, Any],
    fails: Callable[[Exception], bool],
) -> str:
    ranges, at, size = ranges_of(database.rows, backfill.table), state["at"], _MOST
    while (end := ranges.end(database.rows, backfill.table, at, size)) is not None:
        try:
            with undone():
                _update(database, backfill, ranges.between(at, end))
        except Exception as error:
            if not fails(error):
                raise
            if size == 1:
                return ranges.named(end)
            size = max(size // _CUT, 1)
        else:
            at = end
    return ""


def _update(
    database: Database, backfill: BackfillTask, condition: tuple[str, dict[str, object]]
) -> tuple[int, int]:
    """Update a slice; how many rows were, and how many are left for another pass since somebody has them locked."""
    text, values = condition
    which = f"{text} AND ({backfill.where or 'true'})"
    update = f"UPDATE {backfill.target} SET {backfill.values} WHERE {which}"
    try:
        return database.count(_escaped(update, values), values), 0
    except RowsLocked:
        free = f"SELECT ctid AS ll_at FROM {backfill.target} WHERE {which} FOR NO KEY UPDATE SKIP LOCKED"
        filled = f"{update} AND ctid = ANY (ARRAY(SELECT ll_at FROM free)) RETURNING 1"
        wanted = f"SELECT count(*) FROM {backfill.target} WHERE {which}"
        statement = f"WITH free AS MATERIALIZED ({free}), done AS ({filled}) SELECT (SELECT count(*) FROM done) AS done, ({wanted}) AS wanted"
        found = database.rows(_escaped(statement, values), values)[0]
        return int(found["done"]), int(found["wanted"]) - int(found["done"])


def _escaped(statement: str, values: Mapping[str, object]) -> str:
    """Colons of the project's own SQL aren't parameters."""
    parts = statement.split(":")
    text = parts[0]
    for part in parts[1:]:
        text += (":" if any(part.startswith(name) for name in values) else "\\:") + part
    return text
