"""A revision's own statements: whose locks nobody knows beforehand, so that PostgreSQL is asked while they run."""

from __future__ import annotations

import re

from liftlock.execution.attempt import Attempt, PendingStep, Send
from liftlock.execution.database_errors import (
    QUERY_CANCELED,
    REFUSES_TRANSACTION,
    RetryDifferently,
    sqlstate,
)
from liftlock.execution.statements import is_read
from liftlock.model.operation import Operation
from liftlock.model.table import Facts
from liftlock.planning.unsafe import refuse_unless_allowed

_REWRITES = re.compile(
    r"^\s*(VACUUM\b[^;]*\bFULL\b|CLUSTER\b|REINDEX\b(?!.*\bCONCURRENTLY\b))",
    re.IGNORECASE | re.DOTALL,
)


class RawStatementRunner:
    """Runs them.

    Parameters:
        work: the attempt that they belong to.
    """

    def __init__(self, work: Attempt) -> None:
        self._work, self._working, self._policy = work, work.working, work.policy

    def run(self, part: PendingStep, send: Send, *, outside: bool) -> str | None:
        """A statement whose locks nobody knows beforehand: PostgreSQL shows them.

        It may share the transaction when it is quick, or when nobody waits for what is locked. Else it is tried
        alone; and when it is long even so, it goes on only if all that it locks itself are rows. On a shadow, whose tables
        are empty, each is quick: so it is alone from the first. Returns the SQLSTATE when it refuses a transaction.
        """
        name = (self._work.progress.revision, part.key)
        run, flight = self._work.run, self._policy.lock
        self._work.make_room()
        self._work.await_maintenance()
        strong = self._work.strong or (self._work.since is not None and bool(flight.table_locks()))
        watched = self._policy.isolate_statements and not self._work.away.held
        if outside or (strong and (watched or name in run.apart | run.patient | run.permitted)):
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
                return sqlstate(error)
            raise
        finally:
            flight.rows_only = False
        self._working.settings(statement_timeout="0")
        self._work.done(part)
        if outside or name in run.permitted:
            self._work.commit_point()
        elif part.operation.kind == "execute" and not is_read(part.operation.sql):
            self._work.strong = self._work.strong or bool(flight.table_locks())
        return None

    def _refuse_rewrite(self, operation: Operation) -> None:
        """What refuses a transaction is patient, so it must not be what all others wait for."""
        if _REWRITES.search(operation.sql):
            refuse_unless_allowed(
                "LL-UNKNOWN-LOCKS",
                operation,
                Facts(allowed=self._policy.allowed),
                what="this statement works through whole tables while their reads and writes wait",
                remedy="VACUUM without FULL, or REINDEX … CONCURRENTLY",
            )

    def _too_long(
        self,
        error: Exception,
        part: PendingStep,
        name: tuple[str, tuple[str, int]],
        *,
        strong: bool,
    ) -> None:
        """See why a statement took too long, and have it tried in another way."""
        run = self._work.run
        if self._policy.lock.gave_up:
            raise self._work.out_of_time(part) from error
        if strong:
            run.apart.add(name)
            raise RetryDifferently from error
        if self._policy.lock.held:
            tables = ", ".join(
                sorted({f"{row['relation']} ({row['mode']})" for row in self._policy.lock.held})
            )
            refuse_unless_allowed(
                "LL-UNKNOWN-LOCKS",
                part.operation,
                Facts(allowed=self._policy.allowed),
                what=f"this statement takes longer than {self._policy.budget * 2} ms, and meanwhile holds or waits for: {tables}",
                remedy="Write it with operations of Alembic, whose online form is known",
            )
            run.permitted.add(name)
        else:
            run.patient.add(name)
        raise RetryDifferently from error
