"""Reports the progress of backfills, at most twice a second."""

from __future__ import annotations

import time

from liftlock.events import Event, Notify
from liftlock.postgres.batches import Batch

_INTERVAL_SECONDS = 0.5


class BackfillReport:
    """Sends the events of backfills.

    Parameters:
        notify: receives them.
    """

    def __init__(self, notify: Notify) -> None:
        self._notify = notify
        self._reported = 0.0

    def advanced(self, relation: str, batch: Batch) -> None:
        """Report a batch of a table, unless another one was reported a moment ago."""
        total = batch.cursor.total
        self._advanced(relation, batch.rows, batch.rate, total, last=batch.last)

    def advanced_in_parallel(self, relation: str, rows: int, rate: float, total: float) -> None:
        """Report the rows that several workers have updated together."""
        self._advanced(relation, rows, rate, total, last=False)

    def paused(self, relation: str, reason: str) -> None:
        """Report that the backfill of a table waits."""
        text = f"backfill of {relation}: {reason}"
        self._notify(Event("backfill.paused", text, {"reason": reason}, warning=True))

    def _advanced(self, relation: str, rows: int, rate: float, total: float, *, last: bool) -> None:
        now = time.monotonic()
        if now - self._reported < _INTERVAL_SECONDS and not last:
            return
        self._reported = now
        most = max(total, rows)
        text = f"backfill of {relation}: {rows} rows, {rate:.0f} a second"
        facts = {
            "relation": relation,
            "rows": rows,
            "total": most,
            "rate": round(rate),
            "last": last,
        }
        left = _time_left(rows, rate, most, last=last)
        self._notify(Event("backfill.advanced", text + left, facts))


def _time_left(rows: int, rate: float, total: float, *, last: bool) -> str:
    if last:
        return ", done"
    if not total or not rate:
        return ""
    return f", {100 * rows / total:.0f} %, {(total - rows) / rate:.0f} s left"
