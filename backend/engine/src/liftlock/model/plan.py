"""What a revision would do, seen without running it."""

from __future__ import annotations

from dataclasses import dataclass

from liftlock.model.operation import Operation
from liftlock.model.step import Step
from liftlock.model.table import Table


@dataclass(frozen=True, slots=True)
class PlannedOperation:
    """An operation with its steps, and the table it is about, where that is there already."""

    operation: Operation
    steps: tuple[Step, ...]
    table: Table | None


@dataclass(frozen=True, slots=True)
class RevisionPlan:
    """A revision that was looked at: its steps as far as they are known without asking the database."""

    revision: str
    operations: tuple[PlannedOperation, ...]
    asks: bool

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, in order."""
        return tuple(step for one in self.operations for step in one.steps)
