"""Several workers on one backfill, each with a session of its own and a range of blocks.

They keep no cursor: the update makes its condition false, so a resumed run passes over the updated
rows at the speed of a read. The backfill itself runs after them, and finds the rows that they left.
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
from liftlock.postgres.queries import QUERIES
from liftlock.postgres.session import Session, execute

_INTERVAL_SECONDS = 0.2


class _Worker:
    """Runs the statements of a backfill over a session in autocommit."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def rows(self, statement: str, parameters: Mapping[str, object]) -> Sequence[Mapping[str, Any]]:
        """Return the rows of a query."""
        return execute(self._session, statement, parameters).fetchall()

    def count(self, statement: str, parameters: Mapping[str, object]) -> int:
        """Return how many rows a statement changed.

        Raises:
            batches.RowsLocked: a row stayed locked by another session until the lock timeout.
        """
        try:
            return execute(self._session, statement, parameters).rowcount
        except psycopg.errors.LockNotAvailable as error:
            raise batches.RowsLocked from error


class ParallelBackfill:
    """The workers of one backfill.

    Parameters:
        lock: opens sessions to the database.
        workers: how many there are.
        settings: settings of the project's connection on which values depend, such as TimeZone.
        budget: the stall budget, in milliseconds: the longest wait for a locked row.
        seconds: the time that a batch takes.
    """

    def __init__(
        self,
        lock: MigrationLock,
        workers: int,
        settings: Mapping[str, str],
        budget: int,
        seconds: float,
    ) -> None:
        self._lock = lock
        self._workers = workers
        self._settings = {**settings, "lock_timeout": f"{budget}ms"}
        self._seconds = seconds
        self._go = threading.Event()
        self._stop = threading.Event()
        self._count_lock = threading.Lock()
        self._rows = 0

    @property
    def rows(self) -> int:
        """The number of rows that the workers have updated."""
        return self._rows

    def run(
        self,
        task: batches.BackfillTask,
        table: str,
        blocks: int,
        may_continue: Callable[[], bool],
    ) -> None:
        """Update one table or partition, and return when all workers are done.

        Parameters:
            task: the update.
            table: the table or partition, as SQL text.
            blocks: the number of its blocks.
            may_continue: is called every 0.2 s and tells whether the workers may go on. An error
                that it raises stops them.
        """
        edges = [blocks * number // self._workers for number in range(self._workers + 1)]
        self._go.set()
        self._stop.clear()
        with ThreadPoolExecutor(self._workers, thread_name_prefix="liftlock-backfill") as pool:
            futures = [
                pool.submit(self._update_blocks, replace(task, table=table), start, end)
                for start, end in itertools.pairwise(edges)
            ]
            try:
                while not all(future.done() for future in futures):
                    self._let_go(go=may_continue())
                    time.sleep(_INTERVAL_SECONDS)
            finally:
                self._stop.set()
                self._go.set()

    def _let_go(self, *, go: bool) -> None:
        if go:
            self._go.set()
        else:
            self._go.clear()

    def _update_blocks(self, task: batches.BackfillTask, start: int, end: int) -> None:
        """Update a range of blocks; stop at any error, which the backfill itself meets again."""
        with (
            contextlib.suppress(psycopg.Error, batches.RowsLocked),
            contextlib.closing(self._lock.open_session()) as session,
        ):
            for name, value in self._settings.items():
                setting = {"name": name, "value": value, "local": False}
                execute(session, QUERIES["set"], setting)
            for rows in batches.fill_blocks(_Worker(session), task, start, end, self._seconds):
                with self._count_lock:
                    self._rows += rows
                self._go.wait()
                if self._stop.is_set():
                    return
