"""Records the statements that a project's connection sends while its revisions run on a shadow.

SQLAlchemy's events report each statement, whether plain Alembic or liftlock runs the revision.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from alembic.runtime.migration import MigrationContext
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine, ExceptionContext

from liftlock.allowance import allowed
from liftlock.execution.connection import is_in_autocommit
from liftlock.execution.source_location import line_in
from liftlock.execution.transaction import Transaction, commit_driver
from liftlock.model.lock import LockMode
from liftlock.model.operation import Operation
from liftlock.model.step import Step, StepKind
from liftlock.postgres.sqlstates import server_message
from liftlock.revisions import patches
from liftlock.revisions.constructs import describe
from liftlock.settings import Address
from liftlock.shadow.driver_session import DriverConnection, DriverCursor, DriverSession
from liftlock.shadow.lock_observer import LockObserver, ObservedLocks
from liftlock.shadow.observed import ObservedLock, ObservedStatement, ServerWork
from liftlock.sql import parse

_CHANGES_ROWS = frozenset({"UPDATE", "DELETE", "MERGE"})
_TABLES = frozenset({"r", "p"})


@dataclass(frozen=True, slots=True)
class _EngineActivity:
    """The state of liftlock's own run of a revision.

    Parameters:
        operation: the operation that is being run; None between operations.
        step: the step of that operation.
        in_dry_run: whether statements are rolled back afterwards, on an empty copy of a table.
        takes_over_ddl: whether liftlock runs a DDL statement of the revision itself, instead of
            passing it on.
    """

    operation: Operation | None
    step: Step | None
    in_dry_run: bool
    takes_over_ddl: bool


class StatementRecorder:
    """Records the statements of a run, in their order.

    It is a ``liftlock.revisions.observer.StatementObserver``.

    Parameters:
        address: the shadow.
    """

    def __init__(self, address: Address) -> None:
        self.observed: list[ObservedStatement] = []
        self.operations: list[Operation] = []
        self.version_table = ""
        self._address = address
        self._transaction: Transaction | None = None
        self._revision = ""
        self._path = ""
        self._operation: Operation | None = None
        self._backfill: Step | None = None

    # The interface of an observer.

    def marked(self, steps: Iterable[Any]) -> Iterator[Any]:
        """Yield Alembic's steps, and note each revision as it begins."""
        for step in steps:
            if hasattr(step, "revision"):  # a stamp has none
                self._revision = str(step.revision.revision)
                self._path = str(step.revision.path)
            yield step

    def attempt(self, transaction: Transaction) -> Callable[[Operation], None]:
        """Begin an attempt of liftlock at a revision, which replaces an earlier one.

        Returns:
            A callback for each of its operations.
        """
        self._transaction = transaction
        self.operations = []
        return self.operations.append

    @contextlib.contextmanager
    def watching(self, context: MigrationContext) -> Iterator[None]:
        """Record the statements of a migration context's connection."""
        schema = context.version_table_schema
        table = context.version_table
        self.version_table = f"{schema}.{table}" if schema else table
        driver = _driver_of(context)
        session = DriverSession(driver)
        (backend,) = session.rows("SELECT pg_catalog.pg_backend_pid() AS pid")
        commit_driver(driver)
        observer = LockObserver(self._address, backend["pid"], table, session)
        listener = _StatementListener(self, observer, driver)
        with contextlib.ExitStack() as stack:
            stack.enter_context(patches.choose_migrations_by(context, self._marking))
            recording = functools.partial(self._recording, context)
            stack.enter_context(patches.observe_operations(context, recording))
            stack.callback(observer.close)
            for name, function in listener.functions().items():
                event.listen(Engine, name, function)
                stack.callback(event.remove, Engine, name, function)
            yield

    # The statements.

    def begin(self, statement: str) -> ObservedStatement | None:
        """Return a statement as it is known before it runs; None if it isn't to be recorded."""
        activity = self._engine_activity()
        if activity is None:
            operation = self._operation or self._sent_over_connection(statement)
            return ObservedStatement(operation.sql, self._revision, operation)
        if activity.in_dry_run or (activity.takes_over_ddl and parse(statement).is_ddl):
            return None
        if activity.step is not None and activity.step.kind is StepKind.BACKFILL:
            self._record_backfill(activity.step, activity.operation)
            return None
        operation = activity.operation or self._sent_over_connection(statement)
        return ObservedStatement(statement, self._revision, operation)

    def _engine_activity(self) -> _EngineActivity | None:
        """Return the state of liftlock's own run; None if plain Alembic runs the revision."""
        transaction = self._transaction
        if transaction is None:
            return None
        internal = transaction.connection.is_internal
        return _EngineActivity(
            operation=transaction.activity.operation,
            step=transaction.activity.step,
            in_dry_run=transaction.connection.in_dry_run,
            takes_over_ddl=not internal and not transaction.is_atomic,
        )

    def _sent_over_connection(self, statement: str) -> Operation:
        """Return the operation for a statement that the revision sent by ``op.get_bind()``."""
        line = line_in(self._path)
        return Operation("connection", None, statement, line=line, allowed=allowed())

    def _record_backfill(self, step: Step, operation: Operation | None) -> None:
        """Record one statement for all batches of a backfill.

        The tables of a shadow are empty, so the backfill has no batch of its own to be observed.
        """
        if step is self._backfill or operation is None:
            return
        self._backfill = step
        self.observed.append(_backfill_statement(step, self._revision, operation))

    # Alembic's functions.

    def _marking(self, choose: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap the function that chooses the revisions to be run."""

        def choose_and_mark(heads: object, context: object) -> Iterator[Any]:
            return self.marked(choose(heads, context))

        return choose_and_mark

    def _recording(self, context: MigrationContext, send: patches.Record) -> patches.Record:
        """Wrap the function that sends an operation: note the operation while it is sent."""

        def send_and_record(construct: object, *arguments: object, **options: object) -> object:
            if self._transaction is not None:  # liftlock reports its operations by attempt()
                return send(construct, *arguments, **options)
            parameters: Any = options.get("multiparams") or ()
            line = line_in(self._path)
            self._operation = describe(construct, context.dialect, parameters, line)
            self.operations.append(self._operation)
            try:
                return send(construct, *arguments, **options)
            finally:
                self._operation = None

        return send_and_record


class _StatementListener:
    """Listens to SQLAlchemy's events about the statements of one connection.

    Parameters:
        recorder: records the statements.
        observer: observes their locks and their work.
        driver: the driver's connection.
    """

    def __init__(
        self, recorder: StatementRecorder, observer: LockObserver, driver: DriverConnection
    ) -> None:
        self._recorder = recorder
        self._observer = observer
        self._driver = driver
        # The innermost statement is the last one: before liftlock passes a statement on, it may
        # send others. None stands for a statement that isn't recorded.
        self._open: list[tuple[contextlib.ExitStack, ObservedLocks] | None] = []

    def functions(self) -> dict[str, Callable[..., None]]:
        """Return the functions of the listener by the names of their events."""
        return {
            "before_cursor_execute": self._before,
            "after_cursor_execute": self._after,
            "handle_error": self._failed,
        }

    def _before(
        self, connection: Connection, _cursor: object, statement: str, *_other: object
    ) -> None:
        if connection.connection is not self._driver:
            return
        known = self._recorder.begin(statement)
        if known is None:
            self._open.append(None)
            return
        stack = contextlib.ExitStack()
        watching = self._observer.watching(known, alone=is_in_autocommit(self._driver))
        self._open.append((stack, stack.enter_context(watching)))

    def _after(self, connection: Connection, cursor: DriverCursor, *_other: object) -> None:
        if connection.connection is self._driver:
            returns = cursor.description is not None
            self._end(returns=returns, tag=getattr(cursor, "statusmessage", None) or "")

    def _failed(self, failure: ExceptionContext) -> None:
        connection = failure.connection
        if connection is not None and connection.connection is self._driver:
            self._end(error=server_message(failure.original_exception).splitlines()[0])

    def _end(self, *, error: str = "", returns: bool = False, tag: str = "") -> None:
        opened = self._open.pop() if self._open else None
        if opened is None:
            return
        stack, seen = opened
        stack.close()
        work = _with_updates(seen.observed, tag)
        observed = replace(seen.observed, error=error, returns=returns, work=work)
        self._recorder.observed.append(observed)


def _driver_of(context: MigrationContext) -> DriverConnection:
    """Return the driver's connection of a migration context.

    Raises:
        RuntimeError: the context has no connection, as in offline mode, which isn't observed.
    """
    if context.connection is None:
        message = "a migration context without a connection was observed"
        raise RuntimeError(message)
    return context.connection.connection


def _backfill_statement(step: Step, revision: str, operation: Operation) -> ObservedStatement:
    table = step.tables[0]
    words = ["UPDATE", table, "SET", step.sql]
    if step.where:
        words += ["WHERE", step.where]
    locks = frozenset({ObservedLock(table, LockMode.ROW_EXCLUSIVE)})
    work = ServerWork(updates=frozenset({table}))
    return ObservedStatement(
        " ".join(words), revision, operation, taken=locks, held=locks, work=work, batched=True
    )


def _with_updates(statement: ObservedStatement, tag: str) -> ServerWork:
    """Add the tables whose rows a statement changed to its work.

    Parameters:
        statement: the statement.
        tag: the command tag of the server, such as ``UPDATE 3``; only the psycopg drivers have it.
    """
    if tag.partition(" ")[0] not in _CHANGES_ROWS:
        return statement.work
    updates = _row_exclusive(statement.taken) or _row_exclusive(statement.held)
    return replace(statement.work, updates=updates)


def _row_exclusive(locks: Iterable[ObservedLock]) -> frozenset[str]:
    return frozenset(
        lock.relation
        for lock in locks
        if lock.mode is LockMode.ROW_EXCLUSIVE and lock.kind in _TABLES
    )
