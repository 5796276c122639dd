"""Timeline: duration of a revision's statements, and the queries that wait meanwhile.

The durations are estimates for tables of known or of assumed sizes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from liftlock.broker.table_size import Size
from liftlock.check.report import Estimate
from liftlock.model.lock import LockMode
from liftlock.planning.cost import BYTES_SCANNED, ROWS_BACKFILLED, ROWS_INDEXED
from liftlock.shadow.observed import ObservedStatement
from liftlock.shadow.result import RevisionResult, RunResult

MOMENT = 0.01
"""Seconds of a statement that only changes the catalog, with its commit."""
ASSUMED = Size(1_000_000_000, 10_000_000, 0)
"""Size of a table of which nothing is known."""
_VALIDATION_LOCKS = frozenset(
    {LockMode.SHARE_UPDATE_EXCLUSIVE, LockMode.SHARE_ROW_EXCLUSIVE, LockMode.ACCESS_EXCLUSIVE}
)
"""Lock modes on the referencing table while its foreign key is validated."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A statement's time on a timeline.

    Parameters:
        statement: the statement.
        begins: its start, in seconds after the first statement's.
        lasts: its duration, in seconds.
        rows: tables of which the transaction has locked rows.
    """

    statement: ObservedStatement
    begins: float
    lasts: float
    rows: frozenset[str]

    @property
    def ends(self) -> float:
        """Its end, in seconds after the first statement's start."""
        return self.begins + self.lasts

    @property
    def waits(self) -> str:
        """Return the queries that wait at most: ``reads and writes``, ``writes``, ``nothing``."""
        if "reads and writes" in self.statement.blocked:
            return "reads and writes"
        return "writes" if self.statement.blocked or self.rows else "nothing"


def timeline(
    observed: Iterable[ObservedStatement], sizes: Mapping[str, Size]
) -> tuple[Interval, ...]:
    """Return the statements one after another, without those that failed.

    Parameters:
        observed: statements of one run of a revision.
        sizes: sizes of the tables.
    """
    intervals: list[Interval] = []
    rows_locked: dict[int, frozenset[str]] = {}
    begins = 0.0
    for statement in observed:
        if statement.error:
            continue
        transaction = statement.transaction
        rows = rows_locked.get(transaction, frozenset()) | statement.locks_rows
        rows_locked[transaction] = rows
        lasts = seconds_of_work(statement, sizes) or MOMENT
        intervals.append(Interval(statement, begins, lasts, rows))
        begins = intervals[-1].ends
    return tuple(intervals)


def seconds_taken(intervals: Sequence[Interval]) -> float:
    """Return the duration of all statements."""
    return intervals[-1].ends if intervals else 0.0


def seconds_blocked(intervals: Iterable[Interval]) -> float:
    """Return the longest time for which queries of one table wait, in seconds.

    The later statements of a transaction prolong the locks of the earlier ones.
    """
    longest = 0.0
    locked_since: dict[tuple[int, str], float] = {}
    for interval in intervals:
        statement = interval.statement
        for table in interval.rows.union(*statement.blocked.values()):
            key = (statement.transaction, table)
            since = locked_since.setdefault(key, interval.begins)
            longest = max(longest, interval.ends - since)
    return longest


def estimates(
    results: Iterable[RevisionResult], sizes: Mapping[str, Size]
) -> dict[str, tuple[Estimate, Estimate]]:
    """Return the estimates of a report by revision: by Alembic, by liftlock; none without sizes."""
    if not sizes:
        return {}
    return {
        result.revision.id: (_estimate(result.alembic, sizes), _estimate(result.liftlock, sizes))
        for result in results
    }


def _estimate(run: RunResult, sizes: Mapping[str, Size]) -> Estimate:
    intervals = timeline(run.observed, sizes)
    succeeded = iter(intervals)
    statements = tuple(
        None if statement.error else _estimate_of(next(succeeded)) for statement in run.observed
    )
    return Estimate(seconds_taken(intervals), seconds_blocked(intervals), statements)


def _estimate_of(interval: Interval) -> Estimate:
    blocks = 0.0 if interval.waits == "nothing" else interval.lasts
    return Estimate(interval.lasts, blocks)


def sizes_or_assumed(
    results: Iterable[RevisionResult], sizes: Mapping[str, Size]
) -> Mapping[str, Size]:
    """Return the known sizes; without any, an assumed size for each table that is worked on."""
    if sizes:
        return sizes
    runs = (run for result in results for run in (result.alembic, result.liftlock))
    statements = (statement for run in runs for statement in run.observed)
    tables = {table for statement in statements for table in _tables_worked(statement)}
    return dict.fromkeys(tables, ASSUMED)


def _tables_worked(statement: ObservedStatement) -> Iterator[str]:
    """Yield the tables on which a statement's work depends."""
    work = statement.work
    yield from (*work.rewrites, *work.scans, *work.builds, *work.updates)
    if work.validates:
        yield from (lock.relation for lock in statement.held)


def seconds_of_work(statement: ObservedStatement, sizes: Mapping[str, Size]) -> float:
    """Return the rough duration of a statement's work; 0 for work that doesn't grow with a table.

    Parameters:
        statement: the statement.
        sizes: sizes of tables, by their names as SQL text.
    """

    def scan(table: str) -> float:
        return sizes[table].bytes / BYTES_SCANNED if table in sizes else 0.0

    def rows(table: str) -> float:
        return sizes[table].rows if table in sizes else 0.0

    work = statement.work
    # Relative to one scan, a rewrite is counted as three, and an index build as two and its rows.
    rewriting = sum(3 * scan(table) for table in work.rewrites)
    building = sum(2 * scan(table) + rows(table) / ROWS_INDEXED for table in work.builds)
    updating = sum(scan(table) + rows(table) / ROWS_BACKFILLED for table in work.updates)
    scanning = sum(scan(table) for table in work.scans)
    locks = (lock for lock in statement.held if lock.mode in _VALIDATION_LOCKS)
    validating = max((scan(lock.relation) for lock in locks), default=0.0)
    if not work.validates:
        validating = 0.0
    return rewriting + building + updating + validating + scanning
