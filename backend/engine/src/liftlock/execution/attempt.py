"""One attempt at a revision: its transaction, and what the ledger is told.

Brief steps share a transaction for as long as the stall budget lasts. At a step that is long, what came
before is committed with its rows in the ledger; a later attempt runs the revision's code again, and what
is known to be done is passed over.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from liftlock.errors import LiftlockError, NotNow
from liftlock.execution.connection import ProjectConnection
from liftlock.execution.database_errors import (
    DATA_BREAKS,
    QUERY_CANCELED,
    RetryDifferently,
    sqlstate,
)
from liftlock.execution.facts import FactCollector
from liftlock.execution.limits import RunLimits
from liftlock.execution.removed_objects import RemovedObjects
from liftlock.execution.revision_errors import (
    committed_without_record,
    deferred_constraint_violated,
    path_differs,
    values_differ,
)
from liftlock.model.operation import Operation
from liftlock.model.step import Step
from liftlock.planning.plan import plan
from liftlock.postgres.advisory_lock import describe_session
from liftlock.postgres.ledger import (
    Ledger,
    OperationKey,
    OperationProgress,
    RevisionProgress,
    StepRecord,
)
from liftlock.postgres.queries import CATALOG

Send = Callable[[], Any]
_MAINTENANCE_MS = 5_000
"""How long maintenance is waited for by a lock that the application doesn't feel; longer than any usual deadlock_timeout."""
_UNNOTED: OperationKey = ("unnoted", 0)
"""Stands among the answers of a revision that has committed what nobody noted."""
_WRITES = frozenset({"execute", "insert", "update", "delete", "bulk_insert", "backfill"})


@dataclass(slots=True)
class RunMemory:
    """What the attempts of a run have learnt.

    Parameters:
        apart: raw statements that were too long to share a transaction with strong locks.
        patient: those that only lock rows, and may take their time.
        permitted: those that lock more, and are allowed to.
        finished: how many steps are committed.
        unnoted: those that must commit what nobody noted, for what refuses a transaction.
        sparing: revisions whose rows are as a deferred constraint wants them at their end only: nothing is committed for the
            stall budget's sake.
        maintained: tables whose maintenance, such as an autovacuum, kept the last try from its lock.
    """

    apart: set[tuple[str, OperationKey]] = field(default_factory=set)
    patient: set[tuple[str, OperationKey]] = field(default_factory=set)
    permitted: set[tuple[str, OperationKey]] = field(default_factory=set)
    unnoted: set[str] = field(default_factory=set)
    sparing: set[str] = field(default_factory=set)
    finished: int = 0
    maintained: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PendingStep:
    """A step with its place in its operation's recipe, and what the ledger knows of it."""

    key: OperationKey
    number: int
    operation: Operation
    step: Step
    known: OperationProgress


