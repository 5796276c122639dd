"""Several workers on one backfill: each updates a range of blocks over a session of its own.

They keep no cursor: what is done makes the condition false, so a run that goes on passes over it at the speed of
a read. The backfill itself comes after them, and finds what they left.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import psycopg

from liftlock.postgres import batches
from liftlock.postgres.advisory_lock import MigrationLock
from liftlock.postgres.session import Session, execute

_LOOK_SECONDS = 0.2


class _Worker:
    """Runs statements of a backfill, each in a transaction of its own."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def rows(self, statement: str, parameters: Mapping[str, object]) -> Sequence[Mapping[str, Any]]:
        """The rows of a query."""
        return execute(self._session, statement, parameters).fetchall()

    def count(self, statement: str, parameters: Mapping[str, object]) -> int:
        """How many rows a statement changed.

        Raises:
            batches.RowsLocked: it waited in vain for a row that somebody else has locked.
        """
        try:
            return execute(self._session, statement, parameters).rowcount
        except psycopg.errors.LockNotAvailable as error:
            raise batches.RowsLocked from error


class ParallelBackfill:
    """Workers of one backfill.

    Parameters:
        flight: opens sessions like its own.
        number: how many.
        settings: of the project's connection, on which values depend.
        budget: milliseconds to wait for a locked row.
        seconds: how long a batch is to take.
    """

    def __init__(
        self,
        flight: MigrationLock,
        number: int,
        settings: Mapping[str, str],
        budget: int,
        seconds: float,
    ) -> None:
        self._flight, self._number, self._settings = flight, number, settings
        self._budget, self._seconds = budget, seconds
        self._go, self._stop, self._lock = threading.Event(), threading.Event(), threading.Lock()
        self.rows = 0

    def run(
        self, backfill: batches.BackfillTask, table: str, blocks: int, between: Callable[[], bool]
    ) -> None:
        """Fill one table, or one partition.

        Parameters:
            backfill: what is to be done.
            table: where.
            blocks: how many it has.
            between: is called now and then; whether they may go on. What it raises stops them.
        """
        edges = [blocks * number // self._number for number in range(self._number + 1)]
        ranges = list(itertools.pairwise(edges))
        self._go.set()
        self._stop.clear()
        with ThreadPoolExecutor(self._number, thread_name_prefix="liftlock-backfill") as pool:
            futures = [
                pool.submit(self._work, replace(backfill, table=table), *one) for one in ranges
            ]
            try:
                while not all(future.done() for future in futures):
                    (self._go.set if between() else self._go.clear)()
                    time.sleep(_LOOK_SECONDS)
            finally:
                self._stop.set()
                self._go.set()

    def _work(self, backfill: batches.BackfillTask, start: int, end: int) -> None:
        """Stop at whatever fails: the backfill itself meets it again, and says what it is."""
        with (
            contextlib.suppress(psycopg.Error, batches.RowsLocked),
            contextlib.closing(self._flight.open_session()) as session,
        ):
            for name, value in self._settings.items():
                session.execute("SELECT set_config(%s, %s, false)", [name, value])
            session.execute("SELECT set_config('lock_timeout', %s, false)", [f"{self._budget}ms"])
            for done in batches.fill_blocks(_Worker(session), backfill, start, end, self._seconds):
                with self._lock:
                    self.rows += done
                self._go.wait()
                if self._stop.is_set():
                    return
