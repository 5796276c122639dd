"""The interface to an observer of the statements that a run sends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Protocol

from alembic.runtime.migration import MigrationContext

from liftlock.execution.connection import ProjectConnection
from liftlock.model.operation import Operation


class StatementObserver(Protocol):
    """Observes the statements of a run; the shadow has the only one."""

    def watching(self, context: MigrationContext) -> AbstractContextManager[None]:
        """Observe the connection of a migration context."""

    def running(self, connection: ProjectConnection) -> None:
        """Note the connection on which liftlock runs the revisions itself."""

    def marked(self, steps: Iterable[Any]) -> Iterator[Any]:
        """Yield Alembic's steps, and note each revision as it begins."""

    def attempt(self) -> Callable[[Operation], None]:
        """Begin an attempt at a revision; returns a callback for each of its operations."""
