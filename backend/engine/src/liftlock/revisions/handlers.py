"""Handlers of what a revision sends: they run it, or only plan it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from liftlock.allowance import allowed
from liftlock.execution.attempt import Send
from liftlock.execution.executor import StepExecutor
from liftlock.execution.limits import RunLimits
from liftlock.execution.replay import QueryReplay
from liftlock.execution.revision_errors import rolled_back_by_revision
from liftlock.execution.transaction import Transaction
from liftlock.model.operation import Operation
from liftlock.model.table import Facts
from liftlock.planning.unsafe import refuse_unless_allowed
from liftlock.sql import parse

Listeners = dict[str, Callable[..., Any]]


class NeedsDatabase(BaseException):
    """A revision that is only planned queries the database.

    It isn't an Exception, because revisions catch those.
    """


class Handler(Protocol):
    """Handles what one revision sends."""

    @property
    def replaces_autocommit_block(self) -> bool:
        """Return whether the handler replaces Alembic's autocommit block."""

    def add(self, operation: Operation, send: Send) -> None:
        """Take an operation, and the function that sends it as plain Alembic would."""

    def runs_at_once(self) -> bool:
        """Return whether an operation has to run before the revision continues."""

    def flush(self) -> None:
        """Run the operations that were added."""

    def flush_before_statement(self) -> None:
        """Run the operations that were added, because the revision sends a statement."""

    def before_statement(self, operation: Operation) -> None:
        """Prepare for a statement that the revision sends over its connection."""

    def second_connection(self, operation: Operation) -> None:
        """Judge a statement that the revision sends over another connection."""

    def driver_access(self) -> None:
        """Prepare for statements that the revision sends over the driver's own connection."""

    def before_commit(self) -> None:
        """Prepare for ``connection.commit()`` of the revision."""

    def rolled_back(self, operation: Operation) -> None:
        """Note ``connection.rollback()`` of the revision."""

    def autocommit_block(self) -> contextlib.AbstractContextManager[None]:
        """Replace Alembic's autocommit block."""

    def listeners(self) -> Listeners:
        """Return further handlers by the names of SQLAlchemy's events."""


class PlanningHandler:
    """Collects the operations of a revision that is only planned; nothing is sent.

    Parameters:
        collect: gets each operation.
    """

    def __init__(self, collect: Callable[[Operation], None]) -> None:
        self._collect = collect

    @property
    def replaces_autocommit_block(self) -> bool:
        """Return whether the handler replaces Alembic's autocommit block: always."""
        return True

    def add(self, operation: Operation, _send: Send) -> None:
        """Collect an operation."""
        self._collect(operation)

    def runs_at_once(self) -> bool:
        """Return False: nothing runs."""
        return False

    def flush(self) -> None:
        """Do nothing."""

    def flush_before_statement(self) -> None:
        """End the plan: the rest of the revision depends on the result of a statement.

        Raises:
            NeedsDatabase: always.
        """
        raise NeedsDatabase

    def before_statement(self, _operation: Operation) -> None:
        """End the plan.

        Raises:
            NeedsDatabase: always.
        """
        raise NeedsDatabase

    def second_connection(self, _operation: Operation) -> None:
        """Do nothing."""

    def driver_access(self) -> None:
        """End the plan.

        Raises:
            NeedsDatabase: always.
        """
        raise NeedsDatabase

    def before_commit(self) -> None:
        """Do nothing."""

    def rolled_back(self, _operation: Operation) -> None:
        """Do nothing."""

    @contextlib.contextmanager
    def autocommit_block(self) -> Iterator[None]:
        """Do nothing."""
        yield

    def listeners(self) -> Listeners:
        """Return no further handlers."""
        return {}


