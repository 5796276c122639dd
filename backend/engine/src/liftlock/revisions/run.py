"""What upgrade, downgrade and plan share: load, wait, and run Alembic under guard."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from alembic.util import CommandError

from liftlock.errors import LiftlockError, NotNow, UnsafeRevision
from liftlock.events import Notify
from liftlock.execution.database_errors import connection_lost, server_message
from liftlock.postgres.signals import Signals
from liftlock.postgres.wait import wait
from liftlock.revisions.failures import env_failed
from liftlock.revisions.guard import Guard, run_finished
from liftlock.revisions.project import Project, load, place_in, url_of
from liftlock.revisions.runner import RunReport
from liftlock.settings import Address, Settings


def prepare(
    settings: Settings,
    x_arguments: Sequence[str],
    interrupts: Signals,
    notify: Notify,
    redirect: Address | None = None,
) -> Project:
    """Load the project, then wait for its database, where the address is known before env.py runs.

    Raises:
        LiftlockError: the project can't be loaded, or the database not be used.
    """
    project = load(settings.config, x_arguments)
    address = redirect or settings.address or url_of(project.config)
    if address is not None:
        wait(address, settings.wait, interrupts=interrupts, notify=notify)
    return project


def drive(guard: Guard, project: Project, run: Callable[[], None]) -> list[RunReport]:
    """Run one of Alembic's commands under guard.

    Raises:
        LiftlockError: what went wrong, as an error for its reader.
    """
    try:
        with guard:
            run()
    except LiftlockError:
        raise
    except CommandError as error:
        raise UnsafeRevision(
            "LL-ALEMBIC-COMMAND",
            str(error),
            now="See `liftlock status` for what the database and the files have.",
        ) from error
    except Exception as error:
        known = _env_failed(error, project, guard.reports)
        if known is None:
            raise
        raise known from error
    guard.notify(run_finished(guard.reports))
    return guard.reports


def _env_failed(
    error: Exception, project: Project, reports: list[RunReport]
) -> LiftlockError | None:
    """An error of the project's env.py; None for one of our own, which must not be blamed on it."""
    if connection_lost(error):
        return NotNow(
            "LL-CONNECTION-LOST",
            f"The connection to the database was lost: {server_message(error)}",
            why="What was running is rolled back; finished revisions stay.",
            now="Run the same command again when the database is back.",
        )
    place = place_in(error, project.script)
    innermost = traceback.extract_tb(error.__traceback__)[-1].filename
    if place is None or innermost.startswith(str(Path(__file__).parents[1])):
        return None
    why = f"The project's env.py couldn't run, {'to its end; finished revisions stay' if reports else 'so nothing was changed'}."
    return env_failed(error, place, why=why)
