"""Runs a backfill: batch by batch, as fast as the others allow, until it is paused, cancelled or done."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from liftlock.errors import LiftlockError, NotNow, StepFailed, UnsafeRevision
from liftlock.events import Event
from liftlock.execution.attempt import Attempt, PendingStep
from liftlock.execution.database_errors import (
    LOCK_NOT_AVAILABLE,
    is_row_error,
    server_message,
    sqlstate,
)
from liftlock.execution.parallel_backfill import ParallelBackfill
from liftlock.planning.steps import CONVERSION_SETTINGS
from liftlock.postgres import batches, catalog, ranges
from liftlock.postgres.advisory_lock import describe_session
from liftlock.postgres.queries import QUERIES

T = TypeVar("T")

_SECONDS = 0.5
"""How long between two looks while it is paused, the replicas are behind, or rows are locked."""


class BackfillRunner:
    """Runs the backfills of a revision.

    Parameters:
        work: the attempt that they belong to.
    """

    def __init__(self, work: Attempt) -> None:
        self._work, self._working, self._policy = work, work.working, work.policy
        self._progressed = 0.0
        self._seconds = work.policy.batch_seconds

    def fill(self, part: PendingStep) -> None:
        """Update all rows that are still to be updated.

        Raises:
            StepFailed: a row can't be updated.
            NotNow: it was cancelled, or rows stay locked until the deadline.
            UnsafeRevision: it would never end.
        """
        step, work = part.step, self._work
        work.done(part, finished=False)
        work.commit_point()
        backfill = batches.BackfillTask(step.tables[0], step.sql, step.where)
        cursor, self._progressed = part.known.cursors.get(part.number), time.monotonic()
        table = catalog.table(self._working.rows, backfill.relation)
        total = table.rows if table else 0
        self._working.commit()
        if cursor is None:
            backfill = self._shared(part, backfill, total)
        try:
            for batch in batches.run(self, backfill, cursor, lambda: self._seconds, total):
                work.ledger.advance(work.progress, part.key, part.number, batch.cursor)
                self._policy.check()
                self._working.commit()
                cursor = part.known.cursors[part.number] = batch.cursor
                work.run.finished += batch.done > 0
                self._policy.report_progress(step.tables[0], batch)
                self._give_way(part, batch)
        except batches.NeverFinishes:
            raise self._endless(part) from None
        except (
            batches.RowsLocked
        ) as collision:  # the whole table is locked; the next attempt goes on from the cursor
            raise collision.__cause__ or collision from None
        except Exception as error:
            if not is_row_error(error):
                raise
            raise self._poisoned(error, part, backfill, cursor) from error
        work.done(part)
        work.commit_point()

    def _shared(
        self, part: PendingStep, backfill: batches.BackfillTask, total: float
    ) -> batches.BackfillTask:
        """Let several workers do what they can, when they are asked for and PostgreSQL can read a range of blocks by itself."""
        number, working = self._policy.throttle.workers, self._working
        if number == 1 or not backfill.where or not ranges.reads_blocks(working.rows):
            return backfill
        listed = {"names": ["search_path", *CONVERSION_SETTINGS]}
        settings = {
            str(row["name"]): str(row["value"])
            for row in working.rows(QUERIES["settings_named"], listed)
        }
        tables = {
            one: ranges.blocks_of(working.rows, one)
            for one in batches.tables(working.rows, backfill.relation)
        }
        working.commit()
        workers = ParallelBackfill(
            self._policy.lock, number, settings, self._policy.budget, self._policy.batch_seconds
        )
        begun = time.monotonic()

        def between() -> bool:
            self._policy.check()
            rate = workers.rows / max(time.monotonic() - begun, 1e-6)
            self._policy.report_progress(
                backfill.relation, batches.Batch({"total": total}, workers.rows, rate)
            )
            return not self._reason_to_wait(part)

        for table, blocks in tables.items():
            workers.run(backfill, table, blocks, between)
        return replace(backfill, by_blocks=True)

    # Others first.

    def rows(self, statement: str, parameters: Mapping[str, object]) -> Sequence[Mapping[str, Any]]:
        """The rows of a statement.

        Raises:
            batches.RowsLocked: it waited in vain for a row that somebody else has locked.
        """
        return self._sent(lambda: self._working.rows(statement, parameters))

    def count(self, statement: str, parameters: Mapping[str, object]) -> int:
        """How many rows a statement changed.

        Raises:
            batches.RowsLocked: it waited in vain for a row that somebody else has locked.
        """
        return self._sent(lambda: self._working.count(statement, parameters))

    def _sent(self, send: Callable[[], T]) -> T:
        try:
            return send()
        except Exception as error:
            self._policy.check()
            if sqlstate(error) != LOCK_NOT_AVAILABLE:
                raise
            self._working.rollback()
            raise batches.RowsLocked from error

    def _give_way(self, part: PendingStep, batch: batches.Batch) -> None:
        """Between two batches: leave time to others, wait for replicas, and see whether somebody wants it to stop."""
        policy = self._policy
        if batch.done:
            self._progressed = time.monotonic()
        elif batch.skipped and time.monotonic() - self._progressed > policy.deadline:
            raise self._locked(part)
        most = policy.batch_seconds
        self._seconds = (
            max(self._seconds / 2, most / 8)
            if policy.lock.had_waiters()
            else min(self._seconds * 1.2, most)
        )
        share = policy.throttle.share
        pause = batch.seconds * (1 / share - 1) if share < 1 else 0.0
        if batch.skipped and not batch.done:
            pause = max(pause, _SECONDS)
        self._sleep(pause)
        told = ""
        while reason := self._reason_to_wait(part):
            if reason != told:
                told = reason
                policy.notify(
                    Event(
                        "backfill.paused",
                        f"backfill of {part.step.tables[0]}: {reason}",
                        {"reason": reason},
                        warning=True,
                    )
                )
            self._sleep(_SECONDS)
            self._progressed = time.monotonic()

    def _sleep(self, seconds: float) -> None:
        """Sleep; a signal ends it."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._policy.check()
            time.sleep(min(left, _SECONDS))

    def _reason_to_wait(self, part: PendingStep) -> str:
        wish = self._policy.lock.requested_state(self._work.progress.execution)
        if wish == "cancel":
            self._work.ledger.request(self._work.progress, "run")
            self._working.commit()
            raise self._cancelled(part)
        if wish == "pause":
            return "paused; `liftlock backfill resume` lets it go on"
        behind = self._policy.lock.replica_lag()
        most = self._policy.throttle.lag
        return f"a replica is more than {most:g} s behind" if behind > most else ""

    # What can go wrong.

    def _poisoned(
        self, error: Exception, part: PendingStep, backfill: batches.BackfillTask, cursor: Any
    ) -> LiftlockError:
        """A row's new value can't be made: which one?"""
        self._working.rollback()
        row = batches.find_failing_row(
            self._working, self._working.undone, backfill, cursor, is_row_error
        )
        operation = part.operation
        if part.step.undo:
            self._work.take_back(part)
        return StepFailed(
            "LL-ROW-NOT-UPDATABLE",
            f"revision {self._work.progress.revision}, line {operation.line or '?'}: a row of {operation.table or backfill.relation}"
            f" can't be updated: {row or 'which has changed since'}\n{operation.sql[:300]}\n{server_message(error).splitlines()[0]}",
            why="What was done for this operation is taken back."
            if part.step.undo
            else "The rows before it are done, and stay so.",
            now="Correct that row, then run again.",
        )

    def _endless(self, part: PendingStep) -> LiftlockError:
        operation = part.operation
        return UnsafeRevision(
            "LL-BACKFILL-NEVER-FINISHES",
            f"revision {self._work.progress.revision}, line {operation.line or '?'}: the rows stay as they are said to need it:"
            f"\n{operation.sql[:300]}",
            why="A backfill ends when no row needs it any more; this one would go on for ever.",
            now="Give a `where` that the update makes false, or none.",
        )

    def _cancelled(self, part: PendingStep) -> LiftlockError:
        return NotNow(
            "LL-BACKFILL-CANCELLED",
            f"revision {self._work.progress.revision}: the backfill of {part.step.tables[0]} was cancelled by `liftlock backfill cancel`.",
            why="The rows that are done stay so, and are in the ledger.",
            now="Run the same command again to go on from there.",
        )

    def _locked(self, part: PendingStep) -> LiftlockError:
        blocked = "".join(
            f"\nblocked by {describe_session(row)}" for row in self._policy.lock.blockers
        )
        return NotNow(
            "LL-ROWS-STAY-LOCKED",
            f"revision {self._work.progress.revision}: the last rows of {part.step.tables[0]} to be filled stay locked by others{blocked}",
            why="All other rows are done, and are in the ledger.",
            now="Run the same command again, with a longer --deadline.",
        )
