"""Upgrade: run the pending revisions."""

from __future__ import annotations

from collections.abc import Sequence

from liftlock.events import Notify
from liftlock.postgres.signals import Signals
from liftlock.revisions.guard import Guard
from liftlock.revisions.repetition import RunReport
from liftlock.revisions.run import prepare
from liftlock.revisions.upgrade import run_upgrade
from liftlock.settings import Settings


def upgrade(
    settings: Settings,
    target: str = "head",
    *,
    interrupts: Signals,
    notify: Notify,
    x_arguments: Sequence[str] = (),
) -> list[RunReport]:
    """Run the pending revisions, each exactly once, even when several processes try to.

    Parameters:
        settings: the settings.
        target: a revision as Alembic's command line takes it: ``head``, ``heads``, ``+1``.
        interrupts: signals that stop the run.
        notify: is called with each event.
        x_arguments: values of Alembic's ``-x``, which ``env.py`` can read.

    Returns:
        One report for each version table that ``env.py`` migrated.

    Raises:
        LiftlockError: the run stopped; the subclass says who must act.
    """
    project = prepare(settings, x_arguments, interrupts, notify)
    return run_upgrade(Guard(settings, "upgrade", interrupts, notify), project, target)
