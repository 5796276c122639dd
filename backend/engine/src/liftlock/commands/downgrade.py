"""Take revisions back."""

from __future__ import annotations

from collections.abc import Sequence

from alembic import command

from liftlock.events import Notify
from liftlock.postgres.signals import Signals
from liftlock.revisions.guard import Guard
from liftlock.revisions.run import drive, prepare
from liftlock.revisions.runner import RunReport
from liftlock.settings import Settings


def downgrade(
    settings: Settings,
    target: str,
    *,
    interrupts: Signals,
    notify: Notify,
    x_arguments: Sequence[str] = (),
) -> list[RunReport]:
    """Run the ``downgrade`` of revisions, down to a target, under the same guard as an upgrade.

    Parameters:
        settings: the environment's.
        target: a revision, ``base``, ``-1`` and so on: what Alembic takes.
        interrupts: stops the run.
        notify: is told what happens.
        x_arguments: what Alembic's ``-x`` passes to ``env.py``.

    Raises:
        LiftlockError: see its families.
    """
    project = prepare(settings, x_arguments, interrupts, notify)
    guard = Guard(settings, "downgrade", interrupts, notify)
    return drive(guard, project, lambda: command.downgrade(project.config, target))
