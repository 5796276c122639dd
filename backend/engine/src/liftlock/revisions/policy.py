"""How long a run may last, how long others may wait for it, and who hears of it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from liftlock.events import Event, Notify
from liftlock.postgres.batches import Batch
from liftlock.postgres.flight import Flight
from liftlock.postgres.interrupts import Interrupts

_SHOWN_SECONDS = 5.0


@dataclass(slots=True)
class Policy:
    """The rules of a run.

    Parameters:
        deadline: seconds without any progress, after which a run that gets no lock gives up.
        budget: the stall budget, milliseconds.
        small: bytes up to which a table is small.
        allowed: codes that the operator allows.
        interrupts: signals.
        flight: the single-flight lock.
        notify: is told what happens.
    """

    deadline: float
    budget: int
    small: int
    allowed: frozenset[str]
    interrupts: Interrupts
    flight: Flight
    notify: Notify
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
        self.interrupts.check()
        self.flight.check()

    def advanced(self, relation: str, batch: Batch) -> None:
        """Tell of a backfill now and then."""
        now = time.monotonic()
        if now - self._shown < _SHOWN_SECONDS and not batch.last:
            return
        self._shown = now
        text = f"backfill of {relation}: {batch.rows} rows, {batch.rate:.0f} a second" + (", done" if batch.last else "")
        self.notify(Event("backfill.advanced", text, {"relation": relation, "rows": batch.rows, "rate": round(batch.rate)}))
