"""Watches what a project's connection sends while its revisions run: by SQLAlchemy's events, whoever runs them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from alembic.runtime.migration import MigrationContext
from sqlalchemy import event
from sqlalchemy.engine import Engine

from liftlock.allowance import allowed
from liftlock.execution.connection import is_in_autocommit
from liftlock.execution.database_errors import server_message
from liftlock.execution.source_location import line_in
from liftlock.execution.transaction import Transaction, commit_driver
from liftlock.model.lock import LockMode
from liftlock.model.operation import Operation
from liftlock.model.step import Step, StepKind
from liftlock.revisions.constructs import describe
from liftlock.settings import Address
from liftlock.shadow.lock_observer import LockObserver, ObservedLocks
from liftlock.shadow.observed import ObservedLock, ObservedStatement, ServerWork
from liftlock.sql import parse


class StatementRecorder:
    """Keeps what was observed of each statement, in order.

    Parameters:
        address: of the shadow.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self.observed: list[ObservedStatement] = []
        self.operations: list[Operation] = []
        self.version_table = ""
        self._transaction: Transaction | None = None
        self._revision, self._path = "", ""
        self._operation: Operation | None = None
        self._filled: Step | None = None

    def marked(self, steps: Iterable[Any]) -> Iterator[Any]:
        """Alembic's steps, as they are begun."""
        for step in steps:
            if hasattr(step, "revision"):
                self._revision, self._path = str(step.revision.revision), str(step.revision.path)
            yield step

    def attempt(self, transaction: Transaction) -> Callable[[Operation], None]:
        """A revision is begun by liftlock, once more perhaps; what is called with each of its operations."""
        self._transaction = transaction
        self.operations = []
        return self.operations.append

    @contextlib.contextmanager
    def watching(self, context: MigrationContext) -> Iterator[None]:
        """Watch a migration context's connection."""
        schema = context.version_table_schema
        self.version_table = (
            f"{schema}.{context.version_table}" if schema else context.version_table
        )
        connection: Any = context.connection
        driver = connection.connection
        subject = _Subject(driver)
        (who,) = subject.rows("SELECT pg_backend_pid() AS pid")
        commit_driver(driver)
        statements = _Statements(
            self, LockObserver(self._address, who["pid"], context.version_table, subject), driver
        )
        real, migrations = context.impl._exec, context._migrations_fn

        def execute(construct: Any, *arguments: Any, **more: Any) -> Any:
            if self._transaction is not None:
                return real(
                    construct, *arguments, **more
                )  # liftlock's own run says what it is doing
            self._operation = describe(
                construct, context.dialect, more.get("multiparams") or (), line_in(self._path)
            )
            self.operations.append(self._operation)
            try:
                return real(construct, *arguments, **more)
            finally:
                self._operation = None

        context.impl._exec = execute  # type: ignore[method-assign]
        context._migrations_fn = lambda heads, of: self.marked(migrations(heads, of))  # type: ignore[misc]
        with contextlib.ExitStack() as stack:
            stack.callback(statements.close)
            for name, listener in statements.listeners().items():
                event.listen(Engine, name, listener)
                stack.callback(event.remove, Engine, name, listener)
            yield

    def begun(self, statement: str) -> ObservedStatement | None:
        """What is known of a statement before it runs; None for one of the engine's own trials."""
        transaction = self._transaction
        if transaction is not None:
            if transaction.connection.in_dry_run or self._sent_again(transaction, statement):
                return None
            step = transaction.activity.step
            if step is not None and step.kind is StepKind.BACKFILL:
                self._fills(transaction.activity.operation, step)
                return None
        own = self._operation or (transaction.activity.operation if transaction else None)
        said = Operation("connection", None, statement, line=line_in(self._path), allowed=allowed())
        return ObservedStatement(
            own.sql if own and transaction is None else statement, self._revision, own or said
        )

    def _sent_again(self, transaction: Transaction, statement: str) -> bool:
        """Whether liftlock takes a statement from the revision, and sends it itself: then it is seen there."""
        internal = transaction.connection.is_internal
        return not internal and not transaction.is_atomic and parse(statement).is_ddl

    def _fills(self, operation: Operation | None, step: Step) -> None:
        """A backfill is one line, however many batches it takes: on a shadow, which has no rows, it takes none."""
        if step is self._filled or operation is None:
            return
        self._filled = step
        table = step.tables[0]
        sql = " ".join(
            ("UPDATE", table, "SET", step.sql, *(("WHERE", step.where) if step.where else ()))
        )
        locks, work = (
            frozenset({ObservedLock(table, LockMode.ROW_EXCLUSIVE)}),
            ServerWork(updates=frozenset({table})),
        )
        self.observed.append(
            ObservedStatement(
                sql, self._revision, operation, taken=locks, held=locks, work=work, batched=True
            )
        )


