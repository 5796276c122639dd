"""Runs a backfill: batch by batch, as fast as the application and the replicas allow."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from liftlock.errors import LiftlockError, NotNow, StepFailed, UnsafeRevision
from liftlock.execution.attempt import Attempt, PendingStep, Send
from liftlock.execution.backfill_report import BackfillReport
from liftlock.execution.limits import RunLimits
from liftlock.execution.memory import RunMemory
from liftlock.execution.parallel_backfill import ParallelBackfill
from liftlock.execution.revision_errors import blocked_by
from liftlock.execution.session_timeouts import Holds
from liftlock.planning.steps import CONVERSION_SETTINGS
from liftlock.postgres import batches, catalog, ranges
from liftlock.postgres.queries import QUERIES
from liftlock.postgres.sqlstates import (
    LOCK_NOT_AVAILABLE,
    is_row_error,
    is_statement_error,
    server_message,
    sqlstate,
)
from liftlock.sql import excerpt

T = TypeVar("T")

_PAUSE_SECONDS = 0.5
"""The time between two checks while the backfill is paused, replicas lag, or rows are locked."""
_SHRINK = 2
_GROW = 1.2
_SMALLEST_SHARE = 8
"""A batch takes at least this part of the usual time."""


class BackfillRunner:
    """Runs the backfills of a revision. It is also the ``batches.Database`` of their statements.

    Parameters:
        attempt: the attempt that they belong to.
        limits: the limits of the run.
        memory: counts the batches as progress.
    """

    def __init__(self, attempt: Attempt, limits: RunLimits, memory: RunMemory) -> None:
        self._attempt = attempt
        self._transaction = attempt.transaction
        self._connection = attempt.transaction.connection
        self._limits = limits
        self._lock = limits.lock
        self._monitor = limits.lock.monitor
        self._memory = memory
        self._report = BackfillReport(limits.notify)
        self._last_progress = 0.0
        self._batch_seconds = limits.batch_seconds

    def run(self, pending: PendingStep, _send: Send) -> None:
        """Update all rows that still need it.

        Raises:
            StepFailed: a row can't be updated.
            NotNow: the backfill was cancelled, or rows stay locked until the deadline.
            UnsafeRevision: it would never finish.
        """
        step = pending.step
        self._attempt.record(pending, finished=False)
        self._transaction.commit()
        task = batches.BackfillTask(step.tables[0], step.sql, step.where)
        self._last_progress = time.monotonic()
        table = catalog.table(self._connection.rows, task.relation)
        total = table.rows if table else 0
        self._transaction.commit_batch()
        if pending.progress.cursors.get(pending.number) is None:
            task = self._run_parallel(pending, task, total)
        try:
            self._run_batches(pending, task, total)
        except batches.NeverFinishes:
            raise self._never_finishes(pending) from None
        except batches.RowsLocked as locked:
            # The whole table is locked; the next attempt continues from the cursor.
            raise locked.__cause__ or locked from None
        except Exception as error:
            if not is_row_error(error):
                never_began = (
                    pending.number == 0 and pending.progress.cursors.get(pending.number) is None
                )
                if is_statement_error(error) and (pending.step.undo or never_began):
                    self._attempt.undo(pending)
                raise
            raise self._row_not_updatable(error, pending, task) from error
        self._attempt.record(pending)
        self._transaction.commit()

    def _run_batches(self, pending: PendingStep, task: batches.BackfillTask, total: float) -> None:
        """Update batch by batch; each one is committed with the cursor that says how far it is."""
        cursors = pending.progress.cursors
        for batch in batches.run(
            self, task, cursors.get(pending.number), lambda: self._batch_seconds, total
        ):
            self._attempt.journal.advance(pending.key, pending.number, batch.cursor)
            self._transaction.commit_batch()
            cursors[pending.number] = batch.cursor
            self._memory.count_finished(int(batch.done > 0))
            self._report.advanced(pending.step.tables[0], batch)
            self._give_way(pending, batch)

    def _run_parallel(
        self, pending: PendingStep, task: batches.BackfillTask, total: float
    ) -> batches.BackfillTask:
        """Let several workers update what they can; return the task for what they leave.

        They are used when the operator asks for more than one, when a condition tells which rows
        are done, and when PostgreSQL can read a range of blocks alone (14 and newer).
        """
        workers = self._limits.throttle.workers
        if workers == 1 or not task.where or not ranges.reads_blocks(self._connection.rows):
            return task
        listed = {"names": ["search_path", *CONVERSION_SETTINGS]}
        found = self._connection.rows(QUERIES["settings_named"], listed)
        settings = {str(row["name"]): str(row["value"]) for row in found}
        tables = {
            table: ranges.blocks_of(self._connection.rows, table)
            for table in batches.tables(self._connection.rows, task.relation)
        }
        self._transaction.commit_batch()
        parallel = ParallelBackfill(
            self._lock, workers, settings, self._limits.budget, self._limits.batch_seconds
        )
        started = time.monotonic()

        def may_continue() -> bool:
            self._limits.check()
            rate = parallel.rows / max(time.monotonic() - started, 1e-6)
            self._report.advanced_in_parallel(task.relation, parallel.rows, rate, total)
            return not self._reason_to_wait(pending)

        for table, blocks in tables.items():
            parallel.run(task, table, blocks, may_continue)
        return replace(task, by_blocks=True)

    # The database of the batches.

    def rows(self, statement: str, parameters: Mapping[str, object]) -> Sequence[Mapping[str, Any]]:
        """Return the rows of a statement.

        Raises:
            batches.RowsLocked: a row stayed locked by another session until the lock timeout.
        """
        return self._sent(lambda: self._connection.rows(statement, parameters))

    def count(self, statement: str, parameters: Mapping[str, object]) -> int:
        """Return how many rows a statement changed.

        Raises:
            batches.RowsLocked: a row stayed locked by another session until the lock timeout.
        """
        return self._sent(lambda: self._connection.count(statement, parameters))

    def _sent(self, send: Callable[[], T]) -> T:
        self._transaction.timeouts.limit(Holds.BATCH)
        try:
            return send()
        except Exception as error:
            self._limits.check()
            if sqlstate(error) != LOCK_NOT_AVAILABLE:
                raise
            self._transaction.rollback()
            raise batches.RowsLocked from error

    # Throttling.

    def _give_way(self, pending: PendingStep, batch: batches.Batch) -> None:
        """Leave time to the application between two batches, and wait while there is a reason to.

        Raises:
            NotNow: the last rows stay locked until the deadline, or the backfill was cancelled.
        """
        if batch.done:
            self._last_progress = time.monotonic()
        elif batch.skipped and time.monotonic() - self._last_progress > self._limits.deadline:
            raise self._rows_stay_locked(pending)
        self._adjust_batch_seconds()
        self._sleep(self._pause_after(batch))
        reported = ""
        while reason := self._reason_to_wait(pending):
            if reason != reported:
                reported = reason
                self._report.paused(pending.step.tables[0], reason)
            self._sleep(_PAUSE_SECONDS)
            self._last_progress = time.monotonic()

    def _adjust_batch_seconds(self) -> None:
        """Make the batches shorter while sessions wait for their rows, and longer again after."""
        most = self._limits.batch_seconds
        if self._monitor.had_waiters():
            self._batch_seconds = max(self._batch_seconds / _SHRINK, most / _SMALLEST_SHARE)
        else:
            self._batch_seconds = min(self._batch_seconds * _GROW, most)

    def _pause_after(self, batch: batches.Batch) -> float:
        """Return the seconds to sleep so that the backfill uses its share of the time."""
        share = self._limits.throttle.share
        pause = batch.seconds * (1 / share - 1) if share < 1 else 0.0
        only_locked = bool(batch.skipped and not batch.done)
        return max(pause, _PAUSE_SECONDS) if only_locked else pause

    def _sleep(self, seconds: float) -> None:
        """Sleep; a signal ends that.

        Raises:
            NotNow: a signal came, or single flight is lost.
        """
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._limits.check()
            time.sleep(min(left, _PAUSE_SECONDS))

    def _reason_to_wait(self, pending: PendingStep) -> str:
        """Return the reason why the next batch has to wait; empty when there is none.

        Raises:
            NotNow: the backfill was cancelled.
        """
        requested = self._monitor.requested_state(self._attempt.journal.progress.execution)
        if requested == "cancel":
            self._attempt.journal.request("run")
            self._transaction.commit_batch()
            raise self._cancelled(pending)
        if requested == "pause":
            return "paused; `liftlock backfill resume` continues it"
        most = self._limits.throttle.lag
        return (
            f"a replica lags by more than {most:g} s" if self._monitor.replica_lag() > most else ""
        )

    # Errors.

    def _row_not_updatable(
        self, error: Exception, pending: PendingStep, task: batches.BackfillTask
    ) -> LiftlockError:
        """Find the row whose new value can't be computed, or violates a constraint."""
        self._transaction.rollback()
        cursor = pending.progress.cursors.get(pending.number)
        row = batches.find_failing_row(
            self._connection, self._connection.dry_run, task, cursor, is_row_error
        )
        undone = bool(pending.step.undo)
        if undone:
            self._attempt.undo(pending)
        operation = pending.operation
        return StepFailed(
            "LL-ROW-NOT-UPDATABLE",
            f"{self._place(pending)}: a row of {operation.table or task.relation} can't be"
            f" updated: {row or 'it has changed since'}\n{excerpt(operation.sql)}\n"
            f"{server_message(error).splitlines()[0]}",
            why="This operation is undone."
            if undone
            else "The rows before it are updated and committed.",
            now="Correct that row, then run again.",
        )

    def _never_finishes(self, pending: PendingStep) -> LiftlockError:
        return UnsafeRevision(
            "LL-BACKFILL-NEVER-FINISHES",
            f"{self._place(pending)}: the update does not make its own condition false:\n"
            f"{excerpt(pending.operation.sql)}",
            why="A backfill ends when no row meets its condition any more; this one never would.",
            now='Give a condition that the update makes false, such as where="nick IS NULL"; or'
            " none, to update each row once.",
        )

    def _cancelled(self, pending: PendingStep) -> LiftlockError:
        return NotNow(
            "LL-BACKFILL-CANCELLED",
            f"revision {self._attempt.revision}: the backfill of {pending.step.tables[0]} was"
            " cancelled by `liftlock backfill cancel`.",
            why="The updated rows are committed, and the cursor is in the ledger.",
            now="Run the same command again to continue from there.",
        )

    def _rows_stay_locked(self, pending: PendingStep) -> LiftlockError:
        return NotNow(
            "LL-ROWS-STAY-LOCKED",
            f"revision {self._attempt.revision}: the last rows of {pending.step.tables[0]} to be"
            f" updated stay locked by other sessions{blocked_by(self._monitor)}",
            why="All other rows are updated and committed, and the cursor is in the ledger.",
            now="Run the same command again with a longer --deadline, or end those sessions first.",
        )

    def _place(self, pending: PendingStep) -> str:
        return f"revision {self._attempt.revision}, line {pending.operation.line or '?'}"
