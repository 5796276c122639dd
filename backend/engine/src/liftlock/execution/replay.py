"""What a revision says to the database itself, over the connection, and what it is answered.

By events of SQLAlchemy's dialect: a handler that returns True has done what the driver would have done.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from sqlalchemy.engine import Connection

from liftlock.allowance import allowed
from liftlock.execution.attempt import Attempt
from liftlock.execution.connection import ProjectConnection
from liftlock.execution.executor import StepExecutor
from liftlock.execution.recorded_results import NotRecordable, RecordedResult, ReplayCursor, capture
from liftlock.execution.statements import (
    is_ddl,
    is_read,
    is_session_setting,
    may_write,
    requires_one_transaction,
)
from liftlock.model.operation import Operation, digest, mask_literals
from liftlock.postgres.ledger import OperationKey

_ROWS, _BYTES = 10_000, 8_000_000
"""What is kept of a revision; one that reads more is finished in one transaction."""


class QueryReplay:
    """Remembers, and repeats.

    Parameters:
        working: the connection.
        work: keeps what is said, in the transaction in which it was.
        stepper: runs what changes the schema.
        line: tells where in the revision's file it is.
    """

    def __init__(
        self,
        working: ProjectConnection,
        work: Attempt,
        stepper: StepExecutor,
        line: Callable[[], int | None],
    ) -> None:
        self._working, self._work, self._stepper = working, work, stepper
        self._seen: Counter[str] = Counter()
        self._rows = self._bytes = 0
        self._line = line

    def listeners(self) -> dict[str, Callable[..., Any]]:
        """Handlers, by the name of their event."""
        return {
            "do_execute": self._execute,
            "do_executemany": self._execute_many,
            "do_execute_no_params": self._execute_plain,
            "savepoint": self._savepoint,
        }

    def _execute(self, cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
        return self._say(cursor, statement, parameters, context, context.dialect.do_execute)

    def _execute_many(self, cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
        return self._say(cursor, statement, parameters, context, context.dialect.do_executemany)

    def _execute_plain(self, cursor: Any, statement: str, context: Any) -> bool:
        def send(cursor: Any, statement: str, _parameters: object, context: Any) -> None:
            context.dialect.do_execute_no_params(cursor, statement, context)

        return self._say(cursor, statement, (), context, send)

    def _savepoint(self, connection: Connection, _name: str) -> None:
        if not self._working.busy and connection.connection is self._working.connection.connection:
            self._work.bind()

    def _say(
        self, cursor: Any, statement: str, parameters: Any, context: Any, send: Callable[..., None]
    ) -> bool:
        """Whether the statement was answered here."""
        if (
            self._working.busy
            or context.root_connection.connection is not self._working.connection.connection
        ):
            return False
        if is_session_setting(statement):
            self._stepper.settled(statement)
            return False
        if self._stepper.ends_the_transaction(
            Operation(kind="connection", table=None, sql=statement, line=self._line())
        ):
            context.cursor = ReplayCursor(RecordedResult(None, [], -1), cursor)
            return True
        batched = getattr(getattr(context, "execute_style", None), "name", "") == "INSERTMANYVALUES"
        if (
            self._work.bound
            or batched
            or requires_one_transaction(statement)
            or getattr(context, "_is_server_side", False)
        ):
            self._work.bind()
            self._work.unnoted = self._work.unnoted or may_write(statement)
            return False
        if is_ddl(statement):
            answer = self._defined(statement, parameters, context)
        else:
            answer = self._answer(cursor, statement, parameters, context, send)
        context.cursor = ReplayCursor(answer, cursor)
        return True

    def _defined(self, statement: str, parameters: Any, context: Any) -> RecordedResult:
        """What changes the schema is run as if the revision had sent it by ``op.execute``; a procedure may answer."""
        operation = Operation(
            kind="execute", table=None, sql=statement, line=self._line(), allowed=allowed()
        )
        exact, key = self._key(statement, parameters, reading=False)
        known = self._work.recall(key)
        answer = (
            RecordedResult.loads(known[1]) if known is not None else RecordedResult(None, [], -1)
        )

        def sent() -> None:
            nonlocal answer
            options = {
                "no_parameters": context.no_parameters
            }  # with which percent signs aren't doubled
            with self._working.own():
                result = self._working.connection.exec_driver_sql(
                    statement, parameters or None, execution_options=options
                )
                if result.returns_rows:
                    answer = capture(result.cursor)
                    self._keep(key, exact, answer)

        self._stepper.perform(operation, sent)
        return answer

    def _answer(
        self, cursor: Any, statement: str, parameters: Any, context: Any, send: Callable[..., None]
    ) -> RecordedResult:
        reading = is_read(statement)
        exact, key = self._key(statement, parameters, reading=reading)
        known = self._work.recall(key)
        if known is not None:
            if known[0] != exact:
                self._work.strayed = statement
            return RecordedResult.loads(known[1])
        if not reading:
            self._work.goes_on(statement)
        operation = Operation(
            kind="connection", table=None, sql=statement, line=self._line(), allowed=allowed()
        )
        with self._work.asked(key, operation, reading=reading):
            send(cursor, statement, parameters, context)
        answer = capture(cursor)
        self._keep(key, exact, answer)
        if self._working.outside:
            self._work.commit_point()
        return answer

    def _key(self, statement: str, parameters: Any, *, reading: bool) -> tuple[str, OperationKey]:
        """The fingerprint of what is said, and how it is known again: what is written may have other values on another attempt."""
        exact = digest(f"{statement} {parameters!r}")
        shape = exact if reading else digest(mask_literals(statement))
        self._seen[shape] += 1
        return exact, (shape, self._seen[shape] - 1)

    def _keep(self, key: OperationKey, exact: str, answer: RecordedResult) -> None:
        """Remember an answer; one that can't be, or is too long, must be the transaction's own."""
        self._rows += len(answer.rows)
        try:
            body = answer.dumps() if self._rows <= _ROWS else ""
        except NotRecordable:
            body = ""
        self._bytes += len(body)
        if body and self._bytes <= _BYTES:
            self._work.remember(key, exact, body)
        else:
            self._work.bind()