class _Statements:
    """The statements of one connection."""

    def __init__(self, watcher: StatementRecorder, observer: LockObserver, driver: Any) -> None:
        self._watcher, self._observer, self._driver = watcher, observer, driver
        self._open: list[
            tuple[contextlib.ExitStack, ObservedLocks] | None
        ] = []  # what one statement sends before it is sent itself stands above it

    def listeners(self) -> dict[str, Callable[..., None]]:
        """Handlers, by the name of their event."""
        return {
            "before_cursor_execute": self._before,
            "after_cursor_execute": self._after,
            "handle_error": self._failed,
        }

    def close(self) -> None:
        """Watch no more."""
        self._observer.close()

    def _before(self, connection: Any, _cursor: object, statement: str, *_more: object) -> None:
        if connection.connection is not self._driver:
            return
        known, stack = self._watcher.begun(statement), contextlib.ExitStack()
        seen = (
            stack.enter_context(
                self._observer.watching(known, alone=is_in_autocommit(self._driver))
            )
            if known is not None
            else None
        )
        self._open.append((stack, seen) if seen is not None else None)

    def _after(self, connection: Any, cursor: Any, *_statement: object) -> None:
        if connection.connection is self._driver:
            self._end(
                "",
                returns=cursor.description is not None,
                tag=getattr(cursor, "statusmessage", None) or "",
            )

    def _failed(self, failure: Any) -> None:
        if failure.connection is not None and failure.connection.connection is self._driver:
            self._end(server_message(failure.original_exception).splitlines()[0])

    def _end(self, error: str, *, returns: bool = False, tag: str = "") -> None:
        opened = self._open.pop() if self._open else None
        if opened is None:
            return
        stack, seen = opened
        stack.close()
        self._watcher.observed.append(
            replace(seen.observed, error=error, returns=returns, work=_updated(seen.observed, tag))
        )


def _updated(statement: ObservedStatement, tag: str) -> ServerWork:
    """Its work, with the tables whose rows it changes: of the psycopg drivers, which pass on the server's word for what was done."""
    if tag.partition(" ")[0] not in {"UPDATE", "DELETE", "MERGE"}:
        return statement.work
    taken, held = (
        frozenset(
            one.relation
            for one in locks
            if one.mode is LockMode.ROW_EXCLUSIVE and one.kind in {"r", "p"}
        )
        for locks in (statement.taken, statement.held)
    )
    return replace(statement.work, updates=taken or held)


class _Subject:
    """A driver's connection, beside what SQLAlchemy sends over it."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self._raw = getattr(driver, "driver_connection", None) or getattr(
            driver, "connection", driver
        )
        self._said: list[str] = []
        if hasattr(self._raw, "add_notice_handler"):  # psycopg
            self._raw.add_notice_handler(lambda one: self._said.append(one.message_primary or ""))
        elif hasattr(self._raw, "add_log_listener"):  # asyncpg
            self._raw.add_log_listener(lambda _connection, one: self._said.append(one.message))

    def rows(self, statement: str) -> Sequence[Mapping[str, Any]]:
        """The rows of a query."""
        cursor = self._driver.cursor()
        try:
            cursor.execute(statement)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        finally:
            cursor.close()

    def messages(self) -> list[str]:
        """What the server has said since this was last asked."""
        said, self._said = self._said, []
        kept = getattr(self._raw, "notices", None)  # psycopg2 has lines, pg8000 dictionaries
        if kept:
            said += [
                one[b"M"].decode() if isinstance(one, dict) else one.partition(":")[2].strip()
                for one in kept
            ]
            kept.clear()
        return said
