"""How each kind of step is run: brief, online, concurrently, in batches, or as nobody knows beforehand."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy.exc import DBAPIError

from liftlock.errors import LiftlockError, NotNow, StepFailed
from liftlock.model.facts import Facts
from liftlock.model.lock import LockMode
from liftlock.model.operation import Operation
from liftlock.model.step import Means, Pace
from liftlock.planning.refusals import refuse_unless_allowed
from liftlock.postgres import catalog
from liftlock.postgres.flight import described
from liftlock.postgres.sql import CATALOG
from liftlock.revisions.answers import binds_the_transaction, reads, settles, settles_transaction
from liftlock.revisions.failures import (
    ALREADY,
    COMMITS,
    DATA_BREAKS,
    INSUFFICIENT_PRIVILEGE,
    QUERY_CANCELED,
    REFUSES_TRANSACTION,
    TooLong,
    connection_lost,
    sqlstate,
)
from liftlock.revisions.filler import Filler
from liftlock.revisions.work import Part, Send, Work

_LOOK_MS = 10_000
"""How long a look for rows that break a constraint may take; the proof itself finds them later."""
_MAINTENANCE_MS = 5_000
"""How long maintenance is waited for by a lock that the application doesn't feel; longer than any usual deadlock_timeout."""
_REWRITES = re.compile(r"^\s*(VACUUM\b[^;]*\bFULL\b|CLUSTER\b|REINDEX\b(?!.*\bCONCURRENTLY\b))", re.IGNORECASE | re.DOTALL)
_RAW = frozenset({"execute", "insert", "update", "delete", "bulk_insert", "backfill"})


