"""Show what an upgrade would do, without doing it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from alembic import command

from liftlock.events import Notify, silent
from liftlock.model.plan import PlannedOperation, RevisionPlan
from liftlock.model.revision import Revision
from liftlock.planning.cost import seconds_of_step
from liftlock.planning.plan import phase_of
from liftlock.postgres.signals import Signals
from liftlock.revisions.guard import Guard
from liftlock.revisions.run import drive, prepare
from liftlock.settings import Address, Settings


@dataclass(frozen=True, slots=True)
class PlannedRevision:
    """A pending revision: its steps, as far as they are known before the database is asked."""

    revision: Revision
    look: RevisionPlan

    def as_dict(self) -> dict[str, object]:
        """The plan for programs."""
        return {
            "revision": self.revision.id,
            "message": self.revision.message,
            "phase": phase_of(self.look.steps).value,
            "asks_database": self.look.asks,
            "operations": [_described(one) for one in self.look.operations],
        }


def _described(one: PlannedOperation) -> dict[str, object]:
    table = one.table
    return {
        "operation": one.operation.kind,
        "table": one.operation.table,
        "line": one.operation.line,
        "bytes": table.bytes if table else None,
        "rows": round(table.rows) if table and table.rows >= 0 else None,
        "allowed": one.operation.allowed,
        "steps": [
            step.as_dict() | {"estimate_seconds": seconds_of_step(step, table)}
            for step in one.steps
        ],
    }


def plan(
    settings: Settings,
    target: str = "head",
    *,
    interrupts: Signals,
    notify: Notify,
    x_arguments: Sequence[str] = (),
    redirect: Address | None = None,
) -> list[PlannedRevision]:
    """The steps of the pending revisions, in order.

    The revisions are run up to where they ask the database something; nothing of theirs is sent. What a
    statement would do to a table is tried on an empty copy, and rolled back.

    Parameters:
        settings: the environment's.
        target: what Alembic takes.
        interrupts: stops it.
        notify: is told when the database is waited for.
        x_arguments: what Alembic's ``-x`` passes to ``env.py``.
        redirect: look there, wherever the project wants to.

    Raises:
        LiftlockError: see its families.
    """
    project = prepare(settings, x_arguments, interrupts, notify, redirect)
    project.head(target)
    guard = Guard(settings, "plan", interrupts, silent, redirect=redirect, look=True)
    drive(guard, project, lambda: command.upgrade(project.config, target))
    return [PlannedRevision(project.chain.revisions[look.revision], look) for look in guard.looks]
