"""Updates of whole tables in batches, each in its own transaction, which also stores the cursor.

A batch is a range of a unique key or of blocks. Its size follows from the time that the one before
took. Rows that the application changes meanwhile are safe: an UPDATE evaluates its condition again
on the new version of a row that it had to wait for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from liftlock.postgres.catalog import Execute
from liftlock.postgres.cursor import Cursor, Position
from liftlock.postgres.queries import CATALOG
from liftlock.postgres.ranges import BLOCKS_PER_ROW, Blocks, Ranges, ranges_of, reads_blocks
from liftlock.postgres.row_updates import (
    BackfillTask,
    Database,
    NeverFinishes,
    RowsLocked,
    update_rows,
    update_rows_and_verify,
    update_rows_once,
)

__all__ = [
    "BackfillTask",
    "Batch",
    "Cursor",
    "Database",
    "NeverFinishes",
    "RowsLocked",
    "fill_blocks",
    "find_failing_row",
    "run",
    "tables",
]

_FIRST_SIZE = 1_000
_LEAST_SIZE = 100
_MOST_SIZE = 100_000
"""Rows of a batch: in the first one, at least, at most."""

_MOST_GROWTH = 4.0
"""The most by which a batch may be larger than the one before, as a factor."""

_MOST_PASSES = 5
"""Passes over a table, unless rows stay locked. Rows that the application keeps inserting without
the new value need a default, not more passes."""

_SHRINK = 8
"""The factor by which ranges become smaller in the search for a failing row."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch that is updated and not yet committed.

    Parameters:
        cursor: the position after it.
        rows: the number of rows updated since the backfill began.
        rate: rows a second.
        last: whether the backfill is finished.
        done: the number of rows updated in this batch.
        skipped: the number of rows not updated because other sessions have them locked.
        seconds: how long the batch took.
    """

    cursor: Cursor
    rows: int = 0
    rate: float = 0.0
    last: bool = False
    done: int = 0
    skipped: int = 0
    seconds: float = 0.0


def run(
    database: Database,
    backfill: BackfillTask,
    cursor: Cursor | None,
    seconds: Callable[[], float],
    total: float = 0,
) -> Iterator[Batch]:
    """Update batch by batch; the caller stores the cursor and commits after each.

    There are several passes, since rows may be inserted or moved before the current position, or be
    locked. The last pass is one that finds no row; or one that finds as many as the pass before,
    because their new values leave the condition true; or the fifth. Passes after the first go by
    blocks where PostgreSQL reads a range of blocks without a scan of the table, which is faster.

    Without a condition an updated row can't be distinguished from another one. Then there is one
    pass, and the keys of locked rows are kept in the cursor until its end.

    Parameters:
        database: runs statements.
        backfill: the update to run.
        cursor: the position of an earlier attempt; None to begin.
        seconds: returns how long the next batch may take.
        total: the estimated number of rows; 0 if unknown.

    Raises:
        NeverFinishes: all rows of the first batch that has rows still satisfy the condition.
        RowsLocked: rows are locked, and updating the others is impossible.
    """
    if cursor is None:
        cursor = Cursor(relation=backfill.relation, total=max(total, 0))
    rows_before = cursor.rows
    started = time.monotonic()
    remaining = [
        table for table in tables(database.rows, backfill.relation) if table not in cursor.finished
    ]
    for table in remaining:
        if cursor.table != table:
            cursor = cursor.begin_table(table, by_blocks=backfill.by_blocks)
        for result in _update_table(database, replace(backfill, table=table), cursor, seconds):
            cursor = result.cursor
            if cursor.over:
                cursor = cursor.finish_table()
            elapsed = max(time.monotonic() - started, 1e-6)
            yield Batch(
                cursor=cursor,
                rows=cursor.rows,
                rate=(cursor.rows - rows_before) / elapsed,
                last=cursor.over and table == remaining[-1],
                done=result.updated,
                skipped=result.skipped,
                seconds=result.seconds,
            )


@dataclass(frozen=True, slots=True)
class _RangeResult:
    """The result of one range of a table: the cursor after it, and what was updated in it."""

    cursor: Cursor
    updated: int = 0
    skipped: int = 0
    seconds: float = 0.0


def _update_table(
    database: Database, backfill: BackfillTask, cursor: Cursor, seconds: Callable[[], float]
) -> Iterator[_RangeResult]:
    """Update the ranges of one table or partition, in as many passes as necessary."""
    size = _FIRST_SIZE
    ranges = ranges_of(database.rows, backfill.table, blocks=cursor.blocks)
    while not cursor.over:
        started = time.monotonic()
        end = ranges.end(database.rows, backfill.table, cursor.at, size)
        if end is not None:
            result = _update_range(database, backfill, ranges, cursor, end)
        elif cursor.left:
            result = _update_left(database, backfill, ranges, cursor)
        else:
            by_blocks = reads_blocks(database.rows)
            result = _RangeResult(_finish_pass(backfill, cursor, by_blocks=by_blocks))
            ranges = ranges_of(database.rows, backfill.table, blocks=by_blocks)
        cursor = result.cursor
        elapsed = max(time.monotonic() - started, 1e-6)
        yield replace(result, seconds=elapsed)
        if cursor.at is not None:
            size = _next_size(size, seconds() / elapsed)


def _next_size(size: int, factor: float) -> int:
    """Return the size of the next batch, from how much longer than the one before it may take."""
    return int(min(max(size * min(factor, _MOST_GROWTH), _LEAST_SIZE), _MOST_SIZE))


def _finish_pass(backfill: BackfillTask, cursor: Cursor, *, by_blocks: bool) -> Cursor:
    """Return the cursor at the beginning of the next pass, or with ``over`` after the last."""
    passes = cursor.passes + 1
    unchanged = cursor.earlier is not None and cursor.found >= cursor.earlier
    complete = cursor.found == 0 or unchanged or passes >= _MOST_PASSES
    return replace(
        cursor,
        at=None,
        found=0,
        skipped=0,
        earlier=None if cursor.skipped else cursor.found,
        passes=passes,
        over=not backfill.where or (cursor.skipped == 0 and complete),
        blocks=by_blocks,
    )


def _update_range(
    database: Database, backfill: BackfillTask, ranges: Ranges, cursor: Cursor, end: Position
) -> _RangeResult:
    condition = ranges.between(cursor.at, end)
    if not backfill.where:
        updated, locked = update_rows_once(database, backfill, ranges.key, condition)
        skipped = len(locked)
        cursor = replace(cursor, left=(*cursor.left, *locked))
    elif cursor.proven:
        updated, skipped = update_rows(database, backfill, condition)
    else:
        updated, skipped, proven = update_rows_and_verify(database, backfill, condition)
        cursor = replace(cursor, proven=proven)
    cursor = replace(
        cursor,
        at=end,
        rows=cursor.rows + updated,
        found=cursor.found + updated,
        skipped=cursor.skipped + skipped,
    )
    return _RangeResult(cursor, updated, skipped)


def _update_left(
    database: Database, backfill: BackfillTask, ranges: Ranges, cursor: Cursor
) -> _RangeResult:
    """Update the rows that were locked when their range was updated; those still locked stay."""
    condition = ranges.among(cursor.left)
    updated, locked = update_rows_once(database, backfill, ranges.key, condition)
    cursor = replace(cursor, rows=cursor.rows + updated, left=tuple(locked))
    return _RangeResult(cursor, updated, len(locked))


def tables(execute: Execute, relation: str) -> list[str]:
    """Return the tables that hold a table's rows: its partitions, or it and those that inherit.

    A table without partitions and inheriting tables is returned as it is given.
    """
    leaves = [row["relation"] for row in execute(CATALOG["leaves"], {"relation": relation})]
    return leaves or [relation]


def fill_blocks(
    database: Database, backfill: BackfillTask, start: int, end: int, seconds: float
) -> Iterator[int]:
    """Update the rows of a range of blocks that still need it, batch by batch.

    Parameters:
        database: runs statements.
        backfill: the update to run; it has a condition.
        start: the first block.
        end: the block after the last one.
        seconds: how long a batch may take.

    Yields:
        The number of rows updated in each batch.
    """
    ranges = Blocks()
    first = start
    size = _FIRST_SIZE
    while first < end:
        started = time.monotonic()
        after_last = min(first + max(1, int(size * BLOCKS_PER_ROW)), end)
        updated, _ = update_rows(database, backfill, ranges.between(first, after_last))
        yield updated
        first = after_last
        elapsed = max(time.monotonic() - started, 1e-6)
        size = _next_size(size, seconds / elapsed)


def find_failing_row(
    database: Database,
    undone: Callable[[], AbstractContextManager[None]],
    backfill: BackfillTask,
    cursor: Cursor | None,
    fails: Callable[[Exception], bool],
) -> str:
    """Return which row can't be updated: its key, or its block if the table has no key.

    Smaller and smaller ranges are updated and rolled back, from the position of the backfill, or
    from the beginning if it goes by blocks.

    Parameters:
        database: runs statements.
        undone: returns a context manager that rolls back what is run in it.
        backfill: the update.
        cursor: the position of the backfill; None if it hasn't begun.
        fails: returns whether an error is caused by a row.
    """
    for table in tables(database.rows, backfill.relation):
        start = None
        if cursor is not None:
            if table in cursor.finished:
                continue
            if table == cursor.table and not cursor.blocks:
                start = cursor.at
        row = _failing_row(database, undone, replace(backfill, table=table), start, fails)
        if row:
            return row
    return ""


def _failing_row(
    database: Database,
    undone: Callable[[], AbstractContextManager[None]],
    backfill: BackfillTask,
    start: Position | None,
    fails: Callable[[Exception], bool],
) -> str:
    ranges = ranges_of(database.rows, backfill.table)
    size = _MOST_SIZE
    while (end := ranges.end(database.rows, backfill.table, start, size)) is not None:
        try:
            with undone():
                update_rows(database, backfill, ranges.between(start, end))
        except Exception as error:
            if not fails(error):
                raise
            if size == 1:
                return ranges.describe(end)
            size = max(size // _SHRINK, 1)
        else:
            start = end
    return ""
