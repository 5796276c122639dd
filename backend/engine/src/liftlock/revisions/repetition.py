"""Runs ``env.py`` again: after a wait for another run, or with a new connection.

A run that has to wait ends ``env.py``, so that it keeps no session, and runs it from its beginning
when the reason to wait is over. Finished revisions are committed, and not run again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from liftlock.execution.memory import RunMemory

RunKey = tuple[str, str]
"""A database, and the name of the version table in it."""


class RunAgain(BaseException):
    """Ends ``env.py``, which is run again after a wait.

    It isn't an ``Exception``, since ``env.py`` may handle those: it is no error.

    Parameters:
        wait: returns when env.py is to be run again; raises a ``LiftlockError`` when it isn't.
    """

    def __init__(self, wait: Callable[[], None]) -> None:
        super().__init__("liftlock ends env.py here, and runs it again")
        self.wait = wait


@dataclass(slots=True)
class RunReport:
    """The result of a run for one version table.

    Parameters:
        version_table: its name, with its schema.
        before, after: the revisions in it.
        ran: the revisions that the run applied or reverted.
    """

    version_table: str
    before: frozenset[str]
    after: frozenset[str] = frozenset()
    ran: list[str] = field(default_factory=list)


class RunHistory:
    """The reports and findings of earlier runs of ``env.py``, for the next one.

    ``has_lost_session`` says whether a session was lost while revisions ran, so that it is unknown
    whether the last commit succeeded.
    """

    def __init__(self) -> None:
        self.has_lost_session = False
        self._memories: dict[RunKey, RunMemory] = {}
        self._earlier: dict[RunKey, RunReport] = {}
        self._kept: dict[RunKey, RunReport] = {}
        self._waiting_since: dict[RunKey, float] = {}

    def memory(self, key: RunKey) -> RunMemory:
        """Return what the attempts at the revisions of a version table have learned."""
        return self._memories.setdefault(key, RunMemory())

    def waiting_since(self, key: RunKey) -> float:
        """Return the monotonic time at which the first wait for another run began."""
        return self._waiting_since.setdefault(key, time.monotonic())

    def end_wait(self, key: RunKey) -> None:
        """Forget the wait for another run: this one has the lock."""
        self._waiting_since.pop(key, None)

    def keep(self, key: RunKey, report: RunReport) -> None:
        """Keep the report of revisions that are committed, for the next run of env.py."""
        self._kept[key] = report

    @property
    def has_changed(self) -> bool:
        """Return whether earlier runs of env.py may have run or reverted a revision."""
        reports = (*self._earlier.values(), *self._kept.values())
        return self.has_lost_session or any(report.ran for report in reports)

    def begin_run(self) -> None:
        """Begin a run of env.py, which continues the reports that are kept."""
        self._earlier |= self._kept
        self._kept = {}

    def continued(self, key: RunKey, report: RunReport) -> RunReport:
        """Return a new report as the continuation of the one of the run before, if any."""
        earlier = self._earlier.pop(key, None)
        if earlier is None:
            return report
        return RunReport(
            report.version_table, earlier.before, report.after, [*earlier.ran, *report.ran]
        )
