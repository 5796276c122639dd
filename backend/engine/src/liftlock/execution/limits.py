"""How long a run may last, how long others may wait for it, and who hears of it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from liftlock.events import Event, Notify
from liftlock.postgres.advisory_lock import MigrationLock
from liftlock.postgres.batches import Batch
from liftlock.postgres.signals import Signals
from liftlock.postgres.standbys import Standbys

_SHOWN_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class BackfillThrottle:
    """How fast a backfill may be.

    Parameters:
        share: of the time, from 0 to 1.
        lag: seconds that a replica may be behind.
        workers: how many at once.
    """

    share: float
    lag: float
    workers: int


@dataclass(slots=True)
class RunLimits:
    """The rules of a run.

    Parameters:
        deadline: seconds without any progress, after which a run that gets no lock gives up.
        budget: the stall budget, milliseconds.
        small_table_bytes: bytes up to which a table is small.
        allowed: codes that the operator allows.
        throttle: of backfills.
        signals: signals.
        lock: the single-flight lock.
        standbys: whose long queries are named before a strong lock.
        notify: is told what happens.
        isolate_statements: commit before each raw statement, so that an observer sees its locks alone.
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
    _shown: float = 0.0

    @property
    def batch_seconds(self) -> float:
        """How long one batch of a backfill is to take: the application waits for its rows, so half of the stall budget."""
        return self.budget / 2000

    def check(self) -> None:
        """Stop when a signal came or the lock is lost.

        Raises:
            NotNow: so it is.
        """
        self.signals.check()
        self.lock.check()

    def report_progress(self, relation: str, batch: Batch) -> None:
        """Tell of a backfill now and then."""
        now = time.monotonic()
        if now - self._shown < _SHOWN_SECONDS and not batch.last:
            return
        self._shown = now
        total, left = max(batch.cursor.total, batch.rows), ""
        if batch.last:
            left = ", done"
        elif total and batch.rate:
            left = f", {100 * batch.rows / total:.0f} %, {(total - batch.rows) / batch.rate:.0f} s left"
        text = f"backfill of {relation}: {batch.rows} rows, {batch.rate:.0f} a second{left}"
        facts = {
            "relation": relation,
            "rows": batch.rows,
            "total": total,
            "rate": round(batch.rate),
            "last": batch.last,
        }
        self.notify(Event("backfill.advanced", text, facts))
