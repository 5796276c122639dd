"""Runs the statements of a revision whose locks aren't known before PostgreSQL takes them.

Such a statement is tried within the stall budget. If it takes longer, a second session has seen the
locks that it held, and the next attempt runs it in another way (``memory.Escalation``): alone,
without a timeout when it locks rows only, and otherwise only when an allowance permits it.
"""

from __future__ import annotations

from liftlock.execution.attempt import Attempt, PendingStep, Send
from liftlock.execution.limits import RunLimits
from liftlock.execution.memory import Escalation, RunMemory, StatementKey
from liftlock.execution.revision_errors import lock_deadline_exceeded
from liftlock.execution.session_timeouts import Holds
from liftlock.model.operation import Operation
from liftlock.model.table import Facts
from liftlock.planning.unsafe import refuse_unless_allowed
from liftlock.postgres.sqlstates import (
    QUERY_CANCELED,
    REFUSES_TRANSACTION,
    RetryDifferently,
    sqlstate,
)
from liftlock.sql import parse

_LEAST_MILLISECONDS = 20.0
_CODE = "LL-UNKNOWN-LOCKS"
_CHANGES_ROWS = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE"})
"""Command tags of statements that lock rows only."""


class RawStatementRunner:
    """Runs the raw statements of a revision.

    Parameters:
        attempt: the attempt that they belong to.
        limits: the limits of the run.
        memory: how earlier attempts ran them.
    """

    def __init__(self, attempt: Attempt, limits: RunLimits, memory: RunMemory) -> None:
        self._attempt = attempt
        self._transaction = attempt.transaction
        self._connection = attempt.transaction.connection
        self._limits = limits
        self._monitor = limits.lock.monitor
        self._memory = memory
        self._keeps_removal = False

    def run(self, pending: PendingStep, send: Send) -> str | None:
        """Run a statement, and record it.

        It may share the open transaction while that holds no strong lock, or while it is quick. On
        a shadow every statement is quick, because the tables are empty; so an observer has each
        one run alone from the first attempt on.

        A removal that others would notice isn't committed before it: if it were refused then, the
        application would be left without the removed object.

        Parameters:
            pending: the step.
            send: sends it.

        Returns:
            The SQLSTATE when the statement refuses a transaction; None when it is done.

        Raises:
            RetryDifferently: it took too long; the next attempt runs it in another way.
            UnsafeRevision: it takes too long under table locks, and isn't allowed to.
            NotNow: it got no lock until the deadline.
        """
        key = (self._attempt.revision, pending.key)
        escalation = self._memory.escalation(key)
        in_block = self._transaction.in_block
        shared = self._begin(pending, escalation, in_block=in_block)
        self._set_timeouts(escalation, shared=shared)
        if parse(pending.operation.sql).is_ddl:
            self._transaction.timeouts.limit(Holds.TABLES)
        rows_only = escalation is Escalation.NO_TIMEOUT
        try:
            with self._monitor.observe_locks(rows_only=rows_only):
                send()
        except Exception as error:
            self._limits.check()
            if sqlstate(error) == QUERY_CANCELED:
                raise self._too_long(pending, key, shared=shared) from error
            if sqlstate(error) in REFUSES_TRANSACTION and in_block:
                self._transaction.rollback()
                self._refuse_rewrite(pending.operation)
                return sqlstate(error)
            raise
        self._connection.set_local(statement_timeout="0")
        self._attempt.record(pending)
        self._end(pending, escalation, in_block=in_block)
        return None

    def _begin(self, pending: PendingStep, escalation: Escalation, *, in_block: bool) -> bool:
        """Commit first where the statement has to be alone.

        Return whether it shares a transaction that holds strong locks.
        """
        transaction = self._transaction
        transaction.commit_if_half_used()
        transaction.wait_for_maintenance()
        self._keeps_removal = self._would_expose(pending, escalation)
        exclusive = transaction.window.is_exclusive or (
            transaction.window.is_open and bool(self._monitor.table_locks())
        )
        isolated = self._limits.isolate_statements and not transaction.removed.awaits_restoration
        alone = isolated or escalation is not Escalation.SHARED
        if in_block or (exclusive and alone and not self._keeps_removal):
            transaction.commit()
            return False
        return exclusive

    def _would_expose(self, pending: PendingStep, escalation: Escalation) -> bool:
        """Return whether a commit before a statement that may be refused would expose a removal.

        One that only changes rows is never refused.
        """
        rows_only = escalation is Escalation.NO_TIMEOUT or _changes_rows(pending.operation)
        if self._transaction.in_block or rows_only:
            return False
        return self._transaction.removed.exposes

    def _set_timeouts(self, escalation: Escalation, *, shared: bool) -> None:
        budget = self._limits.budget
        milliseconds = budget * 2.0
        if shared and escalation is Escalation.SHARED:
            milliseconds = budget - self._transaction.window.elapsed
        self._transaction.limit_lock_wait()
        if escalation is Escalation.NO_TIMEOUT:
            self._connection.set_local(lock_timeout="0")
        if escalation in {Escalation.NO_TIMEOUT, Escalation.ALLOWED}:
            self._transaction.timeouts.lift()
        else:
            timeout = max(milliseconds, _LEAST_MILLISECONDS)
            self._connection.set_local(statement_timeout=f"{timeout:.0f}ms")

    def _end(self, pending: PendingStep, escalation: Escalation, *, in_block: bool) -> None:
        """Commit a statement that had to be alone; else note the locks that it left."""
        if in_block or (escalation is Escalation.ALLOWED and not self._keeps_removal):
            self._transaction.commit()
            return
        reads = pending.operation.kind != "execute" or parse(pending.operation.sql).is_read
        if reads:
            return
        if self._monitor.table_locks():
            self._transaction.timeouts.limit(Holds.TABLES)
            self._transaction.window.note_exclusive()
            self._transaction.commit_after_loss()
        else:
            self._transaction.timeouts.limit(Holds.ROWS)

    def _too_long(self, pending: PendingStep, key: StatementKey, *, shared: bool) -> Exception:
        """Decide how the next attempt runs a statement that took too long.

        Raises:
            UnsafeRevision: it locks tables, and no allowance permits that.
        """
        if self._monitor.gave_up:
            return lock_deadline_exceeded(self._attempt.revision, pending.step.sql, self._monitor)
        if shared and self._memory.escalation(key) is Escalation.SHARED:
            self._memory.escalate(key, Escalation.ALONE)
        elif locks := self._monitor.lock_report():
            self._refuse_table_locks(pending.operation, locks)
            self._memory.escalate(key, Escalation.ALLOWED)
        else:
            self._memory.escalate(key, Escalation.NO_TIMEOUT)
        return RetryDifferently()

    def _refuse_table_locks(self, operation: Operation, locks: str) -> None:
        refuse_unless_allowed(
            _CODE,
            operation,
            Facts(allowed=self._limits.allowed),
            what=f"this statement takes longer than {self._limits.budget * 2} ms, and meanwhile"
            f" holds or waits for: {locks}",
            remedy="Write it with operations of Alembic (op.create_index, op.alter_column, …),"
            " which liftlock runs online",
        )

    def _refuse_rewrite(self, operation: Operation) -> None:
        """Refuse a statement that rewrites tables, and would do so without a timeout.

        Raises:
            UnsafeRevision: it is one, and no allowance permits it.
        """
        if not parse(operation.sql).rewrites_table:
            return
        refuse_unless_allowed(
            _CODE,
            operation,
            Facts(allowed=self._limits.allowed),
            what="this statement rewrites tables or indexes while their reads and writes wait",
            remedy="Use VACUUM without FULL, or REINDEX … CONCURRENTLY",
        )


def _changes_rows(operation: Operation) -> bool:
    """Return whether an operation changes rows only, and no table."""
    return all(statement.kind in _CHANGES_ROWS for statement in parse(operation.sql).each)
