"""Runs the project's ``env.py`` unchanged, and takes over the run of its migration context.

That happens at the call of ``context.configure()`` in env.py. The *takeover* of the run says who
runs the revisions: liftlock, or Alembic itself; or that they are only planned.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum

import psycopg
from alembic.runtime.environment import EnvironmentContext
from sqlalchemy.exc import DBAPIError

from liftlock.errors import StepFailed
from liftlock.events import Notify
from liftlock.model.plan import RevisionPlan
from liftlock.postgres.probe import is_connection_refused, refused
from liftlock.postgres.signals import Signals
from liftlock.postgres.wait import wait
from liftlock.revisions import patches
from liftlock.revisions.connections import Connections
from liftlock.revisions.executed_run import ExecutedRun
from liftlock.revisions.observer import StatementObserver
from liftlock.revisions.planned_run import PlannedRun
from liftlock.revisions.project_transaction import CustomSettings
from liftlock.revisions.repetition import RunAgain, RunHistory, RunReport
from liftlock.settings import Address, Settings

_RELATIVE = re.compile(r"(^|@)[+-]\d+$")
"""A target that is counted from the present revision, such as ``-1`` or ``branch@+2``."""
_REFUSED_SECONDS = 0.5
"""Before env.py asks for a connection again."""


class Takeover(Enum):
    """The program that runs the revisions of a migration context.

    Members:
        EXECUTE: liftlock.
        PLAN: none; their operations are only collected.
        NONE: Alembic.
    """

    EXECUTE = "execute"
    PLAN = "plan"
    NONE = "none"


@dataclass(slots=True)
class Guard:
    """Guards the runs of ``env.py`` for one of Alembic's commands.

    Parameters:
        settings: the settings of liftlock.
        command: the command, for the ledger and for other runners.
        signals: SIGTERM and SIGINT; entered by the caller.
        notify: receives the events of the run.
        redirect: the address of all connections, wherever env.py connects to.
        takeover: who runs the revisions.
        read_only: make every session read only.
        observer: observes the statements that are sent.
    """

    settings: Settings
    command: str
    signals: Signals
    notify: Notify
    redirect: Address | None = None
    takeover: Takeover = Takeover.EXECUTE
    read_only: bool = False
    observer: StatementObserver | None = None
    _connections: Connections = field(init=False)
    _stack: contextlib.ExitStack = field(init=False, default_factory=contextlib.ExitStack)
    _custom: CustomSettings = field(init=False, default_factory=CustomSettings)
    _target: str = field(init=False, default="")
    _history: RunHistory = field(init=False, default_factory=RunHistory)
    _run: ExecutedRun | PlannedRun | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Prepare the run; nothing is patched before it begins."""
        self._connections = Connections(self.command, self.redirect, self._session_settings())

    @property
    def reports(self) -> list[RunReport]:
        """A report for each version table of the run."""
        return self._run.reports if self._run is not None else []

    @property
    def plans(self) -> list[RevisionPlan]:
        """The plans of a run that only plans."""
        return self._run.plans if isinstance(self._run, PlannedRun) else []

    def run(self, run_env: Callable[[], None]) -> None:
        """Call a function that runs env.py; call it again when env.py ended in order to wait.

        A server that has no connection to spare for env.py is waited for, too.

        Raises:
            LiftlockError: the run failed, or waited until its deadline.
            Exception: env.py raised it.
        """
        refused_at: float | None = None
        while True:
            try:
                with self._guarding():
                    run_env()
            except RunAgain as again:
                self._require_absolute_target()
                again.wait()
                refused_at = None
            except (DBAPIError, psycopg.Error) as error:
                if not is_connection_refused(error):
                    raise
                self._require_absolute_target()
                refused_at = refused_at or time.monotonic()
                self._wait_for_connection(error, time.monotonic() - refused_at)
            else:
                return

    def _require_absolute_target(self) -> None:
        """Refuse to run env.py again for a target that would mean another revision by now.

        Raises:
            StepFailed: the target is relative to the present revision, which the run has changed.
        """
        if _RELATIVE.search(self._target) and self._history.has_changed:
            raise StepFailed(
                "LL-RELATIVE-TARGET",
                f"The run has to begin again, and its target {self._target} is relative.",
                why="The present revision isn't the one from which the target was counted. Finished"
                " revisions stay.",
                now="See which revision the database is at, and name the one that it should have:\n"
                "  liftlock status",
            )

    def _wait_for_connection(self, error: Exception, waited: float) -> None:
        """Return when the server may have a connection for env.py.

        Parameters:
            error: the refusal.
            waited: the seconds since the first one.

        Raises:
            NotNow: the server has refused connections for too long, or a signal came.
        """
        address = self._connections.last_address
        if address is None or waited > self.settings.wait:
            raise refused(error, waited) from error
        self.signals.sleep(_REFUSED_SECONDS)
        left = self.settings.wait - waited
        wait(address, left, interrupts=self.signals, notify=self.notify, writable=False)

    @contextlib.contextmanager
    def _guarding(self) -> Iterator[None]:
        """Take over the runs of migration contexts; verify the result at the end.

        Raises:
            RunAgain: env.py is to be run again, also where it has handled that exception itself.
        """
        with contextlib.ExitStack() as self._stack:
            for context in (
                self._connections.installed(),
                patches.track_explicit_transactions(),
                self._custom.tracked(),
                patches.on_configure(self._attach),
                _activated(self),
            ):
                self._stack.enter_context(context)
            self._history.begin_run()
            self._run = run = self._new_run()
            if run is not None:
                self._stack.callback(run.close)
            try:
                yield
            except BaseException:
                _raise_postponed(run)
                raise
            _raise_postponed(run)
            if run is not None:
                run.finish()

    def _session_settings(self) -> dict[str, str]:
        settings = {}
        if self.observer is not None:
            settings["client_min_messages"] = "debug1"  # reports table rewrites and scans
        if self.read_only:
            settings["default_transaction_read_only"] = "on"
        return settings

    def _new_run(self) -> ExecutedRun | PlannedRun | None:
        if self.takeover is Takeover.NONE:
            return None
        if self.takeover is Takeover.PLAN:
            return PlannedRun(self.settings, self._custom)
        return ExecutedRun(
            self.settings,
            self.command,
            self.signals,
            self.notify,
            self._connections,
            self._custom,
            self._history,
            expected=self.redirect or self.settings.address,
            observer=self.observer,
        )

    def _attach(self, environment: EnvironmentContext) -> None:
        """Take over the run of a migration context that was just configured."""
        context = environment.get_context()
        runs_revisions = environment.context_opts.get("destination_rev") is not None
        self._target = str(environment.context_opts.get("destination_rev"))
        online = context.connection is not None and not context.as_sql
        if not runs_revisions or not online or context.dialect.name != "postgresql":
            return
        if self.observer is not None:
            self._stack.enter_context(self.observer.watching(context))
        if self._run is not None:
            patches.run_migrations_by(context, self._run.run)


def _raise_postponed(run: ExecutedRun | PlannedRun | None) -> None:
    if isinstance(run, ExecutedRun) and run.postponed is not None:
        raise run.postponed


_active: list[Guard] = []
"""The guards that run env.py; Alembic's own environment is as global."""


def active() -> Guard | None:
    """Return the guard that runs env.py; None outside of a run of liftlock."""
    return _active[-1] if _active else None


@contextlib.contextmanager
def _activated(guard: Guard) -> Iterator[None]:
    _active.append(guard)
    try:
        yield
    finally:
        _active.pop()
