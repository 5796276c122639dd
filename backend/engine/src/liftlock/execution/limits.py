"""The limits of a run: how long it may last, and how long it may make others wait."""

from __future__ import annotations

from dataclasses import dataclass

from liftlock.events import Notify
from liftlock.postgres.advisory_lock import MigrationLock
from liftlock.postgres.signals import Signals
from liftlock.postgres.standbys import Standbys


@dataclass(frozen=True, slots=True)
class BackfillThrottle:
    """The speed that a backfill may have.

    Parameters:
        share: the share of the time that it may use, from 0 to 1.
        lag: the most seconds that a replica may lag.
        workers: how many sessions update rows at once.
    """

    share: float
    lag: float
    workers: int


@dataclass(frozen=True, slots=True)
class RunLimits:
    """The limits of a run, and the parts of it that every statement needs.

    Parameters:
        deadline: seconds without progress after which a run that gets no lock gives up.
        budget: the stall budget, in milliseconds.
        small_table_bytes: the size up to which a table is small.
        allowed: codes that the operator allows.
        throttle: of backfills.
        signals: SIGTERM and SIGINT.
        lock: the single-flight lock.
        standbys: reports the long queries of standbys before a strong lock.
        notify: receives the events of the run.
        isolate_statements: commit before each raw statement, so that an observer sees its locks
            alone.
    """

    deadline: float
    budget: int
    small_table_bytes: int
    allowed: frozenset[str]
    throttle: BackfillThrottle
    signals: Signals
    lock: MigrationLock
    standbys: Standbys
    notify: Notify
    isolate_statements: bool = False

    @property
    def batch_seconds(self) -> float:
        """Seconds that a batch of a backfill takes: half of the stall budget.

        The application waits as long for a row of the batch.
        """
        return self.budget / 2000

    def check(self) -> None:
        """Stop the run after a signal, or when single flight is lost.

        Raises:
            NotNow: a signal came, or the session that holds the single-flight lock is gone.
        """
        self.signals.check()
        self.lock.check()
