"""Upgrade: run Alembic's upgrade under guard."""

from __future__ import annotations

from alembic import command

from liftlock.revisions.guard import Guard
from liftlock.revisions.project import Project
from liftlock.revisions.repetition import RunReport
from liftlock.revisions.run import drive


def run_upgrade(guard: Guard, project: Project, target: str = "head") -> list[RunReport]:
    """Run the pending revisions up to a target, and return a report for each version table.

    Raises:
        LiftlockError: the run stopped; the subclass says who must act.
    """
    project.head(target)
    return drive(guard, project, lambda: command.upgrade(project.config, target))
