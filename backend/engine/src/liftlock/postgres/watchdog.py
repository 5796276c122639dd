"""Ends a run whose server doesn't answer any more.

The main thread may wait for a statement for hours, rightly, so its silence means nothing. But the
queries of the monitor take milliseconds. While one of them stays unanswered, so does every other.
"""

from __future__ import annotations

from liftlock.errors import NotNow
from liftlock.postgres.session import Session
from liftlock.postgres.signals import Signals
from liftlock.postgres.ticker import TICK_SECONDS

_SILENT_SECONDS = 12
"""Longer than the TCP settings need to notice a network that fails (``keepalive``)."""


class Watchdog:
    """Looks whether a session's query stays unanswered.

    It counts its own calls instead of reading a clock: a process that was stopped for a minute
    hasn't waited for a minute.

    Parameters:
        session: the session that holds the single-flight lock.
        signals: end the run.
    """

    def __init__(self, session: Session, signals: Signals) -> None:
        self._session = session
        self._signals = signals
        self._ticks = 0

    def tick(self) -> None:
        """Look once; a thread calls this regularly."""
        # psycopg holds this lock during each query
        self._ticks = self._ticks + 1 if self._session.lock.locked() else 0
        if self._ticks * TICK_SECONDS > _SILENT_SECONDS:
            self._signals.abort(
                NotNow(
                    "LL-SERVER-SILENT",
                    f"The server has not answered for {_SILENT_SECONDS} s.",
                    why="The running revision is rolled back when the server notices that this"
                    " process is gone; finished revisions stay.",
                    now="Run the same command again when the server answers.",
                )
            )
