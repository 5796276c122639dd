"""Runs the steps of a revision's operations: brief, online, concurrent, in batches, or raw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from liftlock import sql
from liftlock.errors import StepFailed
from liftlock.execution.attempt import Attempt, PendingStep, Send
from liftlock.execution.backfill import BackfillRunner
from liftlock.execution.concurrent_steps import ConcurrentStepRunner
from liftlock.execution.connection import DriverParameters, Row
from liftlock.execution.limits import RunLimits
from liftlock.execution.memory import RunMemory
from liftlock.execution.raw_sql import RawStatementRunner
from liftlock.execution.revision_errors import lock_deadline_exceeded, rolled_back_by_revision
from liftlock.execution.snapshots import await_snapshots
from liftlock.model.lock import LockMode
from liftlock.model.operation import Operation
from liftlock.model.step import Pace, Step, StepKind
from liftlock.postgres.queries import CATALOG
from liftlock.postgres.sqlstates import (
    COMMITS,
    QUERY_CANCELED,
    is_statement_error,
    sqlstate,
)

_VIOLATIONS_MILLISECONDS = 10_000
"""The time to search for rows that violate a constraint; its validation finds them later anyway."""


class StepExecutor:
    """Runs the operations of a revision, step by step.

    Parameters:
        attempt: the attempt that they belong to.
        limits: the limits of the run.
        memory: what earlier attempts learned.
    """

    def __init__(self, attempt: Attempt, limits: RunLimits, memory: RunMemory) -> None:
        self._attempt = attempt
        self._transaction = attempt.transaction
        self._connection = attempt.transaction.connection
        self._limits = limits
        self._backfill = BackfillRunner(attempt, limits, memory)
        self._concurrent = ConcurrentStepRunner(attempt, limits)
        self._raw = RawStatementRunner(attempt, limits, memory)
        self._runners = {
            StepKind.LOOK: self._find_violations,
            StepKind.BACKFILL: self._backfill.run,
            StepKind.SNAPSHOTS: self._await_snapshots,
        }

    def perform(
        self, operation: Operation, send: Send, *, ahead: Sequence[Operation] | None = ()
    ) -> None:
        """Run the steps of an operation that aren't committed yet.

        Parameters:
            operation: the operation.
            send: sends it as plain Alembic would.
            ahead: the operations that follow, as far as they are known; None where none are, and a
                removed object may still be restored.
        """
        statement = sql.parse(operation.sql)
        if operation.kind == "execute" and self._is_control(operation, statement, send):
            return
        in_block = self._transaction.in_block
        if statement.requires_one_transaction and not in_block:
            self._transaction.require_atomic()
        creates_table = self._attempt.facts.creates_table(operation)
        self._look_ahead(None if ahead is None else [operation, *ahead])
        ran = self._run_pending(operation, send)
        self._transaction.removed.passed(operation, ran=ran and not in_block)
        self._look_ahead(ahead)
        if creates_table:
            self._attempt.facts.note_created(operation.relation)

    def note_setting(self, statement: sql.Statement, parameters: DriverParameters = None) -> None:
        """Note a statement of the revision that changes a setting, before it is sent."""
        self._transaction.settings.note(statement, parameters)

    def control_transaction(self, operation: Operation, statement: sql.Statement) -> bool:
        """Follow COMMIT and BEGIN of a revision; return whether the statement was one of them.

        COMMIT has the effect of an autocommit block that lasts until the next BEGIN.

        Raises:
            UnsafeRevision: it is ROLLBACK, which would undo the revision's earlier operations.
        """
        if any(part.rolls_back for part in statement.each):
            raise rolled_back_by_revision(operation)
        if statement.ends_transaction:
            self._transaction.enter_autocommit()
            return True
        if statement.begins_transaction and self._transaction.in_block:
            self._transaction.leave_autocommit()
            return True
        return False

    def _is_control(self, operation: Operation, statement: sql.Statement, send: Send) -> bool:
        """Handle settings and transaction control; return whether the operation was that."""
        if statement.is_session_setting:
            # Sent in each attempt: a setting isn't a step, and ends with the session.
            self.note_setting(statement)
            send()
            return True
        if any(part.ends_transaction for part in statement.statements):
            self._perform_each(operation, statement)
            return True
        return self.control_transaction(operation, statement)

    def _perform_each(self, operation: Operation, statement: sql.Statement) -> None:
        """Run several statements with a COMMIT among them one by one."""
        for part in statement.statements:
            self.perform(replace(operation, sql=part.text), self._sender(part.text))

    def _sender(self, text: str) -> Send:
        return lambda: self._connection.send(text)

    def _run_pending(self, operation: Operation, send: Send) -> bool:
        """Run the pending steps of an operation; return whether there was any."""
        ran = False
        with self._transaction.running(operation):
            for pending in self._attempt.pending_steps(operation):
                self._limits.check()
                self._transaction.note_step(pending.step)
                self._run_step(pending, send)
                ran = True
        return ran

    def _look_ahead(self, coming: Sequence[Operation] | None) -> None:
        if self._transaction.is_atomic:
            return
        if coming is None:
            self._transaction.removed.await_usual_restoration()
        else:
            self._transaction.removed.look_ahead(coming)

    def _run_step(self, pending: PendingStep, send: Send) -> None:
        if self._partition_is_gone(pending.step):
            self._attempt.record(pending)
            return
        self._runner_of(pending)(pending, self._send_of(pending.step, send))

    def _runner_of(self, pending: PendingStep) -> Callable[[PendingStep, Send], None]:
        """Choose how a step is run; without a commit in between, every step is brief."""
        kind = pending.step.kind
        if kind in self._runners:
            return self._runners[kind]
        if self._transaction.is_atomic:
            return self._run_brief
        if kind is StepKind.CONCURRENT:
            return self._concurrent.run
        if pending.step.pace is Pace.ONLINE:
            return self._run_online
        return self._run_raw if pending.operation.may_change_rows else self._run_brief

    def _send_of(self, step: Step, send: Send) -> Send:
        """Choose what is sent: the operation as Alembic has it, or the statements of the step."""
        if step.kind is StepKind.PLAIN:
            return send
        statements = (step.sql, *step.more_sql)
        return lambda: [self._connection.send(statement) for statement in statements]

    def _partition_is_gone(self, step: Step) -> bool:
        """Return whether the partition of a step was dropped or detached since it was planned."""
        if not step.partition:
            return False
        (found,) = self._connection.rows(CATALOG["is_partition"], {"relation": step.partition})
        return not found["is_one"]

    def _run_brief(self, pending: PendingStep, send: Send) -> None:
        """Run a step in the open transaction; its wait for locks fits in the stall budget."""
        step = pending.step
        if step.lock is not None:
            self._take_locks(step, step.lock)
        send()
        self._attempt.record(pending)
        self._transaction.commit_after_loss()

    def _take_locks(self, step: Step, mode: LockMode) -> None:
        """Lock the tables of a step in their order, before its statement does in another."""
        transaction = self._transaction
        transaction.commit_if_half_used()
        transaction.wait_for_maintenance()
        if mode is LockMode.ACCESS_EXCLUSIVE and not transaction.window.is_open:
            self._limits.standbys.look()
        exclusive = mode is not LockMode.ROW_EXCLUSIVE
        if step.tables:
            relations = {"relations": list(step.tables)}
            for row in self._connection.rows(CATALOG["may_lock"], relations):
                transaction.limit_lock_wait(exclusive=exclusive)
                self._connection.send(f"LOCK TABLE {row['relation']} IN {mode.value} MODE")
        transaction.limit_lock_wait(exclusive=exclusive)
        if exclusive:
            transaction.window.note_exclusive()

    def _run_online(self, pending: PendingStep, send: Send) -> None:
        """Run a long-running step in a transaction of its own, without timeouts."""
        self._transaction.commit()
        self._connection.set_local(lock_timeout="0", statement_timeout="0")
        try:
            send()
        except Exception as error:
            self._limits.check()
            if is_statement_error(error) and pending.step.undo:
                self._attempt.undo(pending)
            if sqlstate(error) == QUERY_CANCELED:
                raise lock_deadline_exceeded(
                    self._attempt.revision, pending.step.sql, self._limits.lock.monitor
                ) from error
            raise
        self._attempt.record(pending)
        self._transaction.commit()

    def _await_snapshots(self, pending: PendingStep, _send: Send) -> None:
        """Wait for transactions that don't see the rows of the last step yet."""
        if not self._transaction.is_atomic:
            self._transaction.commit()
            relation = pending.operation.relation
            await_snapshots(self._limits, self._attempt.revision, relation)
        self._attempt.record(pending)

    def _run_raw(self, pending: PendingStep, send: Send) -> None:
        """Run a statement whose locks are unknown; outside a transaction if it refuses one."""
        refused = self._raw.run(pending, send)
        if refused is not None:
            self._concurrent.run(pending, send, commits_itself=refused == COMMITS)

    def _find_violations(self, pending: PendingStep, _send: Send) -> None:
        """Search for rows that violate the constraint that comes next.

        The search only makes the message better, so it gives up rather than take long.

        Raises:
            StepFailed: there are such rows; the operation is undone.
        """
        self._transaction.commit()
        self._connection.set_local(
            lock_timeout="0", statement_timeout=str(_VIOLATIONS_MILLISECONDS)
        )
        try:
            violations = self._connection.send(pending.step.sql)
        except Exception as error:
            self._limits.check()
            if sqlstate(error) != QUERY_CANCELED:
                raise
            violations = []
        self._transaction.rollback()
        if violations:
            if pending.step.undo:
                self._attempt.undo(pending)
            raise self._rows_violate(pending.operation, violations)
        self._attempt.record(pending)

    def _rows_violate(self, operation: Operation, violations: Sequence[Row]) -> StepFailed:
        described = [
            ", ".join(f"{name}={value}" for name, value in row.items()) for row in violations
        ]
        shown = "\n".join(f"  {row}" for row in described)
        return StepFailed(
            "LL-ROWS-VIOLATE-CONSTRAINT",
            f"revision {self._attempt.revision}, line {operation.line or '?'}: rows of"
            f" {operation.table} violate it:\n{sql.excerpt(operation.sql)}\nfor example\n{shown}",
            why="Nothing of this operation is left: a constraint that isn't validated would keep"
            " these rows from being updated.",
            now="Correct those rows, then run again.",
        )
