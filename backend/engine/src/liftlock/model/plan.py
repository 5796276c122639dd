"""The plan of a revision: its operations with their steps, before any of them runs."""

from __future__ import annotations

from dataclasses import dataclass

from liftlock.model.operation import Operation
from liftlock.model.step import Step
from liftlock.model.table import Table


@dataclass(frozen=True, slots=True)
class PlannedOperation:
    """An operation with its steps.

    Parameters:
        operation: the call in the revision.
        steps: its steps, in order.
        table: the operation's table; None for a table that doesn't exist yet.
    """

    operation: Operation
    steps: tuple[Step, ...]
    table: Table | None


@dataclass(frozen=True, slots=True)
class RevisionPlan:
    """The plan of a revision.

    Parameters:
        revision: the revision's identifier.
        operations: the planned operations, up to the revision's first query.
        asks: true for a revision that queries the database; the operations after its first query
            depend on the result and aren't planned.
    """

    revision: str
    operations: tuple[PlannedOperation, ...]
    asks: bool

    @property
    def steps(self) -> tuple[Step, ...]:
        """Return the steps of all operations, in order."""
        return tuple(step for operation in self.operations for step in operation.steps)
