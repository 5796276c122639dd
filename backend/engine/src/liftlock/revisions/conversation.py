"""What a revision says to the database itself, over the connection, and what it is answered.

By events of SQLAlchemy's dialect: a handler that returns True has done what the driver would have done.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from sqlalchemy.engine import Connection

from liftlock.errors import UnsafeRevision
from liftlock.model.operation import Operation, digest, masked
from liftlock.revisions.answers import Answer, StandIn, Unrememberable, binds_the_transaction, capture, reads, settles
from liftlock.revisions.failures import COMMITS, REFUSES_TRANSACTION, sqlstate
from liftlock.revisions.stepping import Stepper
from liftlock.revisions.work import Work
from liftlock.revisions.working import Working

_ROWS = 10_000
"""Rows that are kept of a revision; one that reads more is finished in one transaction."""


class Conversation:
    """Remembers, and repeats.

    Parameters:
        working: the connection.
        work: keeps what is said, in the transaction in which it was.
        stepper: runs what refuses a transaction.
    """

    def __init__(self, working: Working, work: Work, stepper: Stepper) -> None:
        self._working, self._work, self._stepper = working, work, stepper
        self._seen: Counter[str] = Counter()
        self._rows = 0
        self._strayed = ""

    def listeners(self) -> dict[str, Callable[..., Any]]:
        """Handlers, by the name of their event."""
        return {
            "do_execute": self._execute,
            "do_executemany": self._execute_many,
            "do_execute_no_params": self._execute_plain,
            "savepoint": self._savepoint,
        }

    def _execute(self, cursor: Any, statement: str, parameters: Any, context: Any) -> bool:  # noqa: ANN401 - SQLAlchemy's signature
        return self._say(cursor, statement, parameters, context, context.dialect.do_execute)

    def _execute_many(self, cursor: Any, statement: str, parameters: Any, context: Any) -> bool:  # noqa: ANN401
        return self._say(cursor, statement, parameters, context, context.dialect.do_executemany)

    def _execute_plain(self, cursor: Any, statement: str, context: Any) -> bool:  # noqa: ANN401
        def send(cursor: Any, statement: str, _parameters: object, context: Any) -> None:  # noqa: ANN401
            context.dialect.do_execute_no_params(cursor, statement, context)

        return self._say(cursor, statement, (), context, send)

    def _savepoint(self, connection: Connection, _name: str) -> None:
        if not self._working.busy and connection.connection is self._working.connection.connection:
            self._work.bind()

    def _say(self, cursor: Any, statement: str, parameters: Any, context: Any, send: Callable[..., None]) -> bool:  # noqa: ANN401
        """Whether the statement was answered here."""
        if self._working.busy or context.root_connection.connection is not self._working.connection.connection:
            return False
        if settles(statement):
            if "LOCAL" in statement.upper().split()[:2]:
                self._work.local(statement)
            return False
        batched = getattr(getattr(context, "execute_style", None), "name", "") == "INSERTMANYVALUES"
        if self._work.bound or batched or binds_the_transaction(statement) or getattr(context, "_is_server_side", False):
            self._work.bind()
            return False
        answer = self._answer(cursor, statement, parameters, context, send)
        context.cursor = StandIn(answer, cursor)
        return True

    def _answer(self, cursor: Any, statement: str, parameters: Any, context: Any, send: Callable[..., None]) -> Answer:  # noqa: ANN401
        reading, exact = reads(statement), digest(f"{statement} {parameters!r}")
        shape = exact if reading else digest(masked(statement))
        key = (shape, self._seen[shape])
        self._seen[shape] += 1
        known = self._work.recall(key)
        if known is not None:
            if known[0] != exact:
                self._strayed = statement
            return Answer.loads(known[1])
        if self._strayed and not reading:
            raise _not_replayable(self._strayed, statement)

        try:
            with self._work.asked(reading=reading):
                send(cursor, statement, parameters, context)
        except Exception as error:
            if not self._working.outside or sqlstate(error) not in REFUSES_TRANSACTION:
                raise
            self._working.rollback()
            operation = Operation(kind="execute", table=None, sql=statement)
            whole = sqlstate(error) != COMMITS
            self._stepper.concurrent(operation, lambda: send(cursor, statement, parameters, context), whole=whole)
            return Answer(None, [], -1)
        answer = capture(cursor)
        self._rows += len(answer.rows)
        try:
            if self._rows > _ROWS:
                self._work.bind()
            else:
                self._work.remember(key, exact, answer.dumps())
        except Unrememberable:
            self._work.bind()
        if self._working.outside:
            self._work.commit_point()
        return answer


def _not_replayable(earlier: str, now: str) -> UnsafeRevision:
    return UnsafeRevision(
        "LL-NOT-REPLAYABLE",
        f"Before its interruption the revision wrote other values than it writes now:\n{earlier[:200]}\nand it goes on with\n{now[:200]}",
        why="Values made in Python, such as uuid4() or now(), differ from attempt to attempt; what was written with"
        " the earlier ones is kept, and must not be mixed with new ones.",
        now="Look which rows are written, and bring the schema to one of both revisions by hand.",
    )
