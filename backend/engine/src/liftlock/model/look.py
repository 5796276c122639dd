"""What a revision would do, seen without running it."""

from __future__ import annotations

from dataclasses import dataclass

from liftlock.model.facts import Table
from liftlock.model.operation import Operation
from liftlock.model.step import Step


@dataclass(frozen=True, slots=True)
class LookedAt:
    """An operation with its steps, and the table it is about, where that is there already."""

    operation: Operation
    steps: tuple[Step, ...]
    table: Table | None


@dataclass(frozen=True, slots=True)
class Look:
    """A revision that was looked at: its steps as far as they are known without asking the database."""

    revision: str
    operations: tuple[LookedAt, ...]
    asks: bool

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, in order."""
        return tuple(step for one in self.operations for step in one.steps)
