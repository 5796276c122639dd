"""The interface to an observer of the statements that a run sends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from alembic.runtime.migration import MigrationContext

from liftlock.execution.transaction import Transaction
from liftlock.model.operation import Operation
from liftlock.revisions.alembic_step import AlembicStep


class StatementObserver(Protocol):
    """Observes the statements of a run; ``liftlock check`` has one on its shadow."""

    def watching(self, context: MigrationContext) -> AbstractContextManager[None]:
        """Observe the connection of a migration context."""

    def marked(self, steps: Iterable[AlembicStep]) -> Iterator[AlembicStep]:
        """Yield Alembic's steps, and note each revision as it begins."""

    def attempt(self, transaction: Transaction) -> Callable[[Operation], None]:
        """Begin an attempt of liftlock at a revision.

        Returns:
            A callback for each of its operations.
        """