class ExecutingHandler:
    """Runs the operations and statements of one attempt at a revision.

    Operations wait in a queue until the revision sends a statement, or ends. So the executor can
    look ahead: it knows whether a removed object is restored later.

    Parameters:
        transaction: the attempt's transaction.
        executor: runs the operations.
        replay: records and replays the statements.
        limits: the limits of the run.
        observe: gets each operation; None where nothing observes the run.
    """

    def __init__(
        self,
        transaction: Transaction,
        executor: StepExecutor,
        replay: QueryReplay,
        limits: RunLimits,
        observe: Callable[[Operation], None] | None,
    ) -> None:
        self._transaction = transaction
        self._executor = executor
        self._replay = replay
        self._limits = limits
        self._observe = observe
        self._queue: list[tuple[Operation, Send]] = []
        self._rolled_back: Operation | None = None
        self._last: Operation | None = None

    @property
    def replaces_autocommit_block(self) -> bool:
        """Return whether the block is liftlock's; it isn't within the project's transaction."""
        return not self._transaction.is_atomic

    @property
    def last(self) -> Operation | None:
        """The operation or statement that ran last, for messages."""
        return self._last

    def add(self, operation: Operation, send: Send) -> None:
        """Queue an operation."""
        if self._observe is not None:
            self._observe(operation)
        self._queue.append((operation, send))

    def runs_at_once(self) -> bool:
        """Return whether nothing is to be gained by looking ahead.

        In autocommit each statement is committed; in an atomic transaction a savepoint of the
        revision may swallow an error, so the error has to come where the operation is.
        """
        return self._transaction.in_block or self._transaction.is_atomic

    def flush(self) -> None:
        """Run the queued operations, in order.

        Raises:
            UnsafeRevision: the revision rolled back its transaction, and continues.
        """
        if self._transaction.connection.is_internal:
            return
        if self._rolled_back is not None:
            raise rolled_back_by_revision(self._rolled_back)
        while self._queue:
            operation, send = self._queue.pop(0)
            self._last = operation
            ahead = [queued for queued, _ in self._queue]
            self._executor.perform(operation, send, ahead=ahead)

    def flush_before_statement(self) -> None:
        """Run the queued operations before a statement of the revision."""
        self.flush()

    def before_statement(self, operation: Operation) -> None:
        """Run the queued operations, and note the statement for messages."""
        self.flush()
        self._last = operation

    def second_connection(self, operation: Operation) -> None:
        """Refuse a change over another connection, unless it is allowed.

        Raises:
            UnsafeRevision: it isn't.
        """
        statement = parse(operation.sql)
        if statement.is_read or statement.is_session_setting:
            return
        refuse_unless_allowed(
            "LL-SECOND-CONNECTION",
            operation,
            Facts(allowed=self._limits.allowed),
            what="the revision changes something over a connection of its own",
            why="The ledger can't record whether that was committed, so each further attempt would"
            " repeat it.",
            remedy="Send it by op.execute() or op.get_bind(); a statement that refuses a"
            " transaction within `with op.get_context().autocommit_block():`",
        )

    def driver_access(self) -> None:
        """Keep the rest of the revision in one transaction.

        Statements that it sends over the driver's own connection aren't recorded.
        """
        self.flush()
        self._transaction.require_atomic()
        self._transaction.note_unrecorded_write()

    def before_commit(self) -> None:
        """Run the queued operations, and write their ledger rows, before the revision commits."""
        self.flush()
        self._transaction.before_commit_of_revision()

    def rolled_back(self, operation: Operation) -> None:
        """Note a rollback. It is refused when the revision continues after it.

        A revision may roll back after an error and raise the error again: then that is reported.
        """
        self._rolled_back = operation

    @contextlib.contextmanager
    def autocommit_block(self) -> Iterator[None]:
        """Commit before the block, and after each statement in it.

        Most statements in such blocks run well in a transaction together with their ledger row.
        Those that refuse one are run outside of a transaction.
        """
        self.flush()
        self._transaction.enter_autocommit()
        try:
            yield
        finally:
            self._transaction.leave_autocommit()
        self._transaction.commit()

    def listeners(self) -> Listeners:
        """Return the handlers that record and replay statements."""
        return self._replay.listeners()


def statement_operation(text: str, line: int | None) -> Operation:
    """Return the operation for a statement that a revision sends over a connection."""
    return Operation(kind="connection", table=None, sql=text, line=line, allowed=allowed())
