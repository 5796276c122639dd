"""Runs revisions: each in a transaction of its own, with its version row and its ledger rows."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from alembic.runtime.migration import HeadMaintainer, MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import DBAPIError

from liftlock.errors import LiftlockError, NotNow
from liftlock.events import Event, Notify
from liftlock.model.revision import Revision
from liftlock.model.step import Step
from liftlock.planning.plan import phase_of
from liftlock.postgres.flight import Flight
from liftlock.postgres.interrupts import Interrupts
from liftlock.postgres.ledger import Ledger
from liftlock.postgres.patience import attempts
from liftlock.revisions.failures import LOCK_NOT_AVAILABLE, failure, sqlstate, transient
from liftlock.revisions.history import revision_of
from liftlock.revisions.recorder import Recorder


@dataclass(slots=True)
class RunReport:
    """What a run did to one version table."""

    version_table: str
    before: frozenset[str]
    after: frozenset[str] = frozenset()
    ran: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Policy:
    """How long a run may last, and who hears of it."""

    deadline: float
    interrupts: Interrupts
    notify: Notify


class Runner:
    """Runs the steps that Alembic chose.

    Parameters:
        context: Alembic's migration context.
        flight: the single-flight lock, held.
        ledger: where to note what is done.
        policy: deadline, interrupts, listener.
        pid: the backend of the context's connection.
        atomic: the project's own transaction is around everything; nothing can be retried.
    """

    def __init__(  # noqa: PLR0913 - the parts of a run
        self, context: MigrationContext, flight: Flight, ledger: Ledger, policy: Policy, *, pid: int, atomic: bool
    ) -> None:
        self._context = context
        self._flight = flight
        self._ledger = ledger
        self._policy = policy
        self._pid = pid
        self._atomic = atomic
        self._recorder = Recorder(context, policy.interrupts.check)

    def run(self, steps: Iterable[Any], maintainer: HeadMaintainer, arguments: dict[str, Any]) -> Iterable[str]:
        """Run Alembic's steps; yields the revision of each that is finished."""
        for step in steps:
            started = time.monotonic()
            revision = _name(step)
            self._notify("revision.started", _title(step), revision)
            done = self._persist(step, maintainer, arguments)
            seconds = time.monotonic() - started
            text = f"finished {revision} in {seconds:.2f} s ({len(done)} {'step' if len(done) == 1 else 'steps'})"
            self._notify("revision.finished", text, revision, seconds=round(seconds, 3), steps=len(done))
            yield revision

    def _persist(self, step: Any, maintainer: HeadMaintainer, arguments: dict[str, Any]) -> tuple[Step, ...]:  # noqa: ANN401
        """Try a revision until it succeeds, the deadline passes or the fault isn't one that passes."""
        started, misses = time.monotonic(), 0
        worth = self._worth_another_try
        try:
            for attempt in attempts(worth, self._policy.deadline, first=0.2, most=5.0):
                with attempt:
                    misses = attempt.num - 1
                    return self._attempt(step, maintainer, arguments, attempt.num)
        except Exception as error:
            if sqlstate(error) == LOCK_NOT_AVAILABLE:
                raise self._refused(step, misses + 1, time.monotonic() - started) from error
            raise failure(
                error,
                revision=_name(step),
                operation=self._recorder.last,
                source=_path(step),
                script=script_of(self._context),
                half_done=self._recorder.committed,
            ) from error
        raise AssertionError

    def _worth_another_try(self, error: Exception) -> bool:
        return transient(error) and not self._recorder.committed and not self._atomic

    def _attempt(self, step: Any, maintainer: HeadMaintainer, arguments: dict[str, Any], number: int) -> tuple[Step, ...]:  # noqa: ANN401
        self._policy.interrupts.check()
        self._flight.check()
        heads, memo = set(maintainer.heads), copy.copy(self._context.impl.memo)
        self._flight.blockers = []
        try:
            with self._flight.watching(self._pid):
                return self._transaction(step, maintainer, arguments)
        except BaseException as error:
            maintainer.heads, self._context.impl.memo = heads, memo
            if isinstance(error, DBAPIError):
                self._policy.interrupts.check()
            if sqlstate(error) == LOCK_NOT_AVAILABLE:
                self._notify("lock.refused", self._refusal(step, number), _name(step), warning=True, blockers=self._flight.blockers)
            raise

    def _transaction(self, step: Any, maintainer: HeadMaintainer, arguments: dict[str, Any]) -> tuple[Step, ...]:  # noqa: ANN401
        context, started = self._context, time.monotonic()
        with context.begin_transaction(_per_migration=True):
            with self._recorder.recording(_path(step)):
                step.migration_fn(**arguments)
            self._take_over()
            maintainer.update_to_step(step)
            for callback in context.on_version_apply_callbacks:
                callback(ctx=context, step=step.info, heads=set(maintainer.heads), run_args=arguments)
            steps = self._recorder.steps
            self._note(step, steps, time.monotonic() - started)
            self._policy.interrupts.check()
            self._flight.check()
        return steps

    def _take_over(self) -> None:
        """After a commit of the revision's own, Alembic's transaction is dead: go on in the one that followed."""
        context, connection = self._context, self._context.connection
        if self._atomic or connection is None or not self._recorder.committed:
            return
        context._transaction = connection.get_transaction() or connection.begin()  # noqa: SLF001 - what Alembic commits at the end

    def _note(self, step: Any, steps: tuple[Step, ...], seconds: float) -> None:  # noqa: ANN401
        if not hasattr(step, "revision"):  # a stamp runs nothing
            return
        if step.is_upgrade:
            self._ledger.add_revision(_revision(self._context, step), phase_of(steps), seconds)
        else:
            self._ledger.remove_revision(step.revision.revision)
        self._ledger.add_steps(step.revision.revision, "up" if step.is_upgrade else "down", steps)

    def _refusal(self, step: Any, number: int) -> str:  # noqa: ANN401
        operation = self._recorder.last
        what = f"{operation.kind} {operation.table or ''}".strip() if operation else "a statement"
        line = f":{operation.line}" if operation and operation.line else ""
        blocked = "; ".join(blocker(row) for row in self._flight.blockers) or "sessions that have gone since"
        return f"{_name(step)}{line}: {what} got no lock (try {number}); blocked by {blocked}"

    def _refused(self, step: Any, tries: int, seconds: float) -> LiftlockError:  # noqa: ANN401
        operation = self._recorder.last
        statement = f": {operation.sql[:300]}" if operation else ""
        listed = "\n".join(f"blocked by {blocker(row)}" for row in self._flight.blockers)
        return NotNow(
            "LL-LOCK-REFUSED",
            f"revision {_name(step)}{statement}\nrefused {tries} {'time' if tries == 1 else 'times'} in {seconds:.1f} s\n{listed}".strip(),
            why="The revision is rolled back: the database is as before it, and earlier revisions stay applied.",
            now="Run the same command again, or end those sessions first.",
        )

    def _notify(self, name: str, text: str, revision: str, *, warning: bool = False, **facts: object) -> None:
        self._policy.notify(Event(name, text, {"revision": revision, **facts}, warning=warning))


def blocker(row: dict[str, Any]) -> str:
    """A blocking session, in one line."""
    query = " ".join((row["query"] or "").split())[:120]
    name = row["application_name"] or row["usename"] or "unnamed"
    return f"pid {row['pid']}, {name!r}, {row['state'] or 'hidden'} for {row['seconds'] or 0:.0f} s: {query}"


def _name(step: Any) -> str:  # noqa: ANN401
    return str(step.revision.revision) if hasattr(step, "revision") else "stamp"


def _title(step: Any) -> str:  # noqa: ANN401
    if not hasattr(step, "revision"):
        return "stamping the version table"
    verb = "applying" if step.is_upgrade else "taking back"
    return f"{verb} {_name(step)}: {step.revision.doc or 'no title'}"


def _path(step: Any) -> str:  # noqa: ANN401
    return str(step.revision.path) if hasattr(step, "revision") else ""


def script_of(context: MigrationContext) -> ScriptDirectory:
    """The script directory of a migration context."""
    script = context.script
    assert script is not None  # noqa: S101 - Alembic sets it in every environment
    return script


def _revision(context: MigrationContext, step: Any) -> Revision:  # noqa: ANN401
    return revision_of(script_of(context).get_revision(step.revision.revision))
