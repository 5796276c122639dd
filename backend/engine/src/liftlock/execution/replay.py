"""Records what a revision reads and writes over its connection, and replays it when it is resumed.

A resumed revision runs from its beginning. It gets the same results for its queries, so it takes
the same path; its writes aren't repeated. SQLAlchemy's dialect events allow that: a handler that
returns True has replaced the call of the driver.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy.engine import Connection

from liftlock import sql
from liftlock.allowance import allowed
from liftlock.execution.attempt import Attempt
from liftlock.execution.connection import DriverParameters
from liftlock.execution.executor import StepExecutor
from liftlock.execution.journal import ResultRecord
from liftlock.execution.limits import RunLimits
from liftlock.execution.memory import Escalation, RunMemory
from liftlock.execution.recorded_results import Cursor, RecordedResult, ReplayCursor, capture
from liftlock.execution.result_values import NotRecordable
from liftlock.execution.session_timeouts import Holds
from liftlock.model.operation import Operation, digest
from liftlock.postgres.ledger import OperationKey
from liftlock.postgres.sqlstates import QUERY_CANCELED, RetryDifferently, sqlstate

_MOST_ROWS = 10_000
_MOST_BYTES = 8_000_000
"""The results that are recorded of a revision; one that reads more becomes one transaction."""
_LEAST_MILLISECONDS = 20.0
_NO_RESULT = RecordedResult(None, [], -1)

SendToDriver = Callable[[], None]


class ExecutionContext(Protocol):
    """The part of SQLAlchemy's execution context that is used here."""

    cursor: Any
    dialect: Any
    root_connection: Connection
    no_parameters: bool


@dataclass(frozen=True, slots=True)
class _Sent:
    """A statement that the revision sends.

    Parameters:
        statement: its meaning.
        text: its text as the driver gets it.
        parameters: its parameters in the driver's form.
        context: SQLAlchemy's execution context.
        cursor: the driver's cursor.
        send: sends it by that cursor.
    """

    statement: sql.Statement
    text: str
    parameters: DriverParameters
    context: ExecutionContext
    cursor: Cursor
    send: SendToDriver


