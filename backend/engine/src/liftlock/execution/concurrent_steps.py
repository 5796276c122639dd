"""Runs statements that refuse a transaction, such as CREATE INDEX CONCURRENTLY.

Such a statement and its ledger row can't be committed together. So the ledger first gets a row that
says that the step is begun. When a run is killed, the next one finds that row, looks in the catalog
at what the statement left, and repairs or recognises it.
"""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError

from liftlock.errors import StepFailed
from liftlock.execution.attempt import Attempt, PendingStep, Send
from liftlock.execution.limits import RunLimits
from liftlock.execution.revision_errors import lock_deadline_exceeded
from liftlock.execution.sqlstates import (
    ALREADY_DONE,
    DATA_BREAKS,
    INSUFFICIENT_PRIVILEGE,
    QUERY_CANCELED,
    is_connection_lost,
    sqlstate,
)
from liftlock.model.step import Step
from liftlock.postgres.dry_run import DryRunFailed, EmptyCopy
from liftlock.postgres.queries import CATALOG
from liftlock.sql import excerpt


class ConcurrentStepRunner:
    """Runs the concurrent steps of a revision.

    Parameters:
        attempt: the attempt that they belong to.
        limits: the limits of the run.
    """

    def __init__(self, attempt: Attempt, limits: RunLimits) -> None:
        self._attempt = attempt
        self._transaction = attempt.transaction
        self._connection = attempt.transaction.connection
        self._limits = limits

    def run(self, pending: PendingStep, send: Send, *, commits_itself: bool = False) -> None:
        """Run a step outside of a transaction, and record it before and after.

        Parameters:
            pending: the step.
            send: sends its statement.
            commits_itself: the statement may be half done, as a procedure that commits. It is run
                again as it is.

        Raises:
            StepFailed: an index of that name exists, and isn't the one that was begun.
            NotNow: it got no lock until the deadline.
        """
        self._transaction.commit()
        if pending.step.index:
            self._run_planned(pending, send)
        else:
            self._run_unplanned(pending, send, again=pending.is_begun and not commits_itself)
        self._attempt.record(pending)
        self._transaction.commit()

    # Planned statements build or drop an index, whose state is in the catalog.

    def _run_planned(self, pending: PendingStep, send: Send) -> None:
        step = pending.step
        exists, valid = self._index_state(step)
        builds = step.name.startswith("build")
        if pending.is_begun and builds and valid:
            self._require_same_index(step)
        is_done = valid if builds else not exists
        if pending.is_begun and is_done:
            return
        self._record_begin(pending)
        failure = None
        with self._transaction.outside_transaction():
            if builds and exists and not valid:
                self._connection.send(step.repair)
            failure = self._send_planned(pending, send)
        if failure is not None:
            self._attempt.undo(pending)
            raise failure

    def _index_state(self, step: Step) -> tuple[bool, bool]:
        """Return whether the index of a step exists, and whether it is complete and valid."""
        owner = step.tables[0] if step.tables else ""
        found = self._connection.rows(
            CATALOG["index_state"], {"relation": step.index, "owner": owner}
        )
        return bool(found), bool(found and found[0]["done"])

    def _require_same_index(self, step: Step) -> None:
        """Compare an index that an earlier attempt began with the definition of its statement.

        Raises:
            StepFailed: it is another index of the same name.
        """
        with self._connection.dry_run():
            try:
                copy = EmptyCopy(self._connection.rows, self._connection.send, step.tables[0])
                same = copy.defines_index(step.sql, step.index)
            except DryRunFailed:
                same = True
            except DBAPIError as error:
                if sqlstate(error) != INSUFFICIENT_PRIVILEGE:
                    raise
                same = True  # without the right to create temporary tables, the name has to do
        if not same:
            raise StepFailed(
                "LL-INDEX-DIFFERS",
                f"revision {self._attempt.revision}: the index {step.index} exists, but isn't the"
                f" one that was begun:\n{excerpt(step.sql)}",
                why="Another index of that name was created since the revision was interrupted.",
                now=f"Drop or rename it (DROP INDEX CONCURRENTLY {step.index};), then run again.",
            )

    def _send_planned(self, pending: PendingStep, send: Send) -> Exception | None:
        """Send a planned statement.

        Return the error of rows that violate a unique index: the invalid index is dropped already,
        and the caller undoes the operation inside a transaction.
        """
        try:
            send()
        except Exception as error:
            self._limits.check()
            if sqlstate(error) in DATA_BREAKS and pending.step.repair:
                self._connection.send(pending.step.repair)
                return error
            self._raise_deadline(error, pending)
            raise
        return None

    # Unplanned statements are the revision's own.

    def _run_unplanned(self, pending: PendingStep, send: Send, *, again: bool) -> None:
        """Run a statement of the revision.

        When an earlier attempt began it, running it again shows whether it finished: the server
        says that the object exists already, or doesn't exist any more.

        Parameters:
            pending: the step.
            send: sends it.
            again: an earlier attempt began it.
        """
        self._record_begin(pending)
        with self._transaction.outside_transaction():
            if again:
                self._repair(pending)
            try:
                send()
            except Exception as error:
                self._limits.check()
                if again and sqlstate(error) in ALREADY_DONE and not self._repairs(pending):
                    return
                if sqlstate(error) is not None and not is_connection_lost(error):
                    # It failed and wasn't cut off: nothing of it is left, so it never began.
                    self._repair(pending)
                    self._attempt.journal.forget(pending.key)
                self._raise_deadline(error, pending)
                raise

    def _repair(self, pending: PendingStep) -> None:
        for statement in self._repairs(pending):
            self._connection.send(statement)

    def _repairs(self, pending: PendingStep) -> list[str]:
        """Return the statements that drop the invalid indexes that a statement left."""
        found = self._connection.rows(CATALOG["left_behind"], {"statement": pending.step.sql})
        return [row["repair"] for row in found]

    def _record_begin(self, pending: PendingStep) -> None:
        self._attempt.record(pending, finished=False)
        self._transaction.commit()

    def _raise_deadline(self, error: Exception, pending: PendingStep) -> None:
        if sqlstate(error) == QUERY_CANCELED:
            raise lock_deadline_exceeded(
                self._attempt.revision, pending.step.sql, self._limits.lock.monitor
            ) from error
