"""Runs the project's ``env.py`` unchanged, and takes over the run of its migration context.

That happens at the call of ``context.configure()`` in env.py. The *takeover* of the run says who
runs the revisions: liftlock, or Alembic itself; or that they are only planned.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from types import TracebackType
from typing import Self

from alembic.runtime.environment import EnvironmentContext

from liftlock.events import Notify
from liftlock.model.plan import RevisionPlan
from liftlock.postgres.signals import Signals
from liftlock.revisions import patches
from liftlock.revisions.connections import Connections
from liftlock.revisions.executed_run import ExecutedRun
from liftlock.revisions.observer import StatementObserver
from liftlock.revisions.planned_run import PlannedRun
from liftlock.revisions.project_transaction import CustomSettings
from liftlock.revisions.runner import RunReport
from liftlock.settings import Address, Settings


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
    """Guards one run of ``env.py``; use it as a context manager around Alembic's command.

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
    _run: ExecutedRun | PlannedRun | None = field(init=False)

    def __post_init__(self) -> None:
        """Prepare the run; nothing is patched before the context is entered."""
        self._connections = Connections(self.command, self.redirect, self._session_settings())
        self._run = self._new_run()

    @property
    def reports(self) -> list[RunReport]:
        """A report for each version table of the run."""
        return self._run.reports if self._run is not None else []

    @property
    def plans(self) -> list[RevisionPlan]:
        """The plans of a run that only plans."""
        return self._run.plans if isinstance(self._run, PlannedRun) else []

    def __enter__(self) -> Self:
        """Patch Alembic and SQLAlchemy, and watch the connections of the project."""
        self._stack.enter_context(self._connections.installed())
        self._stack.enter_context(patches.track_explicit_transactions())
        self._stack.enter_context(self._custom.tracked())
        self._stack.enter_context(patches.on_configure(self._attach))
        self._stack.enter_context(_activated(self))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Verify the result, then release the locks and undo the patches."""
        with self._stack:
            if self._run is None:
                return
            with contextlib.closing(self._run):
                if kind is None:
                    self._run.finish()

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
            expected=self.redirect or self.settings.address,
            observer=self.observer,
        )

    def _attach(self, environment: EnvironmentContext) -> None:
        """Take over the run of a migration context that was just configured."""
        context = environment.get_context()
        runs_revisions = environment.context_opts.get("destination_rev") is not None
        online = context.connection is not None and not context.as_sql
        if not runs_revisions or not online or context.dialect.name != "postgresql":
            return
        if self.observer is not None:
            self._stack.enter_context(self.observer.watching(context))
        if self._run is not None:
            patches.run_migrations_by(context, self._run.run)


_active: list[Guard] = []
"""The guards that are entered; Alembic's own environment is as global."""


def active() -> Guard | None:
    """Return the guard that is entered; None outside of a run of liftlock."""
    return _active[-1] if _active else None


@contextlib.contextmanager
def _activated(guard: Guard) -> Iterator[None]:
    _active.append(guard)
    try:
        yield
    finally:
        _active.pop()
