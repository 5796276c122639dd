"""Runs one of Alembic's commands with ``env.py`` under guard: what several commands share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from alembic.util import CommandError

from liftlock.errors import LiftlockError, UnsafeRevision
from liftlock.events import Event, Notify
from liftlock.postgres.signals import Signals
from liftlock.postgres.wait import wait
from liftlock.revisions.failures import env_error
from liftlock.revisions.guard import Guard
from liftlock.revisions.project import Project, load, url_of
from liftlock.revisions.repetition import RunReport
from liftlock.settings import Address, Settings


def prepare(
    settings: Settings,
    x_arguments: Sequence[str],
    interrupts: Signals,
    notify: Notify,
    redirect: Address | None = None,
) -> Project:
    """Load the project; wait for its database where its address is known before env.py runs.

    Raises:
        LiftlockError: the project can't be loaded, or its database can't be used.
    """
    project = load(settings.config, x_arguments)
    address = redirect or settings.address or url_of(project.config)
    if address is not None:
        wait(address, settings.wait, interrupts=interrupts, notify=notify)
    return project


def drive(guard: Guard, project: Project, run: Callable[[], None]) -> list[RunReport]:
    """Run one of Alembic's commands under guard; return a report for each version table.

    Raises:
        LiftlockError: the command failed.
    """
    try:
        guard.run(run)
    except LiftlockError:
        raise
    except CommandError as error:
        raise UnsafeRevision(
            "LL-ALEMBIC-COMMAND",
            f"Alembic refuses the command: {error}",
            now="Compare the database with the files: liftlock status.",
        ) from error
    except Exception as error:
        known = env_error(error, project.script, revisions_finished=bool(guard.reports))
        if known is None:
            raise
        raise known from error
    guard.notify(run_finished(guard.reports))
    return guard.reports


def run_finished(reports: Sequence[RunReport]) -> Event:
    """Return the event that ends a run."""
    ran = [revision for report in reports for revision in report.ran]
    heads = sorted({head for report in reports for head in report.after})
    done = f"{len(ran)} revisions run" if ran else "nothing to do"
    text = f"at {', '.join(heads) or 'base'}: {done}"
    return Event("run.finished", text, {"heads": heads, "ran": ran})
