"""Runs revisions: each in a transaction of its own, with its version row and its ledger rows."""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alembic.runtime.migration import HeadMaintainer, MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import DBAPIError

from liftlock.errors import LiftlockError, NotNow, UnsafeRevision
from liftlock.events import Event
from liftlock.execution.attempt import Attempt, RunMemory
from liftlock.execution.connection import ProjectConnection
from liftlock.execution.database_errors import (
    LOCK_NOT_AVAILABLE,
    NEEDS_COMMIT,
    RetryDifferently,
    is_transient,
    sqlstate,
    state_after_failure,
)
from liftlock.execution.facts import FactCollector
from liftlock.execution.limits import RunLimits
from liftlock.model.operation import Operation, digest
from liftlock.model.revision import Chain, Revision
from liftlock.model.step import Step
from liftlock.planning.plan import phase_of
from liftlock.postgres.advisory_lock import describe_session
from liftlock.postgres.ledger import Ledger, RevisionProgress
from liftlock.postgres.retry import attempts
from liftlock.revisions.failures import failure
from liftlock.revisions.observer import StatementObserver
from liftlock.revisions.project import revision_of
from liftlock.revisions.recorder import Recorder
from liftlock.revisions.transactions import commit, translated

_BLOCKED_SECONDS = 2.0
_BYTECODE_HEADER = 16
"""Bytes, by https://peps.python.org/pep-0552/."""
"""How long the next try waits for the transactions that blocked the last one."""


@dataclass(slots=True)
class RunReport:
    """What a run did to one version table."""

    version_table: str
    before: frozenset[str]
    after: frozenset[str] = frozenset()
    ran: list[str] = field(default_factory=list)


