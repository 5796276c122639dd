"""The recorder: operations are queued at the migration context's implementation, planned, then run.

``op.*``, batch operations, plug-in operations and ``op.execute`` all meet at ``context.impl``,
already decomposed and named. What a revision sends over the connection itself is seen by
SQLAlchemy's events; the queue is run before it, so that the order is the revision's own.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from alembic.runtime.migration import MigrationContext
from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.engine.mock import MockConnection

from liftlock.model.operation import Operation
from liftlock.model.step import Step
from liftlock.planning.plan import plan
from liftlock.revisions.operations import describe

Send = Callable[[], Any]


class NeedsDatabase(BaseException):
    """A revision that is only looked at asks the database. Not an Exception: revisions catch those."""


class Recorder:
    """Records what one revision asks for, and runs it.

    Parameters:
        context: Alembic's migration context; its ``impl`` is wrapped while ``recording``.
        check: is called before each recorded statement is sent; it raises to stop the run.
        look: record only; nothing is sent, and asking the database raises ``NeedsDatabase``.
    """

    def __init__(self, context: MigrationContext, check: Callable[[], None], *, look: bool = False) -> None:
        self._context = context
        self._check = check
        self._look = look
        self._send = context.impl._exec  # noqa: SLF001 - the seam; its name is the same from Alembic 1.8 to 1.20
        self._queue: list[tuple[Operation, Send]] = []
        self._done: list[Operation] = []
        self._source = ""
        self._running = False
        self._immediate = False
        self.committed = False

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of all that was recorded so far."""
        return plan([*self._done, *(operation for operation, _ in self._queue)])

    @property
    def last(self) -> Operation | None:
        """The operation that was sent last."""
        return self._done[-1] if self._done else None

    @contextlib.contextmanager
    def recording(self, source: str) -> Iterator[None]:
        """Record for as long as the context lasts; at its end the queue is run.

        Parameters:
            source: path of the revision's file, to tell the line of each operation.
        """
        self._queue, self._done, self.committed, self._source = [], [], False, source
        with contextlib.ExitStack() as stack:
            self._wrap(stack)
            yield
            self.flush()

    def flush(self) -> None:
        """Run what is queued, in order."""
        if self._look or self._running:
            return
        while self._queue:
            operation, send = self._queue.pop(0)
            self._done.append(operation)
            self._check()
            with self._own():
                send()

    def _wrap(self, stack: contextlib.ExitStack) -> None:
        impl, context = self._context.impl, self._context
        stack.callback(_restore(impl, "_exec", "create_table", "drop_table"))
        stack.callback(_restore(context, "autocommit_block"))
        impl._exec = self._record  # type: ignore[method-assign]  # noqa: SLF001 - the seam
        impl.create_table = self._with_stand_in(impl.create_table)  # type: ignore[method-assign]
        impl.drop_table = self._with_stand_in(impl.drop_table)  # type: ignore[method-assign]
        context.autocommit_block = self._autocommit(context.autocommit_block)  # type: ignore[method-assign]
        connection = context.connection
        if connection is None:
            return
        listeners: dict[str, Callable[..., None]] = {
            "before_execute": self._before_execute,
            "before_cursor_execute": self._before_cursor_execute,
            "commit": self._before_commit,
        }
        for name, listener in listeners.items():
            event.listen(connection.engine, name, listener)
            stack.callback(event.remove, connection.engine, name, listener)

    def _record(
        self,
        construct: Any,  # noqa: ANN401 - Alembic's own signature
        execution_options: Any = None,  # noqa: ANN401
        multiparams: Any = None,  # noqa: ANN401
        params: Any = None,  # noqa: ANN401
    ) -> None:
        operation = describe(construct, self._context.dialect, len(multiparams or ()), line=_line_in(self._source))
        given = {"execution_options": execution_options}
        if multiparams:
            given["multiparams"] = multiparams
        elif params:
            given["params"] = params
        self._queue.append((operation, lambda: self._send(construct, **given)))
        if self._immediate:
            self.flush()

    def _with_stand_in(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """While a table is created or dropped, its types' own DDL goes into the queue, in order."""

        def call(table: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            impl = self._context.impl
            connection = impl.connection
            impl.connection = MockConnection(self._context.dialect, lambda construct, _parameters=None: self._record(construct))  # type: ignore[assignment]
            try:
                return real(table, **kwargs)
            finally:
                impl.connection = connection

        return call

    def _autocommit(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """What an autocommit block follows is committed by it; what is in it runs at once."""

        @contextlib.contextmanager
        def block() -> Iterator[None]:
            if self._look:
                yield
                return
            self.flush()
            self.committed = True
            with real():
                self._immediate = True
                try:
                    yield
                finally:
                    self._immediate = False

        return block

    @contextlib.contextmanager
    def _own(self) -> Iterator[None]:
        before, self._running = self._running, True
        try:
            yield
        finally:
            self._running = before

    def _before_execute(self, _connection: Connection, *_statement: object) -> None:
        if not self._running:
            if self._look:
                raise NeedsDatabase
            self.flush()

    def _before_cursor_execute(self, _connection: Connection, _cursor: object, statement: str, *_more: object) -> None:
        if self._running:
            return
        if self._look:
            raise NeedsDatabase
        self.flush()
        self._done.append(Operation(kind="connection", table=None, sql=statement, line=_line_in(self._source)))

    def _before_commit(self, _connection: Connection) -> None:
        if not self._running:
            self.flush()
            self.committed = True


def _line_in(source: str) -> int | None:
    """The line of a file that is being run, by the innermost of its frames."""
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - documented; traceback.extract_stack reads every file
    while frame is not None:
        if frame.f_code.co_filename == source:
            return frame.f_lineno
        frame = frame.f_back
    return None


def _restore(thing: object, *names: str) -> Callable[[], None]:
    """A call that makes instance attributes what they are now, or removes them where they are the class's."""
    mine = vars(thing)
    before = {name: mine[name] for name in names if name in mine}

    def restore() -> None:
        for name in names:
            vars(thing).pop(name, None)
        vars(thing).update(before)

    return restore
