"""The recorder: operations are queued at the migration context's implementation, planned, then run.

``op.*``, batch operations, plug-in operations and ``op.execute`` all meet at ``context.impl``,
already decomposed and named. What a revision sends over the connection itself is seen by
SQLAlchemy's events; the queue is run before it, so that the order is the revision's own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from alembic.runtime.migration import MigrationContext
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.engine.mock import MockConnection

from liftlock.allowance import allowed
from liftlock.execution.attempt import Attempt, Send
from liftlock.execution.connection import ProjectConnection
from liftlock.execution.executor import StepExecutor
from liftlock.execution.replay import QueryReplay
from liftlock.execution.revision_errors import rolled_back_by_revision
from liftlock.execution.source_location import line_in
from liftlock.execution.statements import is_read, is_session_setting
from liftlock.model.operation import Operation
from liftlock.model.table import Facts
from liftlock.planning.unsafe import refuse_unless_allowed
from liftlock.revisions import op_backfill  # noqa: F401 - makes op.backfill known
from liftlock.revisions.connections import detect_driver_access
from liftlock.revisions.constructs import describe


class NeedsDatabase(BaseException):
    """A revision that is only looked at asks the database. Not an Exception: revisions catch those."""


class Recorder:
    """Records what one revision asks for, and has it done.

    Parameters:
        context: Alembic's migration context; its ``impl`` is wrapped while ``recording``.
        working: its connection.
        work: does the operations; None to look only: nothing is sent, and asking the database raises ``NeedsDatabase``.
        looked: is called with each operation of a revision that is only looked at.
    """

    def __init__(
        self,
        context: MigrationContext,
        working: ProjectConnection,
        work: Attempt | None,
        looked: Callable[[Operation], None] | None = None,
    ) -> None:
        self._context = context
        self._working = working
        self._work = work
        self._looked = looked
        self._send = context.impl._exec
        self._queue: list[tuple[Operation, Send]] = []
        self._source = ""
        self._undone: Operation | None = None
        self._stepper = StepExecutor(work) if work else None
        self._conversation = (
            QueryReplay(working, work, self._stepper, lambda: line_in(self._source))
            if work and self._stepper
            else None
        )
        self.last: Operation | None = None
        self.committed = False

    @contextlib.contextmanager
    def recording(self, source: str) -> Iterator[None]:
        """Record for as long as the context lasts; at its end the queue is run.

        Parameters:
            source: path of the revision's file, to tell the line of each operation.
        """
        self._queue, self.last, self.committed, self._source = [], None, False, source
        with contextlib.ExitStack() as stack:
            self._wrap(stack)
            yield
            self.flush()

    def flush(self) -> None:
        """Run what is queued, in order.

        Raises:
            UnsafeRevision: the revision has rolled back what it did, and goes on.
        """
        if self._stepper is None or self._working.busy:
            return
        if self._undone is not None:
            raise rolled_back_by_revision(self._undone)
        while self._queue:
            operation, send = self._queue.pop(0)
            self.last = operation
            self._stepper.perform(operation, send, ahead=[one for one, _ in self._queue])

    def _wrap(self, stack: contextlib.ExitStack) -> None:
        impl, context = self._context.impl, self._context
        stack.callback(_restore(impl, "_exec", "create_table", "drop_table"))
        stack.callback(_restore(context, "autocommit_block"))
        impl._exec = self._record  # type: ignore[method-assign]
        impl.create_table = self._with_stand_in(impl.create_table)  # type: ignore[method-assign]
        impl.drop_table = self._with_stand_in(impl.drop_table)  # type: ignore[method-assign]
        if self._work is None or not self._work.bound:
            context.autocommit_block = self._autocommit  # type: ignore[method-assign]
        stack.enter_context(detect_driver_access(self._raw))
        engine = self._working.connection.engine
        listeners: dict[str, Callable[..., Any]] = {
            "before_execute": self._before_execute,
            "before_cursor_execute": self._before_cursor_execute,
            "commit": self._before_commit,
            "rollback": self._before_rollback,
        }
        if self._conversation is not None:
            listeners |= self._conversation.listeners()
        for name, listener in listeners.items():
            event.listen(engine, name, listener)
            stack.callback(event.remove, engine, name, listener)
        if self._work is not None:
            event.listen(Engine, "before_cursor_execute", self._elsewhere)
            stack.callback(event.remove, Engine, "before_cursor_execute", self._elsewhere)

    def _record(
        self,
        construct: Any,
        execution_options: Any = None,
        multiparams: Any = None,
        params: Any = None,
    ) -> None:
        operation = describe(
            construct, self._context.dialect, multiparams or (), line=line_in(self._source)
        )
        given = {"execution_options": execution_options}
        if multiparams:
            given["multiparams"] = multiparams
        elif params:
            given["params"] = params

        def send() -> None:
            with self._working.own():
                self._send(construct, **given)

        if self._looked is not None:
            self._looked(operation)
        self._queue.append((operation, send))
        self._flush_what_stands_alone()

    def _flush_what_stands_alone(self) -> None:
        """Outside of a transaction, or bound to one whose savepoints may swallow an error, nothing is to be looked ahead for."""
        stands_in = isinstance(self._context.impl.connection, MockConnection)
        if (self._working.outside or self._working.bound) and not stands_in:
            self.flush()

    def _with_stand_in(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """While a table is created or dropped, its types' own DDL goes into the queue, in order."""

        def call(table: Any, **kwargs: Any) -> None:
            impl = self._context.impl
            connection = impl.connection
            impl.connection = MockConnection(
                self._context.dialect, lambda construct, _parameters=None: self._record(construct)
            )  # type: ignore[assignment]
            try:
                real(table, **kwargs)
            finally:
                impl.connection = connection
            self._flush_what_stands_alone()

        return call

    @contextlib.contextmanager
    def _autocommit(self) -> Iterator[None]:
        """What an autocommit block follows is committed by it, and what is in it runs at once, each by itself.

        Most of what stands in such blocks runs well in a transaction, with its row in the ledger; what
        refuses one is run without.
        """
        if self._work is None:
            yield
            return
        self.flush()
        self._work.end_transaction()
        try:
            yield
        finally:
            self._working.outside = False
        self._work.commit_point()

    def _before_execute(self, _connection: Connection, *_statement: object) -> None:
        if not self._working.busy:
            if self._work is None:
                raise NeedsDatabase
            self.flush()

    def _before_cursor_execute(
        self, connection: Connection, _cursor: object, statement: str, *_more: object
    ) -> None:
        if self._working.busy:
            return
        if self._work is None:
            raise NeedsDatabase
        self.flush()
        if connection.connection is self._working.connection.connection:
            self.last = Operation(
                kind="connection", table=None, sql=statement, line=line_in(self._source)
            )

    def _elsewhere(
        self, connection: Connection, _cursor: object, statement: str, *_more: object
    ) -> None:
        """What is changed over another connection is committed by itself: no ledger hears of it, and no further try knows it."""
        ours = connection.connection is self._working.connection.connection
        if (
            self._work is None
            or ours
            or self._working.busy
            or connection.dialect.name != "postgresql"
            or is_read(statement)
            or is_session_setting(statement)
        ):
            return
        refuse_unless_allowed(
            "LL-SECOND-CONNECTION",
            Operation(
                kind="connection",
                table=None,
                sql=statement,
                line=line_in(self._source),
                allowed=allowed(),
            ),
            Facts(allowed=self._work.policy.allowed),
            what="the revision changes something over a connection of its own",
            why="Nobody can tell afterwards whether that was done, so each further try would do it again.",
            remedy="Send it by op.execute or op.get_bind(), what refuses a transaction in op.get_context().autocommit_block()",
        )

    def _raw(self, connection: object) -> None:
        """What is sent over the driver's own connection is remembered by nobody, so all of it must be of one transaction."""
        if self._working.busy or connection is not self._working.connection.connection:
            return
        if self._work is None:
            raise NeedsDatabase
        self.flush()
        self._work.bind()
        self._work.unnoted = True

    def _before_commit(self, connection: Connection) -> None:
        if (
            self._work is not None
            and not self._working.busy
            and connection.connection is self._working.connection.connection
        ):
            self.flush()
            self._work.write_down()
            self.committed = True

    def _before_rollback(self, connection: Connection) -> None:
        """Refused where the revision goes on; an error that it raises again behind its rollback is told as it is, or tried again."""
        if (
            self._work is not None
            and not self._working.busy
            and connection.connection is self._working.connection.connection
        ):
            self._undone = Operation(
                kind="connection",
                table=None,
                sql="connection.rollback()",
                line=line_in(self._source),
            )


def _restore(thing: object, *names: str) -> Callable[[], None]:
    """A call that makes instance attributes what they are now, or removes them where they are the class's."""
    mine = vars(thing)
    before = {name: mine[name] for name in names if name in mine}

    def restore() -> None:
        for name in names:
            vars(thing).pop(name, None)
        vars(thing).update(before)

    return restore