@dataclass(slots=True)
class Attempt:
    """One attempt.

    Parameters:
        working: the project's connection.
        ledger: writes through that connection.
        progress: what earlier attempts committed.
        survey: finds facts.
        policy: budgets, deadline, listener.
        run: what attempts share.
        whole: the revision is to be one transaction, as with plain Alembic.

    ``away`` is what others would miss if it were committed now; ``unnoted``, whether something was written that the ledger doesn't
    hear of; ``kept``, whether it was kept from being committed.
    """

    working: ProjectConnection
    ledger: Ledger
    progress: RevisionProgress
    survey: FactCollector
    policy: RunLimits
    run: RunMemory
    whole: bool = False
    steps: list[Step] = field(default_factory=list)
    committed: bool = False
    strong: bool = False
    since: float | None = None
    away: RemovedObjects = field(init=False)
    _pending: list[StepRecord | tuple[OperationKey, str, str]] = field(default_factory=list)
    _seen: Counter[str] = field(default_factory=Counter)
    _met: set[OperationKey] = field(default_factory=set)
    _position: int = 0
    strayed: str = ""
    unnoted: bool = False
    kept: bool = False

    def __post_init__(self) -> None:
        """Go on where earlier attempts came to.

        Raises:
            UnsafeRevision: nobody knows where that is.
        """
        if _UNNOTED in self.progress.results:
            raise committed_without_record(self.progress.revision)
        self.away = RemovedObjects(self.policy.lock)
        self.working.local.clear()
        self.working.bound, self.working.outside = self.whole, False
        self.committed = self.progress.execution is not None
        self._position = sum(len(one.finished) for one in self.progress.steps.values())

    def parts(self, operation: Operation) -> Iterator[PendingStep]:
        """Plan an operation, or go on with the recipe that was begun; the parts that are still to be done."""
        key = (operation.shape, self._seen[operation.shape])
        self._seen[operation.shape] += 1
        self._met.add(key)
        known = self.progress.steps.get(key)
        self._compare(operation, known)
        if known is None:
            self.make_room()
            known = OperationProgress(
                plan(operation, self.survey.facts(operation, bound=self.bound))
            )
        self.steps += known.recipe
        for number, step in enumerate(known.recipe):
            if not known.finished.get(number):
                yield PendingStep(key, number, operation, step, known)

    def _compare(self, operation: Operation, known: OperationProgress | None) -> None:
        """Whether a revision writes what it wrote before its interruption."""
        if operation.kind not in _WRITES or self.progress.changed:
            return
        if known is None:
            self.goes_on(operation.sql)
        elif known.fingerprint not in {"", operation.evidence, operation.fingerprint}:
            self.strayed = operation.sql

    def goes_on(self, statement: str) -> None:
        """The revision is about to write what it hasn't written yet.

        Raises:
            UnsafeRevision: what it wrote before had other values.
        """
        if self.strayed:
            raise values_differ(self.strayed, statement)

    # The transaction.

    @property
    def bound(self) -> bool:
        """Whether nothing may be committed.

        The project's own transaction is around everything, or the revision sent what makes sense in one transaction only.
        """
        return self.working.bound

    def make_room(self) -> None:
        """Commit first, when half of the stall budget is used up by the locks that are held."""
        kept = self.away.held is not None or self.progress.revision in self.run.sparing
        if self.since is not None and self.elapsed() > self.policy.budget / 2 and not kept:
            self.commit_point()

    def bounded_wait(self) -> None:
        """What is waited for from here on counts as one wait with the locks that are held already."""
        if self.since is None or not self.bound:
            left = max(self.policy.budget - self.elapsed(), 10)
            self.working.settings(
                lock_timeout=f"{left:.0f}ms"
            )  # also where env.py or the revision has set another
        self.since = self.since or time.monotonic()

    def elapsed(self) -> float:
        """Milliseconds since the transaction first asked for a lock."""
        return (time.monotonic() - (self.since or time.monotonic())) * 1000

    def await_maintenance(self) -> None:
        """Wait for maintenance, such as an autovacuum, by a lock that only such work feels.

        An autovacuum gives way to who has waited for it for a second (``deadlock_timeout``), which is longer than a try lasts:
        https://www.postgresql.org/docs/current/routine-vacuuming.html#AUTOVACUUM
        """
        tables, self.run.maintained = self.run.maintained, ()
        if not tables or self.bound or self.away.held:
            return
        self.commit_point()
        self.working.settings(lock_timeout=str(_MAINTENANCE_MS))
        for row in self.working.rows(CATALOG["may_lock"], {"relations": list(tables)}):
            self.working.send(f"LOCK TABLE {row['relation']} IN SHARE UPDATE EXCLUSIVE MODE")

    def commit_point(self) -> None:
        """Commit what is done, with its rows in the ledger.

        Raises:
            UnsafeRevision: others would see what lies between two operations, and nobody allows it.
            TooLong: the rows aren't as a constraint wants them yet; it may be tried once more with fewer commits.
        """
        if self.bound:
            return
        self.away.commit(self.working.operation, self.policy.allowed)
        self.write_down()
        self.policy.check()
        self._commit()
        self.since, self.strong = None, False

    def _commit(self) -> None:
        """Commit; a deferred constraint is looked at just then."""
        revision = self.progress.revision
        try:
            self.working.commit()
        except Exception as error:
            if sqlstate(error) not in DATA_BREAKS:
                raise
            if revision in self.run.sparing:
                raise deferred_constraint_violated(
                    error, revision, self.working.operation
                ) from error
            self.run.sparing.add(revision)
            raise RetryDifferently from error
        self.committed = self.progress.execution is not None

    def end_transaction(self) -> None:
        """Commit, as the revision says; what follows is committed by itself each.

        But not where the project's own transaction is around everything; nor what nobody has noted, unless what follows can't do
        without: another try would do that again.
        """
        self.working.outside = True
        self.kept = self.unnoted and self.progress.revision not in self.run.unnoted
        if self.whole or self.kept:
            return
        if self.unnoted:
            self._pending.append((_UNNOTED, "", "{}"))
        self.write_down()
        self.policy.check()
        self.working.local.clear()
        self.working.commit()
        self.committed, self.unnoted = self.progress.execution is not None, False
        self.since, self.strong = None, False
        self.away.clear()
        self.working.bound = False

    def out_of_time(self, part: PendingStep) -> LiftlockError:
        """A long step was kept from its lock for all of the deadline."""
        blocked = "".join(
            f"\nblocked by {describe_session(row)}" for row in self.policy.lock.blockers
        )
        return NotNow(
            "LL-DEADLINE-EXCEEDED",
            f"revision {self.progress.revision}: this got no lock within the deadline:\n{part.step.sql[:300]}{blocked}",
            why="What is finished stays and is recorded.",
            now="Run the same command again, with a longer --deadline.",
        )

    def bind(self) -> None:
        """Nothing may be committed from here on, up to the revision's end."""
        self.working.bound = True

    # The ledger.

    def done(self, part: PendingStep, *, finished: bool = True) -> None:
        """A step is finished, or begun; the ledger hears of it with the next commit."""
        recipe = () if part.known.finished else part.known.recipe
        part.known.finished[part.number] = finished
        self._pending.append(
            StepRecord(
                part.key,
                part.number,
                self._position,
                part.operation,
                part.step,
                recipe=recipe,
                finished=finished,
            )
        )
        self._position += finished

    def take_back(self, part: PendingStep) -> None:
        """Rows break what was to be proven: an unproven constraint would keep them from being updated, so it goes."""
        self.working.rollback()
        for statement in part.step.undo:
            self.working.send(statement)
        self.ledger.forget(self.progress, part.key)
        self.working.commit()

    def write_down(self) -> None:
        """Write what is done into the ledger; the caller commits."""
        if not self._pending:
            return
        self.ledger.begin(self.progress)
        for one in self._pending:
            if isinstance(one, StepRecord):
                self.ledger.add_step(self.progress, one)
                self.run.finished += one.finished
            else:
                self.ledger.add_result(self.progress, *one)
        self._pending.clear()

    def finish(self) -> RevisionProgress:
        """Write down the rest; make sure that all that was done before was met again.

        Raises:
            UnsafeRevision: the revision took another path than the one that was interrupted.
        """
        missed = [
            known.recipe[0].sql
            for key, known in self.progress.steps.items()
            if key not in self._met and known.recipe
        ]
        if missed:
            raise path_differs(self.progress.revision, missed)
        self.write_down()
        self.ledger.begin(self.progress)
        return self.progress

    # What the revision says to the database itself.

    def recall(self, key: OperationKey) -> tuple[str, str] | None:
        """What was answered on an earlier attempt: the fingerprint of the question, and the answer."""
        return self.progress.results.get(key)

    def remember(self, key: OperationKey, fingerprint: str, body: str) -> None:
        """Keep an answer for a later attempt."""
        if not self.bound:
            self._pending.append((key, fingerprint, body))

    @contextlib.contextmanager
    def asked(self, key: OperationKey, operation: Operation, *, reading: bool) -> Iterator[None]:
        """The revision asks something that may take long: it shares no transaction with strong locks.

        Unless it would lay bare what mostly comes back: then it may share it as long as it is quick.
        """
        name, self.working.operation = (self.progress.revision, key), operation
        shares = (
            self.away.hold_what_mostly_comes_back()
            and not self.working.outside
            and name not in self.run.apart
        )
        try:
            if shares:
                self.working.settings(
                    statement_timeout=f"{max(self.policy.budget - self.elapsed(), 20):.0f}ms"
                )
            elif self.strong or self.working.outside or self.away.held:
                self.commit_point()
            elif not reading:
                self.make_room()
            yield
        except Exception as error:
            self.policy.check()
            if shares and sqlstate(error) == QUERY_CANCELED:
                self.run.apart.add(name)
                raise RetryDifferently from error
            raise
        finally:
            self.working.operation = None
        if shares:
            self.working.settings(statement_timeout="0")
        if not reading:
            self.since = self.since or time.monotonic()
