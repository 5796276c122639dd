"""Plan: show the steps of an upgrade without running it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from alembic import command

from liftlock.events import Notify, silent
from liftlock.model.plan import PlannedOperation, RevisionPlan
from liftlock.model.revision import Revision
from liftlock.model.step import Step
from liftlock.planning.cost import describe_duration, seconds_of_step
from liftlock.planning.plan import phase_of
from liftlock.postgres.signals import Signals
from liftlock.revisions.guard import Guard, Takeover
from liftlock.revisions.run import drive, prepare
from liftlock.settings import Settings

_UNITS = ("bytes", "kB", "MB", "GB")
_UNIT_STEP = 1024


@dataclass(frozen=True, slots=True)
class PlannedRevision:
    """A pending revision with its steps, as far as they are known without running it."""

    revision: Revision
    look: RevisionPlan

    def as_dict(self) -> dict[str, object]:
        """Return the plan for programs."""
        return {
            "revision": self.revision.id,
            "message": self.revision.message,
            "phase": phase_of(self.look.steps).value,
            "asks_database": self.look.asks,
            "operations": [_as_dict(operation) for operation in self.look.operations],
        }

    def lines(self) -> Iterator[tuple[str, bool]]:
        """Yield the plan's lines for people, each with whether it is bold."""
        phase = phase_of(self.look.steps).value
        yield f"{self.revision.id}  {self.revision.message}  ({phase})", True
        for planned in self.look.operations:
            yield from ((line, False) for line in _operation_lines(planned))
        if self.look.asks:
            rest = "the rest depends on the results of queries, and is planned when it runs"
            yield f"  …  {rest}", False


def plan(
    settings: Settings,
    target: str = "head",
    *,
    interrupts: Signals,
    notify: Notify,
    x_arguments: Sequence[str] = (),
) -> list[PlannedRevision]:
    """Return the steps of the pending revisions, in order.

    Each revision is executed until its first query of the database, and none of its statements is
    sent. The effect of a statement on a table is tried on an empty copy, and rolled back.

    Parameters:
        settings: the settings.
        target: a revision as Alembic's command line takes it.
        interrupts: signals that stop it.
        notify: is called with each event, for example while waiting for the database.
        x_arguments: values of Alembic's ``-x``, which ``env.py`` can read.

    Raises:
        LiftlockError: the project can't be loaded, or the database can't be used.
    """
    project = prepare(settings, x_arguments, interrupts, notify)
    project.head(target)
    guard = Guard(settings, "plan", interrupts, silent, takeover=Takeover.PLAN)
    drive(guard, project, lambda: command.upgrade(project.config, target))
    return [PlannedRevision(project.chain.revisions[look.revision], look) for look in guard.plans]


def _as_dict(planned: PlannedOperation) -> dict[str, object]:
    table = planned.table
    return {
        "operation": planned.operation.kind,
        "table": planned.operation.table,
        "line": planned.operation.line,
        "bytes": table.bytes if table else None,
        "rows": round(table.rows) if table and table.rows >= 0 else None,
        "allowed": planned.operation.allowed,
        "steps": [_step_as_dict(step, planned) for step in planned.steps],
    }


def _step_as_dict(step: Step, planned: PlannedOperation) -> dict[str, Any]:
    return step.as_dict() | {"estimate_seconds": seconds_of_step(step, planned.table)}


def _operation_lines(planned: PlannedOperation) -> Iterator[str]:
    size = f", {_size(planned.table.bytes)}" if planned.table and _existed(planned) else ""
    yield f"  {planned.operation.kind} {planned.operation.table or ''}{size}"
    for number, step in enumerate(planned.steps, 1):
        yield f"    {number}. {step.name}  [{_properties(step, planned)}]"
        for sql in (step.sql, *step.more_sql):
            yield from (f"         {line}" for line in sql.splitlines() if line.strip())


def _existed(planned: PlannedOperation) -> bool:
    """Tell whether the operation's table existed before the run."""
    return planned.table is not None and not planned.table.created_by_run


def _properties(step: Step, planned: PlannedOperation) -> str:
    duration = ""
    if _existed(planned):
        duration = f", {describe_duration(seconds_of_step(step, planned.table))}"
    lock = "no lock that blocks queries"
    if step.lock:
        lock = f"{step.lock.value}, blocks {step.lock.blocks}"
    return f"{step.pace.value}{duration}, {step.phase.value}; {lock}"


def _size(size: float) -> str:
    for unit in _UNITS:
        if size < _UNIT_STEP:
            return f"{size:.0f} {unit}"
        size /= _UNIT_STEP
    return f"{size:.0f} TB"