class Runner:
    """Runs the steps that Alembic chose.

    Parameters:
        context: Alembic's migration context.
        working: its connection.
        ledger: where to note what is done.
        policy: deadline, budgets, interrupts, listener, and the single-flight lock.
        pid: the backend of the connection.
        atomic: the project's own transaction is around everything; nothing can be retried.
    """

    def __init__(
        self,
        context: MigrationContext,
        working: ProjectConnection,
        ledger: Ledger,
        policy: RunLimits,
        *,
        pid: int,
        atomic: bool,
        observer: StatementObserver | None,
    ) -> None:
        self._context, self._working, self._ledger, self._policy = context, working, ledger, policy
        self._flight = policy.lock
        self._pid = pid
        self._atomic = atomic
        self._observer = observer
        self._run = RunMemory()
        self._survey = FactCollector(working, policy.small_table_bytes, policy.allowed, {})
        self._recorder: Recorder | None = None
        self._half_done = False
        self._tries = 0

    def run(
        self, steps: Iterable[Any], maintainer: HeadMaintainer, arguments: dict[str, Any]
    ) -> Iterable[str]:
        """Run Alembic's steps; yields the revision of each that is finished."""
        self._settle(frozenset(maintainer.heads))
        for step in steps:
            started = time.monotonic()
            revision = _name(step)
            self._notify("revision.started", _title(step), revision)
            done = self._persist(step, maintainer, arguments)
            seconds = time.monotonic() - started
            text = f"finished {revision} in {seconds:.2f} s ({len(done)} {'step' if len(done) == 1 else 'steps'})"
            self._notify(
                "revision.finished", text, revision, seconds=round(seconds, 3), steps=len(done)
            )
            yield revision

    def _settle(self, heads: frozenset[str]) -> None:
        done = self._ledger.accept_stamped(
            lambda: Chain.of(
                revision_of(one) for one in script_of(self._context).walk_revisions()
            ).ancestors(heads),
        )
        commit(self._working.connection, atomic=self._atomic)
        if done:
            text = f"the {done} was begun by an earlier run, and finished by hand: the version table says so"
            self._policy.notify(Event("revision.settled", text, warning=True))

    def _persist(
        self, step: Any, maintainer: HeadMaintainer, arguments: dict[str, Any]
    ) -> tuple[Step, ...]:
        """Try a revision until it succeeds, the deadline passes without progress, or the fault isn't one that passes."""
        while True:
            started, finished = time.monotonic(), self._run.finished
            try:
                for attempt in attempts(
                    self._worth_another_try, self._policy.deadline, first=0.2, most=1.0
                ):
                    with attempt:
                        self._tries = attempt.num
                        self._flight.wait_for_blockers(_BLOCKED_SECONDS)
                        return self._attempt(step, maintainer, arguments)
            except Exception as error:
                if self._worth_another_try(error) and self._run.finished > finished:
                    continue
                raise self._failed(error, step, time.monotonic() - started) from error

    def _failed(self, error: Exception, step: Any, seconds: float) -> LiftlockError:
        if sqlstate(error) == LOCK_NOT_AVAILABLE:
            return self._refused(step, seconds)
        return failure(
            error,
            revision=_name(step),
            operation=self._last,
            source=_path(step),
            script=script_of(self._context),
            half_done=self._half_done,
        )

    def _worth_another_try(self, error: Exception) -> bool:
        return is_transient(error) and not self._atomic

    @property
    def _last(self) -> Operation | None:
        return self._recorder.last if self._recorder else None

    def _attempt(
        self, step: Any, maintainer: HeadMaintainer, arguments: dict[str, Any]
    ) -> tuple[Step, ...]:
        self._policy.signals.check()
        self._flight.check()
        heads, memo = set(maintainer.heads), copy.copy(self._context.impl.memo)
        self._flight.blockers = []
        try:
            with self._flight.monitoring(self._pid, self._policy.deadline):
                return self._transaction(step, maintainer, arguments)
        except BaseException as error:
            maintainer.heads, self._context.impl.memo = heads, memo
            self._clear()
            if isinstance(error, DBAPIError):
                self._policy.signals.check()
            if sqlstate(error) == LOCK_NOT_AVAILABLE:
                self._notify(
                    "lock.refused",
                    self._refusal(step),
                    _name(step),
                    warning=True,
                    blockers=self._flight.blockers,
                )
                self._flight.cancel_blockers()
                self._run.maintained = tuple(
                    dict.fromkeys(
                        table for row in self._flight.blockers for table in row["maintains"]
                    )
                )
            raise

    def _transaction(
        self, step: Any, maintainer: HeadMaintainer, arguments: dict[str, Any]
    ) -> tuple[Step, ...]:
        context, started = self._context, time.monotonic()
        progress = self._resume(step)
        with context.begin_transaction(_per_migration=True):
            self._survey.begin()
            whole = self._atomic or self._translated(step)
            work = Attempt(
                self._working,
                self._ledger,
                progress,
                self._survey,
                self._policy,
                self._run,
                whole=whole,
            )
            self._recorder = Recorder(
                context, self._working, work, self._observer.attempt() if self._observer else None
            )
            try:
                with self._recorder.recording(_path(step)):
                    step.migration_fn(**arguments)
            except DBAPIError as error:
                if not work.kept or sqlstate(error) not in NEEDS_COMMIT:
                    raise
                self._run.unnoted.add(progress.revision)
                raise RetryDifferently from error
            finally:
                self._half_done = work.committed or self._recorder.committed
            self._take_over()
            maintainer.update_to_step(step)
            for callback in context.on_version_apply_callbacks:
                callback(
                    ctx=context, step=step.info, heads=set(maintainer.heads), run_args=arguments
                )
            if hasattr(step, "revision"):  # a stamp runs nothing
                self._note(step, work, time.monotonic() - started)
            self._policy.check()
        return tuple(work.steps)

    def _translated(self, step: Any) -> bool:
        """Whether other schemas are put in while statements are sent: a plan wouldn't name these, so all takes its plain form."""
        found = bool(translated(self._working.connection))
        if found:
            text = f"{_name(step)} runs in one transaction, as plain Alembic runs it: env.py sets schema_translate_map"
            self._notify("revision.translated", text, _name(step), warning=True)
        return found

    def _resume(self, step: Any) -> RevisionProgress:
        if not hasattr(step, "revision"):
            return RevisionProgress("", "up", "")
        source = digest(_text(Path(_path(step))))
        progress = self._ledger.resume(_name(step), "up" if step.is_upgrade else "down", source)
        commit(self._working.connection, atomic=self._atomic)
        self._half_done = progress.execution is not None
        if progress.changed and "LL-FILE-CHANGED" not in self._policy.allowed:
            raise UnsafeRevision(
                "LL-FILE-CHANGED",
                f"revision {_name(step)}: its file has changed since it was begun and interrupted: {_path(step)}",
                why="Some of its steps are committed; what is still to be done can't be told from another file.",
                now="Put the file back as it was, finish it, and make the change in a revision of its own; or, when the"
                " steps that are done are the same in both: LIFTLOCK_ALLOW=LL-FILE-CHANGED.",
            )
        if progress.execution is not None:
            done = sum(sum(one.finished.values()) for one in progress.steps.values())
            self._notify(
                "revision.resumed",
                f"resuming {_name(step)} after {done} finished steps",
                _name(step),
                steps=done,
            )
        return progress

    def _clear(self) -> None:
        """Leave no transaction of a failed attempt open; after a commit of the revision's own it isn't Alembic's."""
        transaction = None if self._atomic else self._working.connection.get_transaction()
        if transaction is not None:
            with contextlib.suppress(Exception):
                transaction.rollback()

    def _take_over(self) -> None:
        """After a commit of the revision's own, Alembic's transaction is dead: go on in the one that followed."""
        context, connection = self._context, self._context.connection
        if (
            self._atomic
            or connection is None
            or self._recorder is None
            or not self._recorder.committed
        ):
            return
        context._transaction = connection.get_transaction() or connection.begin()

    def _note(self, step: Any, work: Attempt, seconds: float) -> None:
        progress = work.finish()
        if step.is_upgrade:
            self._ledger.add_revision(_revision(self._context, step), phase_of(work.steps), seconds)
        else:
            self._ledger.remove_revision(step.revision.revision)
        self._ledger.finish(progress)

    def _refusal(self, step: Any) -> str:
        operation = self._last
        what = f"{operation.kind} {operation.table or ''}".strip() if operation else "a statement"
        line = f":{operation.line}" if operation and operation.line else ""
        blocked = (
            "; ".join(describe_session(row) for row in self._flight.blockers)
            or "sessions that have gone since"
        )
        return f"{_name(step)}{line}: {what} got no lock (try {self._tries}); blocked by {blocked}"

    def _refused(self, step: Any, seconds: float) -> LiftlockError:
        operation = self._last
        statement = f": {operation.sql[:300]}" if operation else ""
        listed = "".join(f"\nblocked by {describe_session(row)}" for row in self._flight.blockers)
        times = "time" if self._tries == 1 else "times"
        return NotNow(
            "LL-LOCK-REFUSED",
            f"revision {_name(step)}{statement}\nrefused {self._tries} {times} in {seconds:.1f} s{listed}",
            why=state_after_failure(half_done=self._half_done),
            now="Run the same command again, or end those sessions first.",
        )

    def _notify(
        self, name: str, text: str, revision: str, *, warning: bool = False, **facts: object
    ) -> None:
        self._policy.notify(Event(name, text, {"revision": revision, **facts}, warning=warning))


def _text(path: Path) -> str:
    """What is in a revision's file, or in its bytecode behind the header, which tells when it was compiled."""
    content = path.read_bytes()
    return (
        content[_BYTECODE_HEADER:].decode("latin-1")
        if path.suffix == ".pyc"
        else content.decode(errors="replace")
    )


def _name(step: Any) -> str:
    return str(step.revision.revision) if hasattr(step, "revision") else "stamp"


def _title(step: Any) -> str:
    if not hasattr(step, "revision"):
        return "stamping the version table"
    verb = "applying" if step.is_upgrade else "taking back"
    return f"{verb} {_name(step)}: {step.revision.doc or 'no title'}"


def _path(step: Any) -> str:
    return str(step.revision.path) if hasattr(step, "revision") else ""


def script_of(context: MigrationContext) -> ScriptDirectory:
    """The script directory of a migration context."""
    script = context.script
    assert script is not None
    return script


def _revision(context: MigrationContext, step: Any) -> Revision:
    return revision_of(script_of(context).get_revision(step.revision.revision))