class Stepper:
    """Runs the steps of a revision's operations.

    Parameters:
        work: the attempt that they belong to.
    """

    def __init__(self, work: Work) -> None:
        self._work, self._working, self._policy = work, work.working, work.policy
        self._filler = Filler(work)

    def perform(self, operation: Operation, send: Send, *, outside: bool = False) -> None:
        """Run an operation, as far as it isn't done.

        Parameters:
            operation: what the revision asked for.
            send: runs it as plain Alembic would.
            outside: the revision asks for it in an autocommit block.
        """
        if operation.kind == "execute" and self._settled(operation.sql, send):
            return
        if binds_the_transaction(operation.sql) and not self._working.outside:
            self._work.bind()
        makes = self._work.survey.makes(operation)
        self._working.operation = operation
        try:
            for part in self._work.parts(operation):
                self._policy.check()
                self._working.step = part.step
                self._step(part, send, outside=outside)
        finally:
            self._working.operation = self._working.step = None
        if makes:
            self._work.survey.made(operation.relation)

    def _settled(self, statement: str, send: Send) -> bool:
        """What settles the session is sent on each attempt; what makes sense in one transaction only keeps the rest in it."""
        if settles(statement):
            if settles_transaction(statement):
                self._working.local.append(statement)
            send()
            return True
        return False

    def _step(self, part: Part, send: Send, *, outside: bool) -> None:
        step = part.step
        if step.means is not Means.PLAIN:
            send = lambda: [self._working.send(one) for one in (step.sql, *step.then)]  # noqa: E731 - the other way to send it
        if step.means is Means.LOOK:
            self._look(part)
        elif step.means is Means.BACKFILL:
            self._filler.fill(part)
        elif step.means is Means.CONCURRENT and not self._work.bound:
            self._concurrent(part, send)
        elif step.pace is Pace.ONLINE and not self._work.bound:
            self._online(part, send)
        elif part.operation.kind in _RAW and not self._work.bound:
            self._raw(part, send, outside=outside)
        else:
            self._brief(part, send)

    def _brief(self, part: Part, send: Send) -> None:
        step, work = part.step, self._work
        if step.lock is not None:
            work.make_room()
            self._await_maintenance()
            if step.lock is LockMode.ACCESS_EXCLUSIVE and work.since is None:
                self._policy.standbys.look()
            if step.tables:
                for row in self._working.rows(CATALOG["may_lock"], {"relations": list(step.tables)}):
                    work.bounded_wait()
                    self._working.send(f"LOCK TABLE {row['relation']} IN {step.lock.value} MODE")
            work.bounded_wait()
            work.strong = work.strong or step.lock is not LockMode.ROW_EXCLUSIVE
        send()
        work.done(part)

    def _await_maintenance(self) -> None:
        """Wait for maintenance, such as an autovacuum, by a lock that only such work feels.

        An autovacuum gives way to who has waited for it for a second (``deadlock_timeout``), which is longer than a try lasts:
        https://www.postgresql.org/docs/current/routine-vacuuming.html#AUTOVACUUM
        """
        tables, self._work.run.maintained = self._work.run.maintained, ()
        if not tables or self._work.bound:
            return
        self._work.commit_point()
        self._working.settings(lock_timeout=str(_MAINTENANCE_MS))
        for row in self._working.rows(CATALOG["may_lock"], {"relations": list(tables)}):
            self._working.send(f"LOCK TABLE {row['relation']} IN SHARE UPDATE EXCLUSIVE MODE")

    def _raw(self, part: Part, send: Send, *, outside: bool) -> None:
        """A statement whose locks nobody knows beforehand: PostgreSQL shows them.

        It may share the transaction when it is quick, or when nobody waits for what is locked. Else it is tried
        alone; and when it is long even so, it goes on only if all that it locks itself are rows. On a shadow, whose tables
        are empty, each is quick: so it is alone from the first.
        """
        name = (self._work.progress.revision, part.key)
        run, flight = self._work.run, self._policy.flight
        self._work.make_room()
        self._await_maintenance()
        strong = self._work.strong or (self._work.since is not None and bool(flight.locks()))
        if outside or (strong and (self._policy.watcher is not None or name in run.apart | run.patient | run.permitted)):
            self._work.commit_point()
            strong = False
        left = self._policy.budget - self._work.elapsed() if strong else self._policy.budget * 2
        self._work.bounded_wait()
        patient = name in run.patient and name not in run.permitted
        if patient:
            self._working.settings(lock_timeout="0")
        elif name not in run.permitted:
            self._working.settings(statement_timeout=f"{max(left, 20):.0f}ms")
        flight.held, flight.rows_only = [], patient
        try:
            send()
        except Exception as error:
            self._policy.check()
            if sqlstate(error) == QUERY_CANCELED:
                self._too_long(error, part, name, strong=strong)
            if sqlstate(error) in REFUSES_TRANSACTION and outside:
                self._working.rollback()
                self._refuse_rewrite(part.operation)
                self._concurrent(part, send, whole=sqlstate(error) != COMMITS)
                return
            raise
        finally:
            flight.rows_only = False
        self._working.settings(statement_timeout="0")
        self._work.done(part)
        if outside or name in run.permitted:
            self._work.commit_point()
        elif part.operation.kind == "execute" and not reads(part.operation.sql):
            self._work.strong = self._work.strong or bool(flight.locks())

    def _refuse_rewrite(self, operation: Operation) -> None:
        """What refuses a transaction is patient, so it must not be what all others wait for."""
        if _REWRITES.search(operation.sql):
            refuse_unless_allowed(
                "LL-RAW",
                operation,
                Facts(allowed=self._policy.allowed),
                what="this statement works through whole tables while their reads and writes wait",
                remedy="VACUUM without FULL, or REINDEX … CONCURRENTLY",
            )

    def _too_long(self, error: Exception, part: Part, name: tuple[str, tuple[str, int]], *, strong: bool) -> None:
        """See why a statement took too long, and have it tried in another way."""
        run = self._work.run
        if self._policy.flight.gave_up:
            raise self._out_of_time(part) from error
        if strong:
            run.apart.add(name)
            raise TooLong from error
        if self._policy.flight.held:
            tables = ", ".join(sorted({f"{row['relation']} ({row['mode']})" for row in self._policy.flight.held}))
            refuse_unless_allowed(
                "LL-RAW",
                part.operation,
                Facts(allowed=self._policy.allowed),
                what=f"this statement takes longer than {self._policy.budget * 2} ms, and meanwhile holds or waits for: {tables}",
                remedy="Write it with operations of Alembic, whose online form is known",
            )
            run.permitted.add(name)
        else:
            run.patient.add(name)
        raise TooLong from error

    def _look(self, part: Part) -> None:
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

    def _online(self, part: Part, send: Send) -> None:
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

    def _concurrent(self, part: Part, send: Send, *, whole: bool = True) -> None:
        """A statement that refuses a transaction: announced before, repaired when it was interrupted, noted after.

        One that nobody planned says itself, when it is sent again, whether it had come to its end; unless it may be done
        by half, and isn't ``whole``: that is run again as it is.
        """
        self._work.commit_point()
        step, begun = part.step, part.number in part.known.parts
        wanted = {"relation": step.witness, "owner": step.tables[0] if step.tables else ""}
        found = self._working.rows(CATALOG["index_state"], wanted) if step.witness else []
        builds, done = step.part.startswith("build"), bool(found and found[0]["done"])
        if begun and builds and done:
            self._recognise(part)
        if not (begun and step.witness and (done if builds else not found)):
            self._work.done(part, finished=False)
            self._work.commit_point()
            broken = None
            with self._working.autocommit():
                if builds and found and not done:
                    self._working.send(step.repair)
                if step.witness:
                    broken = self._send_planned(part, send)
                else:
                    self._send_written(part, send, again=begun and whole)
            if broken is not None:
                self._work.take_back(part)
                raise broken
        self._work.done(part)
        self._work.commit_point()

    def _recognise(self, part: Part) -> None:
        """An index that was begun is there: is it the one?"""
        step, working = part.step, self._working
        with working.undone():
            try:
                same = catalog.makes(working.rows, working.send, step.tables[0], step.sql, step.witness)
            except catalog.Unrehearsable:
                same = True
            except DBAPIError as error:
                if sqlstate(error) != INSUFFICIENT_PRIVILEGE:
                    raise
                same = True  # who may make no temporary table knows it by its name
        if not same:
            raise StepFailed(
                "LL-OTHER-INDEX",
                f"revision {self._work.progress.revision}: {step.witness} is there, but isn't the index that was begun:\n{step.sql[:300]}",
                why="Somebody has made another one of that name since the revision was interrupted.",
                now="Drop it or rename it, then run again.",
            )

    def _send_planned(self, part: Part, send: Send) -> Exception | None:
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

    def _send_written(self, part: Part, send: Send, *, again: bool) -> None:
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

    def _repair(self, part: Part) -> None:
        for statement in self._left_behind(part):
            self._working.send(statement)

    def _left_behind(self, part: Part) -> list[str]:
        return [row["repair"] for row in self._working.rows(CATALOG["left_behind"], {"statement": part.step.sql})]

    def _told(self, error: Exception, part: Part) -> Exception:
        return self._out_of_time(part) if sqlstate(error) == QUERY_CANCELED else error

    def _out_of_time(self, part: Part) -> LiftlockError:
        blocked = "".join(f"\nblocked by {described(row)}" for row in self._policy.flight.blockers)
        return NotNow(
            "LL-DEADLINE",
            f"revision {self._work.progress.revision}: this got no lock within the deadline:\n{part.step.sql[:300]}{blocked}",
            why="What is finished stays and is recorded.",
            now="Run the same command again, with a longer --deadline.",
        )

    def _broken(self, part: Part, rows: list[dict[str, Any]]) -> LiftlockError:
        shown = "\n".join("  " + ", ".join(f"{name}={value}" for name, value in row.items()) for row in rows)
        operation = part.operation
        return StepFailed(
            "LL-DATA",
            f"revision {self._work.progress.revision}, line {operation.line or '?'}: rows of {operation.table} break what it asks for:"
            f"\n{operation.sql[:300]}\nsuch as\n{shown}",
            why="Nothing of this operation was done: an unproven constraint would keep these rows from being updated.",
            now="Correct those rows, then run again.",
        )
