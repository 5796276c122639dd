"""Downgrade: revert revisions."""

from __future__ import annotations

from collections.abc import Sequence

from alembic import command

from liftlock.events import Notify
from liftlock.postgres.signals import Signals
from liftlock.revisions.guard import Guard
from liftlock.revisions.repetition import RunReport
from liftlock.revisions.run import drive, prepare
from liftlock.settings import Settings


def downgrade(
    settings: Settings,
    target: str,
    *,
    interrupts: Signals,
    notify: Notify,
    x_arguments: Sequence[str] = (),
) -> list[RunReport]:
    """Run the ``downgrade`` of revisions down to a target, under the same guard as an upgrade.

    Parameters:
        settings: the settings.
        target: a revision as Alembic's command line takes it: an identifier, ``base``, ``-1``.
        interrupts: signals that stop the run.
        notify: is called with each event.
        x_arguments: values of Alembic's ``-x``, which ``env.py`` can read.

    Returns:
        One report for each version table that ``env.py`` migrated.

    Raises:
        LiftlockError: the run stopped; the subclass says who must act.
    """
    project = prepare(settings, x_arguments, interrupts, notify)
    guard = Guard(settings, "downgrade", interrupts, notify)
    return drive(guard, project, lambda: command.downgrade(project.config, target))