class QueryReplay:
    """Records and replays the statements of one attempt.

    Parameters:
        attempt: keeps the results.
        executor: runs DDL.
        limits: the limits of the run.
        memory: how earlier attempts ran the statements.
        line: returns the line of the revision's file that runs.
    """

    def __init__(
        self,
        attempt: Attempt,
        executor: StepExecutor,
        limits: RunLimits,
        memory: RunMemory,
        line: Callable[[], int | None],
    ) -> None:
        self._attempt = attempt
        self._transaction = attempt.transaction
        self._connection = attempt.transaction.connection
        self._executor = executor
        self._limits = limits
        self._memory = memory
        self._line = line
        self._seen: Counter[str] = Counter()
        self._rows = 0
        self._bytes = 0

    def listeners(self) -> dict[str, Callable[..., Any]]:
        """Return the handlers by the names of SQLAlchemy's events."""
        return {
            "do_execute": self._on_execute,
            "do_executemany": self._on_execute_many,
            "do_execute_no_params": self._on_execute_no_params,
            "savepoint": self._on_savepoint,
        }

    def _on_execute(
        self, cursor: Cursor, text: str, parameters: DriverParameters, context: ExecutionContext
    ) -> bool:
        return self._handle(
            cursor,
            text,
            parameters,
            context,
            lambda: context.dialect.do_execute(cursor, text, parameters, context),
        )

    def _on_execute_many(
        self, cursor: Cursor, text: str, parameters: DriverParameters, context: ExecutionContext
    ) -> bool:
        return self._handle(
            cursor,
            text,
            parameters,
            context,
            lambda: context.dialect.do_executemany(cursor, text, parameters, context),
        )

    def _on_execute_no_params(self, cursor: Cursor, text: str, context: ExecutionContext) -> bool:
        return self._handle(
            cursor,
            text,
            (),
            context,
            lambda: context.dialect.do_execute_no_params(cursor, text, context),
        )

    def _on_savepoint(self, connection: Connection, _name: str) -> None:
        if not self._connection.is_internal and self._connection.is_same_as(connection):
            self._transaction.require_atomic()

    def _handle(
        self,
        cursor: Cursor,
        text: str,
        parameters: DriverParameters,
        context: ExecutionContext,
        send: SendToDriver,
    ) -> bool:
        """Handle a statement of the revision; return whether it needn't be sent any more."""
        connection = self._connection
        if connection.is_internal or not connection.is_same_as(context.root_connection):
            return False
        statement = sql.parse(text)
        if statement.is_session_setting:
            self._executor.note_setting(statement, parameters)
            return False
        if self._executor.control_transaction(self._operation(text), statement):
            context.cursor = ReplayCursor(_NO_RESULT, cursor)
            return True
        if self._stays_in_transaction(statement, context):
            self._transaction.require_atomic()
            if statement.may_write:
                self._transaction.note_unrecorded_write()
            return False
        sent = _Sent(statement, text, parameters, context, cursor, send)
        result = self._run_ddl(sent) if _is_ddl(statement) else self._result_of(sent)
        context.cursor = ReplayCursor(result, cursor)
        return True

    def _stays_in_transaction(self, statement: sql.Statement, context: ExecutionContext) -> bool:
        """Return whether the statement's result can't be recorded, or needs its transaction."""
        style = getattr(getattr(context, "execute_style", None), "name", "")
        return (
            self._transaction.is_atomic
            or style == "INSERTMANYVALUES"  # one statement in several batches, each with its rows
            or statement.requires_one_transaction
            or getattr(context, "_is_server_side", False)
        )

    def _run_ddl(self, sent: _Sent) -> RecordedResult:
        """Run DDL as if it had come by ``op.execute``; a procedure may have a result."""
        exact, key = self._key(sent, reading=False)
        recorded = self._attempt.result(key)
        result = RecordedResult.loads(recorded[1]) if recorded is not None else _NO_RESULT

        def send() -> None:
            nonlocal result
            # without it SQLAlchemy would double the percent signs of a statement without parameters
            options = {"no_parameters": sent.context.no_parameters}
            with self._connection.as_internal():
                answered = self._connection.connection.exec_driver_sql(
                    sent.text, sent.parameters or None, execution_options=options
                )
                if answered.returns_rows:
                    result = capture(answered.cursor)
                    self._record(key, exact, result)

        self._executor.perform(self._operation(sent.text, kind="execute"), send, ahead=None)
        return result

    def _result_of(self, sent: _Sent) -> RecordedResult:
        """Return the recorded result of a query or write; without one, run it and record it."""
        reading = sent.statement.is_read
        exact, key = self._key(sent, reading=reading)
        recorded = self._attempt.result(key)
        if recorded is not None:
            if recorded[0] != exact:
                self._attempt.note_other_values(sent.text)
            return RecordedResult.loads(recorded[1])
        if not reading:
            self._attempt.refuse_other_values(sent.text)
        operation = self._operation(sent.text)
        with self._transaction.running(operation), self._limited(key, reading=reading):
            sent.send()
        result = capture(sent.cursor)
        self._record(key, exact, result)
        if self._transaction.in_block:
            self._transaction.commit()
        return result

    @contextlib.contextmanager
    def _limited(self, key: OperationKey, *, reading: bool) -> Iterator[None]:
        """Keep a statement that may take long out of a transaction that holds strong locks.

        Exception: if committing now would expose a removed object, the statement stays in the
        transaction, limited by the stall budget.

        Raises:
            RetryDifferently: it took too long there; the next attempt commits first.
        """
        transaction = self._transaction
        name = (self._attempt.revision, key)
        shares = (
            transaction.removed.await_usual_restoration()
            and not transaction.in_block
            and self._memory.escalation(name) is Escalation.SHARED
        )
        try:
            if shares:
                milliseconds = max(
                    self._limits.budget - transaction.window.elapsed, _LEAST_MILLISECONDS
                )
                self._connection.set_local(statement_timeout=f"{milliseconds:.0f}ms")
            else:
                self._commit_before(reading=reading)
            yield
        except Exception as error:
            self._limits.check()
            if shares and sqlstate(error) == QUERY_CANCELED:
                self._memory.escalate(name, Escalation.ALONE)
                raise RetryDifferently from error
            raise
        if shares:
            self._connection.set_local(statement_timeout="0")
        if not reading:
            transaction.window.open()
            transaction.timeouts.limit(Holds.ROWS)

    def _commit_before(self, *, reading: bool) -> None:
        transaction = self._transaction
        awaits = transaction.removed.awaits_restoration
        if transaction.window.is_exclusive or transaction.in_block or awaits:
            transaction.commit()
        elif not reading:
            transaction.commit_if_half_used()

    def _operation(self, text: str, *, kind: str = "connection") -> Operation:
        return Operation(kind=kind, table=None, sql=text, line=self._line(), allowed=allowed())

    def _key(self, sent: _Sent, *, reading: bool) -> tuple[str, OperationKey]:
        """Return the fingerprint of a statement, and the key that identifies it in a later attempt.

        A write may have other values in a later attempt, so its key ignores literals.
        """
        exact = digest(f"{sent.text} {sent.parameters!r}")
        shape = exact if reading else digest(sql.mask_literals(sent.text))
        self._seen[shape] += 1
        return exact, (shape, self._seen[shape] - 1)

    def _record(self, key: OperationKey, exact: str, result: RecordedResult) -> None:
        """Record a result; where that isn't possible, the revision becomes one transaction."""
        self._rows += len(result.rows)
        try:
            body = result.dumps() if self._rows <= _MOST_ROWS else ""
        except NotRecordable:
            body = ""
        self._bytes += len(body)
        if body and self._bytes <= _MOST_BYTES:
            self._attempt.record_result(ResultRecord(key, exact, body))
        else:
            self._transaction.require_atomic()


def _is_ddl(statement: sql.Statement) -> bool:
    """Return whether a statement has to run as steps: DDL, or several with a COMMIT among them."""
    return statement.is_ddl or any(part.ends_transaction for part in statement.statements)
