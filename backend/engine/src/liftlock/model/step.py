"""A step: one statement run under one policy. The unit of run, retry and resume."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from liftlock.model.lock import LockMode
from liftlock.model.operation import Operation


class Pace(StrEnum):
    """How long a step takes and who feels it."""

    BRIEF = "brief"
    ONLINE = "online"
    BATCHED = "batched"


class Phase(StrEnum):
    """Whether the old release keeps working after the step."""

    EXPAND = "expand"
    CONTRACT = "contract"


@dataclass(frozen=True, slots=True)
class Step:
    """One statement of a plan.

    Parameters:
        operation: what it serves; several steps may serve one operation.
        sql: the statement.
        pace: *brief*, *online* or *batched*.
        lock: the strongest lock it takes on a table that others can see; None for none.
        phase: *expand* or *contract*.
        repair: what is done about an object that an interrupted try leaves half made; empty when
            the step is transactional and leaves nothing.
    """

    operation: Operation
    sql: str
    pace: Pace
    lock: LockMode | None
    phase: Phase
    repair: str = ""

    def as_dict(self) -> dict[str, object]:
        """The step for programs."""
        return {
            "operation": self.operation.kind,
            "table": self.operation.table,
            "sql": self.sql,
            "rows": self.operation.rows,
            "pace": self.pace.value,
            "lock": self.lock.value if self.lock else None,
            "blocks": self.lock.blocks if self.lock else "nothing",
            "phase": self.phase.value,
        }
