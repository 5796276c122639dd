"""Bring a database to a revision."""

from __future__ import annotations

from collections.abc import Sequence

from alembic import command

from liftlock.events import Notify
from liftlock.postgres.signals import Signals
from liftlock.revisions.guard import Guard
from liftlock.revisions.run import drive, prepare
from liftlock.revisions.runner import RunReport
from liftlock.settings import Address, Settings


def upgrade(
    settings: Settings,
    target: str = "head",
    *,
    interrupts: Signals,
    notify: Notify,
    x_arguments: Sequence[str] = (),
    redirect: Address | None = None,
) -> list[RunReport]:
    """Run the pending revisions, exactly once, whoever else tries.

    Parameters:
        settings: the environment's.
        target: ``head``, ``heads``, a revision, ``+1`` and so on: what Alembic takes.
        interrupts: stops the run.
        notify: is told what happens.
        x_arguments: what Alembic's ``-x`` passes to ``env.py``.
        redirect: run there, wherever the project wants to.

    Returns:
        What was done, for each version table that ``env.py`` ran.

    Raises:
        LiftlockError: see its families.
    """
    project = prepare(settings, x_arguments, interrupts, notify, redirect)
    project.head(target)
    guard = Guard(settings, "upgrade", interrupts, notify, redirect=redirect)
    return drive(guard, project, lambda: command.upgrade(project.config, target))
