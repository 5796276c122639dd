"""Runs the revisions that an Alembic command chose, each with its version row and ledger rows."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from alembic.runtime.migration import HeadMaintainer, MigrationContext, StampStep
from sqlalchemy.exc import DBAPIError

from liftlock.errors import LiftlockError, NotNow
from liftlock.events import Event
from liftlock.execution.attempt import Attempt
from liftlock.execution.connection import ProjectConnection
from liftlock.execution.executor import StepExecutor
from liftlock.execution.fact_collector import FactCollector
from liftlock.execution.journal import Journal
from liftlock.execution.limits import RunLimits
from liftlock.execution.memory import RunMemory
from liftlock.execution.replay import QueryReplay
from liftlock.execution.revision_errors import blocked_by
from liftlock.execution.session_settings import SessionSettings
from liftlock.execution.source_location import line_in
from liftlock.execution.transaction import Transaction, commit_open, roll_back_open
from liftlock.model.operation import Operation
from liftlock.model.revision import Chain
from liftlock.model.step import Step
from liftlock.planning.plan import phase_of
from liftlock.postgres.ledger import Ledger, RevisionProgress
from liftlock.postgres.retry import attempts
from liftlock.postgres.sqlstates import (
    LOCK_NOT_AVAILABLE,
    NEEDS_COMMIT,
    RetryDifferently,
    cause_of,
    is_session_lost,
    is_transient,
    server_message,
    sqlstate,
    state_after_failure,
)
from liftlock.revisions import patches
from liftlock.revisions.alembic_step import AlembicStep, name_of, path_of, title_of
from liftlock.revisions.failures import revision_error
from liftlock.revisions.handlers import ExecutingHandler
from liftlock.revisions.migration_context import schema_translation, script_of
from liftlock.revisions.observer import StatementObserver
from liftlock.revisions.project import revision_of
from liftlock.revisions.recorder import Recorder
from liftlock.revisions.revision_file import source_digest
from liftlock.sql import excerpt

_BLOCKED_SECONDS = 2.0
"""The time that an attempt waits for the transactions that blocked the one before."""


class SessionLostError(Exception):
    """The working session is gone, and the server still answers: another session can go on."""


@dataclass(frozen=True, slots=True)
class RunParts:
    """The parts of a run, which its runner uses.

    Parameters:
        context: Alembic's migration context.
        connection: its connection.
        settings: the settings that revisions make on the connection.
        ledger: writes over the connection.
        limits: the limits of the run.
        pid: the backend of the connection.
        external: a transaction of the project's own stays open, so nothing can be retried.
        observer: observes the statements; None where nothing does.
        memory: what earlier attempts learned.
    """

    context: MigrationContext
    connection: ProjectConnection
    settings: SessionSettings
    ledger: Ledger
    limits: RunLimits
    pid: int
    external: bool
    observer: StatementObserver | None
    memory: RunMemory


class Runner:
    """Runs the steps that an Alembic command chose.

    Parameters:
        parts: the parts of the run.
        maintainer: keeps the version table.
        arguments: what env.py passes to ``upgrade()`` and ``downgrade()``.
    """

    def __init__(
        self, parts: RunParts, maintainer: HeadMaintainer, arguments: dict[str, Any]
    ) -> None:
        self._parts = parts
        self._context = parts.context
        self._connection = parts.connection
        self._ledger = parts.ledger
        self._limits = parts.limits
        self._monitor = parts.limits.lock.monitor
        self._maintainer = maintainer
        self._arguments = arguments
        self._memory = parts.memory
        self._facts = FactCollector(
            parts.connection, parts.limits.small_table_bytes, parts.limits.allowed
        )
        self._handler: ExecutingHandler | None = None
        self._half_done = False
        self._attempts = 0

    def run(self, steps: Iterable[AlembicStep]) -> Iterator[str]:
        """Run Alembic's steps; yield the revision of each finished one."""
        self._accept_stamped()
        for step in steps:
            started = time.monotonic()
            self._notify("revision.started", title_of(step), step)
            done = self._run_until_done(step)
            seconds = time.monotonic() - started
            count = f"{len(done)} {'step' if len(done) == 1 else 'steps'}"
            text = f"finished {name_of(step)} in {seconds:.2f} s ({count})"
            self._notify(
                "revision.finished", text, step, seconds=round(seconds, 3), steps=len(done)
            )
            yield name_of(step)

    def _accept_stamped(self) -> None:
        """Accept an interrupted revision as finished where the version table says that it is.

        The operator finished it by hand, and stamped the version table.
        """
        heads = frozenset(self._maintainer.heads)

        def applied() -> frozenset[str]:
            scripts = script_of(self._context).walk_revisions()
            return Chain.of(revision_of(script) for script in scripts).ancestors(heads)

        accepted = self._ledger.accept_stamped(applied)
        commit_open(self._connection.connection, external=self._parts.external)
        if accepted:
            text = f"the interrupted {accepted} was finished by hand: the version table says so"
            self._limits.notify(Event("revision.settled", text, warning=True))

    # Attempts.

    def _run_until_done(self, step: AlembicStep) -> tuple[Step, ...]:
        """Repeat attempts at a revision until it is done.

        Raises:
            LiftlockError: the error isn't transient, or the deadline passed without progress.
        """
        while True:
            started = time.monotonic()
            finished_before = self._memory.finished
            try:
                for attempt in attempts(
                    self._is_worth_retrying,
                    self._limits.deadline,
                    first=0.2,
                    sleep=self._limits.signals.sleep,
                ):
                    with attempt:
                        self._attempts = attempt.number
                        self._monitor.wait_for_blockers(_BLOCKED_SECONDS)
                        return self._attempt(step)
            except Exception as error:
                if self._is_worth_retrying(error) and self._memory.finished > finished_before:
                    continue
                self._note_loss(cause_of(error), step)
                raise self._error(cause_of(error), step, time.monotonic() - started) from error

    def _note_loss(self, error: Exception, step: AlembicStep) -> None:
        """Leave a lost session to the next run of env.py, which has a new connection.

        The server ends the session when this process was stopped while it held a strong lock, and
        networks may end any. One that an administrator has ended isn't replaced.

        Raises:
            SessionLostError: that is so; the lock of single flight isn't lost.
            NotNow: single flight is lost, too, or a signal came.
        """
        if self._parts.external or not is_session_lost(error):
            return
        self._limits.check()
        if self._memory.note_loss(name_of(step)):
            text = f"{name_of(step)}: the session was lost and is replaced: {server_message(error)}"
            self._notify("session.lost", text, step, warning=True)
            raise SessionLostError from error

    def _is_worth_retrying(self, error: BaseException) -> bool:
        return is_transient(cause_of(error)) and not self._parts.external

    def _attempt(self, step: AlembicStep) -> tuple[Step, ...]:
        """Make one attempt; leave no open transaction and no changed state after an error."""
        self._limits.check()
        heads = set(self._maintainer.heads)
        memo = copy.copy(self._context.impl.memo)
        self._monitor.forget_blockers()
        try:
            with self._monitor.watch(self._parts.pid, patience=self._limits.deadline):
                return self._run_in_transaction(step)
        except BaseException as error:
            self._maintainer.heads = heads
            self._context.impl.memo = memo
            if not self._parts.external:
                roll_back_open(self._connection.connection)
            if isinstance(error, Exception):
                self._limits.signals.check()
            if sqlstate(cause_of(error)) == LOCK_NOT_AVAILABLE:
                self._lock_refused(step)
            raise

    def _lock_refused(self, step: AlembicStep) -> None:
        """Report who refused the lock, and prepare the next attempt."""
        blockers = self._monitor.blockers()
        self._notify("lock.refused", self._refusal(step), step, warning=True, blockers=blockers)
        self._monitor.cancel_blockers()
        self._memory.note_maintained(self._monitor.maintained_tables())

    def _run_in_transaction(self, step: AlembicStep) -> tuple[Step, ...]:
        started = time.monotonic()
        progress = self._resume(step)
        with self._context.begin_transaction(_per_migration=True):
            attempt = self._begin_attempt(step, progress)
            transaction = attempt.transaction
            try:
                self._run_function(step, attempt)
            except DBAPIError as error:
                if not transaction.keeps_unrecorded_writes or sqlstate(error) not in NEEDS_COMMIT:
                    raise
                # The statement can't run before the unrecorded writes are committed.
                self._memory.allow_unrecorded_commit(attempt.revision)
                raise RetryDifferently from error
            finally:
                self._half_done = transaction.has_committed
            if transaction.ended_by_revision and not self._parts.external:
                patches.adopt_transaction(self._context, self._connection.connection)
            self._update_version_table(step)
            self._finish(step, attempt, time.monotonic() - started)
            self._limits.check()
        return tuple(attempt.steps)

    def _begin_attempt(self, step: AlembicStep, progress: RevisionProgress) -> Attempt:
        self._facts.begin_attempt()
        journal = Journal(self._ledger, progress, self._memory)
        transaction = Transaction(
            self._connection,
            self._parts.settings,
            journal,
            self._limits,
            self._memory,
            external=self._parts.external or self._translates_schemas(step),
        )
        corrected = progress.changed and "LL-FILE-CHANGED" not in self._limits.allowed
        return Attempt(transaction, journal, self._facts, corrected=corrected)

    def _run_function(self, step: AlembicStep, attempt: Attempt) -> None:
        """Run ``upgrade()`` or ``downgrade()``, and the operations that it asks for."""
        observer = self._parts.observer
        executor = StepExecutor(attempt, self._limits, self._memory)
        source = path_of(step)
        replay = QueryReplay(attempt, executor, self._limits, self._memory, lambda: line_in(source))
        self._handler = ExecutingHandler(
            attempt.transaction,
            executor,
            replay,
            self._limits,
            observer.attempt(attempt.transaction) if observer else None,
        )
        recorder = Recorder(self._context, self._connection, self._handler, source)
        with recorder.recording():
            step.migration_fn(**self._arguments)

    def _update_version_table(self, step: AlembicStep) -> None:
        context = self._context
        self._maintainer.update_to_step(step)
        for callback in context.on_version_apply_callbacks:
            callback(
                ctx=context,
                step=step.info,
                heads=set(self._maintainer.heads),
                run_args=self._arguments,
            )

    def _finish(self, step: AlembicStep, attempt: Attempt, seconds: float) -> None:
        """Write the last ledger rows of a revision; a stamp has none."""
        if isinstance(step, StampStep):
            return
        progress = attempt.finish()
        if step.is_upgrade:
            script = script_of(self._context).get_revision(step.revision.revision)
            self._ledger.add_revision(revision_of(script), phase_of(attempt.steps), seconds)
        else:
            self._ledger.remove_revision(step.revision.revision)
        self._ledger.finish(progress)

    def _translates_schemas(self, step: AlembicStep) -> bool:
        """Return whether SQLAlchemy puts other schemas into statements while they are sent.

        The steps of a plan wouldn't name those schemas, so the revision runs as with plain Alembic.
        """
        translates = bool(schema_translation(self._connection.connection))
        if translates:
            text = (
                f"{name_of(step)} runs in one transaction, as plain Alembic runs it:"
                " env.py sets schema_translate_map"
            )
            self._notify("revision.translated", text, step, warning=True)
        return translates

    def _resume(self, step: AlembicStep) -> RevisionProgress:
        """Return what an earlier attempt at a revision committed.

        Raises:
            UnsafeRevision: another revision was begun.
        """
        if isinstance(step, StampStep):
            return RevisionProgress("", "up", "")
        direction = "up" if step.is_upgrade else "down"
        source = source_digest(step)
        progress = self._ledger.resume(name_of(step), direction, source)
        commit_open(self._connection.connection, external=self._parts.external)
        self._half_done = progress.execution is not None
        if progress.execution is not None:
            done = sum(sum(known.finished.values()) for known in progress.steps.values())
            text = f"resuming {name_of(step)} after {done} finished steps"
            self._notify("revision.resumed", text, step, steps=done)
        return progress

    # Messages.

    def _error(self, error: Exception, step: AlembicStep, seconds: float) -> LiftlockError:
        if sqlstate(error) == LOCK_NOT_AVAILABLE:
            return self._lock_refused_error(step, seconds)
        return revision_error(
            error,
            step,
            operation=self._last,
            script=script_of(self._context),
            half_done=self._half_done,
        )

    @property
    def _last(self) -> Operation | None:
        return self._handler.last if self._handler else None

    def _refusal(self, step: AlembicStep) -> str:
        operation = self._last
        what, line = "a statement", ""
        if operation is not None:
            what = f"{operation.kind} {operation.table or ''}".strip()
            line = f":{operation.line}" if operation.line else ""
        sessions = "; ".join(self._monitor.blocker_lines())
        return (
            f"{name_of(step)}{line}: {what} got no lock (try {self._attempts});"
            f" blocked by {sessions or 'sessions that have ended since'}"
        )

    def _lock_refused_error(self, step: AlembicStep, seconds: float) -> NotNow:
        statement = f": {excerpt(self._last.sql)}" if self._last else ""
        times = "time" if self._attempts == 1 else "times"
        return NotNow(
            "LL-LOCK-REFUSED",
            f"revision {name_of(step)}{statement}\nrefused {self._attempts} {times} in"
            f" {seconds:.1f} s{blocked_by(self._monitor)}",
            why=state_after_failure(half_done=self._half_done),
            now="Run the same command again, or end those sessions first.",
        )

    def _notify(
        self, name: str, text: str, step: AlembicStep, *, warning: bool = False, **facts: object
    ) -> None:
        self._limits.notify(
            Event(name, text, {"revision": name_of(step), **facts}, warning=warning)
        )
