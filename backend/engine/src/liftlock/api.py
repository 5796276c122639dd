"""Functions of the package's top level that run a project's revisions."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from liftlock.commands import downgrade as downgrade_command
from liftlock.commands import plan as plan_command
from liftlock.commands import upgrade as upgrade_command
from liftlock.commands.plan import PlannedRevision
from liftlock.events import Notify, silent
from liftlock.postgres.signals import Signals
from liftlock.revisions.repetition import RunReport
from liftlock.settings import Settings


def upgrade(
    settings: Settings,
    target: str = "head",
    *,
    interrupts: Signals | None = None,
    notify: Notify = silent,
    x_arguments: Sequence[str] = (),
) -> list[RunReport]:
    """Run the pending revisions, each exactly once, even when several processes try to.

    Parameters:
        settings: the settings, as ``settings_from_environment`` returns them.
        target: a revision as Alembic's command line takes it: ``head``, ``heads``, ``+1``.
        interrupts: signals that stop the run; by default SIGTERM and SIGINT do, while it lasts.
        notify: is called with each event.
        x_arguments: values of Alembic's ``-x``, which ``env.py`` can read.

    Returns:
        One report for each version table that ``env.py`` migrated.

    Raises:
        LiftlockError: the run stopped; the subclass says who must act.
    """
    with _signals(interrupts) as signals:
        return upgrade_command.upgrade(
            settings, target, interrupts=signals, notify=notify, x_arguments=x_arguments
        )


def downgrade(
    settings: Settings,
    target: str,
    *,
    interrupts: Signals | None = None,
    notify: Notify = silent,
    x_arguments: Sequence[str] = (),
) -> list[RunReport]:
    """Revert revisions down to a target, by their ``downgrade`` functions.

    Parameters:
        settings: the settings, as ``settings_from_environment`` returns them.
        target: a revision as Alembic's command line takes it: an identifier, ``base``, ``-1``.
        interrupts: signals that stop the run; by default SIGTERM and SIGINT do, while it lasts.
        notify: is called with each event.
        x_arguments: values of Alembic's ``-x``, which ``env.py`` can read.

    Returns:
        One report for each version table that ``env.py`` migrated.

    Raises:
        LiftlockError: the run stopped; the subclass says who must act.
    """
    with _signals(interrupts) as signals:
        return downgrade_command.downgrade(
            settings, target, interrupts=signals, notify=notify, x_arguments=x_arguments
        )


def plan(
    settings: Settings,
    target: str = "head",
    *,
    interrupts: Signals | None = None,
    notify: Notify = silent,
    x_arguments: Sequence[str] = (),
) -> list[PlannedRevision]:
    """Return the steps that ``upgrade`` would run, without changing the database.

    Parameters:
        settings: the settings, as ``settings_from_environment`` returns them.
        target: a revision as Alembic's command line takes it: ``head``, ``heads``, ``+1``.
        interrupts: signals that stop it; by default SIGTERM and SIGINT do, while it lasts.
        notify: is called with each event.
        x_arguments: values of Alembic's ``-x``, which ``env.py`` can read.

    Raises:
        LiftlockError: the project can't be loaded, or the database can't be used.
    """
    with _signals(interrupts) as signals:
        return plan_command.plan(
            settings, target, interrupts=signals, notify=notify, x_arguments=x_arguments
        )


def _signals(given: Signals | None) -> contextlib.AbstractContextManager[Signals]:
    """Return the signals that are given, or ones that are handled while the context lasts."""
    return Signals() if given is None else contextlib.nullcontext(given)
