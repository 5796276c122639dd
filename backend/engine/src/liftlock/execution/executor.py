"""How each kind of step is run: brief, online, concurrently, in batches, or as nobody knows beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.exc import DBAPIError

from liftlock.errors import LiftlockError, StepFailed
from liftlock.execution.attempt import Attempt, PendingStep, Send
from liftlock.execution.backfill import BackfillRunner
from liftlock.execution.database_errors import (
    ALREADY,
    COMMITS,
    DATA_BREAKS,
    INSUFFICIENT_PRIVILEGE,
    QUERY_CANCELED,
    connection_lost,
    sqlstate,
)
from liftlock.execution.raw_sql import RawStatementRunner
from liftlock.execution.revision_errors import rolled_back_by_revision
from liftlock.execution.statements import (
    ends_transaction,
    is_local_setting,
    is_session_setting,
    requires_one_transaction,
    rolls_back,
    sets_role,
)
from liftlock.model.lock import LockMode
from liftlock.model.operation import Operation, first_words
from liftlock.model.step import Pace, StepKind
from liftlock.postgres.dry_run import DryRunFailed, EmptyCopy
from liftlock.postgres.queries import CATALOG

_LOOK_MS = 10_000
"""How long a look for rows that break a constraint may take; the proof itself finds them later."""
_RAW = frozenset({"execute", "insert", "update", "delete", "bulk_insert", "backfill"})


class StepExecutor:
    """Runs the steps of a revision's operations.

    Parameters:
        work: the attempt that they belong to.
    """

    def __init__(self, work: Attempt) -> None:
        self._work, self._working, self._policy = work, work.working, work.policy
        self._filler, self._raw = BackfillRunner(work), RawStatementRunner(work)

    def perform(self, operation: Operation, send: Send, *, ahead: Sequence[Operation] = ()) -> None:
        """Run an operation, as far as it isn't done.

        Parameters:
            operation: what the revision asked for.
            send: runs it as plain Alembic would.
            ahead: what it asks for after it, as far as that is known.
        """
        outside = self._working.outside
        if operation.kind == "execute" and self._settled(operation, send):
            return
        if requires_one_transaction(operation.sql) and not outside:
            self._work.bind()
        makes, ran = self._work.survey.makes(operation), False
        self._look_ahead([operation, *ahead])
        self._working.operation = operation
        try:
            for part in self._work.parts(operation):
                self._policy.check()
                self._working.step = part.step
                self._step(part, send, outside=outside)
                ran = True
        finally:
            self._working.operation = self._working.step = None
        self._work.away.passed(operation, ran=ran and not outside)
        self._look_ahead(ahead)
        if makes:
            self._work.survey.made(operation.relation)

    def _look_ahead(self, coming: Sequence[Operation]) -> None:
        if not self._work.bound:
            self._work.away.look_ahead(coming)

    def _settled(self, operation: Operation, send: Send) -> bool:
        """What settles the session is sent on each attempt; what makes sense in one transaction only keeps the rest in it."""
        if is_session_setting(operation.sql):
            self.settled(operation.sql)
            send()
            return True
        return self.ends_the_transaction(operation)

    def settled(self, statement: str) -> None:
        """Note what a statement is about to settle for the transaction, or for who works in it."""
        if is_local_setting(statement):
            self._working.local.append(statement)
        if sets_role(statement):
            self._working.another_role()

    def ends_the_transaction(self, operation: Operation) -> bool:
        """Do so, if that is what a statement is for; what follows is as in an autocommit block, unless a transaction is begun.

        Raises:
            UnsafeRevision: it undoes what the revision has done.
        """
        if rolls_back(operation.sql):
            raise rolled_back_by_revision(operation)
        ended = ends_transaction(operation.sql)
        if ended:
            self._work.end_transaction()
        elif self._working.outside and first_words(operation.sql)[:1] in (["BEGIN"], ["START"]):
            self._working.outside = False
            return True
        return ended

    def _step(self, part: PendingStep, send: Send, *, outside: bool) -> None:
        step = part.step
        if (
            step.partition
            and not self._working.rows(CATALOG["is_partition"], {"relation": step.partition})[0][
                "is_one"
            ]
        ):
            self._work.done(part)
            return
        if step.kind is not StepKind.PLAIN:
            send = lambda: [self._working.send(one) for one in (step.sql, *step.more_sql)]
        if step.kind is StepKind.LOOK:
            self._look(part)
        elif step.kind is StepKind.BACKFILL:
            self._filler.fill(part)
        elif step.kind is StepKind.CONCURRENT and not self._work.bound:
            self._concurrent(part, send)
        elif step.pace is Pace.ONLINE and not self._work.bound:
            self._online(part, send)
        elif part.operation.kind in _RAW and not self._work.bound:
            refused = self._raw.run(part, send, outside=outside)
            if refused is not None:
                self._concurrent(part, send, whole=refused != COMMITS)
        else:
            self._brief(part, send)

    def _brief(self, part: PendingStep, send: Send) -> None:
        step, work = part.step, self._work
        if step.lock is not None:
            work.make_room()
            work.await_maintenance()
            if step.lock is LockMode.ACCESS_EXCLUSIVE and work.since is None:
                self._policy.standbys.look()
            if step.tables:
                for row in self._working.rows(
                    CATALOG["may_lock"], {"relations": list(step.tables)}
                ):
                    work.bounded_wait()
                    self._working.send(f"LOCK TABLE {row['relation']} IN {step.lock.value} MODE")
            work.bounded_wait()
            work.strong = work.strong or step.lock is not LockMode.ROW_EXCLUSIVE
        send()
        work.done(part)

    def _look(self, part: PendingStep) -> None:
        """Look for rows that break what comes next; it is a service, so it gives up rather than take long."""
        self._work.commit_point()
        self._working.settings(lock_timeout="0", statement_timeout=str(_LOOK_MS))
        try:
            rows = self._working.send(part.step.sql)
        except Exception as error:
            self._policy.check()
            if sqlstate(error) != QUERY_CANCELED:
                raise
            rows = []
        self._working.rollback()
        if rows:
            if part.step.undo:
                self._work.take_back(part)
            raise self._broken(part, rows)
        self._work.done(part)

    def _online(self, part: PendingStep, send: Send) -> None:
        self._work.commit_point()
        self._working.settings(lock_timeout="0", statement_timeout="0")
        try:
            send()
        except Exception as error:
            self._policy.check()
            if sqlstate(error) in DATA_BREAKS and part.step.undo:
                self._work.take_back(part)
            raise self._told(error, part) from error
        self._work.done(part)
        self._work.commit_point()

    def _concurrent(self, part: PendingStep, send: Send, *, whole: bool = True) -> None:
        """A statement that refuses a transaction: announced before, repaired when it was interrupted, noted after.

        One that nobody planned says itself, when it is sent again, whether it had come to its end; unless it may be done
        by half, and isn't ``whole``: that is run again as it is.
        """
        self._work.commit_point()
        step, begun = part.step, part.number in part.known.finished
        wanted = {"relation": step.index, "owner": step.tables[0] if step.tables else ""}
        found = self._working.rows(CATALOG["index_state"], wanted) if step.index else []
        builds, done = step.name.startswith("build"), bool(found and found[0]["done"])
        if begun and builds and done:
            self._recognise(part)
        if not (begun and step.index and (done if builds else not found)):
            self._work.done(part, finished=False)
            self._work.commit_point()
            broken = None
            with self._working.autocommit():
                if builds and found and not done:
                    self._working.send(step.repair)
                if step.index:
                    broken = self._send_planned(part, send)
                else:
                    self._send_written(part, send, again=begun and whole)
            if broken is not None:
                self._work.take_back(part)
                raise broken
        self._work.done(part)
        self._work.commit_point()

    def _recognise(self, part: PendingStep) -> None:
        """An index that was begun is there: is it the one?"""
        step, working = part.step, self._working
        with working.undone():
            try:
                copy = EmptyCopy(working.rows, working.send, step.tables[0])
                same = copy.defines_index(step.sql, step.index)
            except DryRunFailed:
                same = True
            except DBAPIError as error:
                if sqlstate(error) != INSUFFICIENT_PRIVILEGE:
                    raise
                same = True  # who may make no temporary table knows it by its name
        if not same:
            raise StepFailed(
                "LL-INDEX-DIFFERS",
                f"revision {self._work.progress.revision}: {step.index} is there, but isn't the index that was begun:\n{step.sql[:300]}",
                why="Somebody has made another one of that name since the revision was interrupted.",
                now="Drop it or rename it, then run again.",
            )

    def _send_planned(self, part: PendingStep, send: Send) -> Exception | None:
        """What rows break is repaired; its error, for the operation is still to be taken back, in a transaction."""
        try:
            send()
        except Exception as error:
            self._policy.check()
            told = self._told(error, part)
            if sqlstate(error) not in DATA_BREAKS or not part.step.repair:
                raise told from error
            self._working.send(part.step.repair)
            told.__cause__ = error
            return told
        return None

    def _send_written(self, part: PendingStep, send: Send, *, again: bool) -> None:
        """A statement of the revision's own. One that fails, and isn't cut short, was never begun."""
        if again:
            self._repair(part)
        try:
            send()
        except Exception as error:
            self._policy.check()
            if again and sqlstate(error) in ALREADY and not self._left_behind(part):
                return
            if sqlstate(error) is not None and not connection_lost(error):
                self._repair(part)
                self._work.ledger.forget(self._work.progress, part.key)
            raise self._told(error, part) from error

    def _repair(self, part: PendingStep) -> None:
        for statement in self._left_behind(part):
            self._working.send(statement)

    def _left_behind(self, part: PendingStep) -> list[str]:
        return [
            row["repair"]
            for row in self._working.rows(CATALOG["left_behind"], {"statement": part.step.sql})
        ]

    def _told(self, error: Exception, part: PendingStep) -> Exception:
        return self._work.out_of_time(part) if sqlstate(error) == QUERY_CANCELED else error

    def _broken(self, part: PendingStep, rows: list[dict[str, Any]]) -> LiftlockError:
        shown = "\n".join(
            "  " + ", ".join(f"{name}={value}" for name, value in row.items()) for row in rows
        )
        operation = part.operation
        return StepFailed(
            "LL-ROWS-VIOLATE-CONSTRAINT",
            f"revision {self._work.progress.revision}, line {operation.line or '?'}: rows of {operation.table} break what it asks for:"
            f"\n{operation.sql[:300]}\nsuch as\n{shown}",
            why="Nothing of this operation was done: an unproven constraint would keep these rows from being updated.",
            now="Correct those rows, then run again.",
        )
