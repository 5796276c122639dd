"""Passes what a revision does to a handler: its operations, and the statements of its connection.

``op.*``, batch operations, plug-in operations and ``op.execute`` all arrive at ``context.impl``,
decomposed and named. Statements that the revision sends over a connection are seen by SQLAlchemy's
events; queued operations run before them, so that the order is the revision's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from alembic.runtime.migration import MigrationContext
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

from liftlock.execution.connection import ProjectConnection
from liftlock.execution.source_location import line_in
from liftlock.revisions import patches
from liftlock.revisions.constructs import describe
from liftlock.revisions.handlers import Handler, Listeners, statement_operation


class Recorder:
    """Records one revision.

    Parameters:
        context: Alembic's migration context.
        connection: its connection.
        handler: handles what is recorded.
        source: path of the revision's file, for the line of each operation.
    """

    def __init__(
        self,
        context: MigrationContext,
        connection: ProjectConnection,
        handler: Handler,
        source: str,
    ) -> None:
        self._context = context
        self._connection = connection
        self._handler = handler
        self._source = source
        self._send: patches.Record = _not_recording

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """Record in this context; at its end, run the operations that are still queued."""
        with contextlib.ExitStack() as stack:
            self._send = stack.enter_context(
                patches.record_operations(self._context, self._record, self._recorded)
            )
            if self._handler.replaces_autocommit_block:
                block = self._handler.autocommit_block
                stack.enter_context(patches.replace_autocommit_block(self._context, block))
            stack.enter_context(patches.detect_driver_access(self._driver_accessed))
            self._listen(stack)
            yield
            self._handler.flush()

    def _listen(self, stack: contextlib.ExitStack) -> None:
        listeners: Listeners = {
            "before_execute": self._before_execute,
            "before_cursor_execute": self._before_cursor_execute,
            "commit": self._before_commit,
            "rollback": self._rolled_back,
            **self._handler.listeners(),
        }
        engine = self._connection.connection.engine
        for name, listener in listeners.items():
            _listen(stack, engine, name, listener)
        _listen(stack, Engine, "before_cursor_execute", self._on_any_engine)

    def _record(
        self,
        construct: Any,  # noqa: ANN401 - Alembic's signature
        execution_options: Any = None,  # noqa: ANN401
        multiparams: Any = None,  # noqa: ANN401
        params: Any = None,  # noqa: ANN401
    ) -> None:
        """Take the place of ``impl._exec``."""
        line = line_in(self._source)
        operation = describe(construct, self._context.dialect, multiparams or (), line=line)
        options = {"execution_options": execution_options}
        if multiparams:
            options["multiparams"] = multiparams
        elif params:
            options["params"] = params
        real_send = self._send

        def send() -> None:
            with self._connection.as_internal():
                real_send(construct, **options)

        self._handler.add(operation, send)
        if not patches.creates_or_drops_table(self._context):
            self._recorded()

    def _recorded(self) -> None:
        if self._handler.runs_at_once():
            self._handler.flush()

    def _is_revisions_own(self, connection: Connection) -> bool:
        return not self._connection.is_internal and self._connection.is_same_as(connection)

    def _before_execute(self, _connection: Connection, *_statement: object) -> None:
        """Run queued operations before SQLAlchemy takes a cursor for the next statement."""
        if not self._connection.is_internal:
            self._handler.flush_before_statement()

    def _before_cursor_execute(
        self, connection: Connection, _cursor: object, statement: str, *_more: object
    ) -> None:
        if self._connection.is_internal:
            return
        if self._connection.is_same_as(connection):
            self._handler.before_statement(statement_operation(statement, line_in(self._source)))
        else:
            self._handler.flush_before_statement()

    def _on_any_engine(
        self, connection: Connection, _cursor: object, statement: str, *_more: object
    ) -> None:
        another = not self._connection.is_internal and not self._connection.is_same_as(connection)
        if another and connection.dialect.name == "postgresql":
            self._handler.second_connection(statement_operation(statement, line_in(self._source)))

    def _driver_accessed(self, fairy: object) -> None:
        if not self._connection.is_internal and fairy is self._connection.connection.connection:
            self._handler.driver_access()

    def _before_commit(self, connection: Connection) -> None:
        if self._is_revisions_own(connection):
            self._handler.before_commit()

    def _rolled_back(self, connection: Connection) -> None:
        if self._is_revisions_own(connection):
            line = line_in(self._source)
            self._handler.rolled_back(statement_operation("connection.rollback()", line))


def _listen(
    stack: contextlib.ExitStack,
    target: Engine | type[Engine],
    name: str,
    listener: Callable[..., Any],
) -> None:
    event.listen(target, name, listener)
    stack.callback(event.remove, target, name, listener)


def _not_recording(*_arguments: object, **_options: object) -> None:
    """Stand for the function that sends operations, while nothing is recorded."""
    message = "an operation was sent outside of a recording"
    raise RuntimeError(message)
