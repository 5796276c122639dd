"""Runs statements that refuse a transaction, such as CREATE INDEX CONCURRENTLY.

Such a statement and its ledger row can't be committed together. So the ledger first gets a row that
says that the step is begun. When a run is killed, the next one finds that row, looks in the catalog
at what the statement left, and repairs or recognises it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence

from sqlalchemy.exc import DBAPIError

from liftlock.errors import StepFailed
from liftlock.execution.attempt import Attempt, PendingStep, Send
from liftlock.execution.limits import RunLimits
from liftlock.execution.revision_errors import lock_deadline_exceeded
from liftlock.model.step import Step
from liftlock.postgres.dry_run import DryRunFailed, EmptyCopy
from liftlock.postgres.queries import CATALOG
from liftlock.postgres.sqlstates import (
    ALREADY_DONE,
    INSUFFICIENT_PRIVILEGE,
    QUERY_CANCELED,
    is_connection_lost,
    is_statement_error,
    sqlstate,
)
from liftlock.sql import excerpt, parse

_COPY = re.compile(r'_cc(new|old)\d*"?$')
"""The end of the name of a copy that REINDEX CONCURRENTLY makes."""
_DROP = "DROP INDEX CONCURRENTLY"
_CLEANUP_MILLISECONDS = 500
"""The time to drop an unfinished index after a signal."""


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
        self._monitor = limits.lock.monitor

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

        Return the error if the statement caused it, as rows that violate a unique index do: an
        invalid index is dropped already, and the caller undoes the operation in a transaction.
        """
        try:
            send()
        except Exception as error:
            if is_statement_error(error):
                for repair in self._unfinished_build(pending.step):
                    self._connection.send(repair)
                return error
            self._raise_stop(error, pending, lambda: self._unfinished_build(pending.step))
            raise
        return None

    def _unfinished_build(self, step: Step) -> list[str]:
        """Return the statement that drops the index of a step, if it exists and is invalid."""
        with self._monitor.cleanup():
            exists, valid = self._index_state(step)
        return [step.repair] if step.repair and exists and not valid else []

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
                if is_connection_lost(error):
                    self._limits.check()
                    raise
                with self._monitor.cleanup():
                    repairs = self._repairs(pending)
                if again and not repairs and self._is_done_already(pending, error):
                    return
                self._raise_stop(error, pending, lambda: repairs)
                # It failed and wasn't cut off: nothing of it is left, so it never began.
                self._repair(pending)
                self._attempt.journal.forget(pending.key)
                raise

    def _repair(self, pending: PendingStep) -> None:
        for statement in self._repairs(pending):
            self._connection.send(statement)

    def _repairs(self, pending: PendingStep) -> list[str]:
        """Return the statements that drop the invalid indexes that a statement left.

        REINDEX leaves a copy of the index. The index itself is the project's, also if it is
        invalid: REINDEX is the way to repair it.
        """
        found = self._connection.rows(CATALOG["left_behind"], {"statement": pending.step.sql})
        repairs = [str(row["repair"]) for row in found]
        if parse(pending.step.sql).kind != "REINDEX":
            return repairs
        return [repair for repair in repairs if _COPY.search(repair)]

    def _is_done_already(self, pending: PendingStep, error: Exception) -> bool:
        """Return whether an error says that an earlier attempt finished the statement."""
        reindexes = parse(pending.step.sql).kind == "REINDEX"
        return sqlstate(error) in ALREADY_DONE and not reindexes

    def _record_begin(self, pending: PendingStep) -> None:
        self._attempt.record(pending, finished=False)
        self._transaction.commit()

    def _raise_stop(
        self, error: Exception, pending: PendingStep, find_repairs: Callable[[], Sequence[str]]
    ) -> None:
        """Raise the reason that ended a statement from outside; return if it failed by itself.

        A unique index that isn't finished goes on to reject rows, so it is dropped, if there is
        time: https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY

        Parameters:
            error: the statement's.
            pending: the step.
            find_repairs: returns the statements that drop what it left.

        Raises:
            NotNow: a signal came, or the deadline is exceeded; the message names what is left.
        """
        if sqlstate(error) != QUERY_CANCELED:
            self._limits.check()
            return
        left = self._drop_unfinished(find_repairs())
        self._limits.check()
        exceeded = lock_deadline_exceeded(
            self._attempt.revision, pending.step.sql, self._limits.lock.monitor
        )
        exceeded.remark(_left_over(left))
        raise exceeded from error

    def _drop_unfinished(self, repairs: Sequence[str]) -> list[str]:
        """Drop unfinished indexes within about a second; return the statements that didn't work."""
        indexes = [repair for repair in repairs if repair.startswith(_DROP)]
        signals = self._limits.signals
        signals.remark = _left_over(indexes)
        with self._monitor.cleanup():
            left = [repair for repair in indexes if not self._drop(repair)]
        signals.remark = _left_over(left)
        return left

    def _drop(self, repair: str) -> bool:
        """Drop an unfinished index: by a strong lock within the stall budget, or concurrently."""
        attempts = (
            (repair.replace(_DROP, "DROP INDEX"), self._limits.budget),
            (repair, _CLEANUP_MILLISECONDS),
        )
        for statement, milliseconds in attempts:
            self._connection.set("lock_timeout", f"{self._limits.budget}ms")
            self._connection.set("statement_timeout", f"{milliseconds}ms")
            try:
                self._connection.send(statement)
            except DBAPIError:
                continue
            finally:
                with contextlib.suppress(DBAPIError):
                    self._connection.set("statement_timeout", "0")
            return True
        return False


def _left_over(repairs: Sequence[str]) -> str:
    """Return a remark on indexes that remain; empty if there are none."""
    if not repairs:
        return ""
    statements = "".join(f"\n  {repair};" for repair in repairs)
    return (
        "An unfinished index is left. If it is unique, it rejects rows. The next run drops it; to"
        f" drop it now:{statements}"
    )
