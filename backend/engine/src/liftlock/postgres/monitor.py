"""Watches the working session, which runs the revision, from a second session.

A session that waits for a lock can neither tell who blocks it nor notice a signal. The session that
holds the single-flight lock can: it is idle otherwise.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import psycopg

from liftlock.events import Event, Notify
from liftlock.postgres.queries import LEDGER
from liftlock.postgres.session import Session, query
from liftlock.postgres.signals import Signals

Blocker = dict[str, Any]
"""A row of the query ``blockers``: a session, or a prepared transaction, that blocks another."""

_REPORT_SECONDS = 5.0
"""Between two reports of the blockers and of the progress of an index."""

_GRACE_SECONDS = 0.02
"""After the beginning of a watch; most statements end within it, and cost no query then."""

_POLL_SECONDS = 0.02


class SessionMonitor:
    """Observes and cancels the working session, and answers questions about it.

    Two threads use a monitor. The thread of ``Signals`` calls ``tick`` every 50 ms. The main thread
    calls everything else, most of it while ``tick`` runs. Attributes that both use are read and
    written under ``_guard``, which is never held during a query. Psycopg serializes the queries of
    both threads on the session.

    Parameters:
        session: the session that holds the single-flight lock.
        notify: receives events.
        cancellable: application names, with wildcards, of sessions that may be cancelled if they
            block the working session.
    """

    def __init__(self, session: Session, notify: Notify, cancellable: Sequence[str] = ()) -> None:
        self._session = session
        self._notify = notify
        self._cancellable = cancellable
        self._guard = threading.Lock()
        self._pid: int | None = None
        self._started = 0.0
        self._reported = 0.0
        self._patience = 0.0
        self._blocked_since: float | None = None
        self._gave_up = False
        self._cleaning_up = False
        self._blockers: list[Blocker] = []
        self._rows_only = False
        self._statement = 0
        self._locks: list[dict[str, Any]] = []
        self._had_waiters = False
        self._failure: psycopg.Error | None = None

    # The main thread begins and ends observations.

    @contextlib.contextmanager
    def watch(self, pid: int, *, patience: float) -> Iterator[None]:
        """Observe the working session in this block. The main thread calls it for each attempt.

        Parameters:
            pid: the process ID of the working session's backend.
            patience: seconds after which a statement that is blocked all the time is cancelled.
        """
        with self._guard:
            self._started = self._reported = time.monotonic()
            self._patience = patience
            self._blocked_since = None
            self._gave_up = False
            self._rows_only = False
            self._pid = pid
        try:
            yield
        finally:
            with self._guard:
                self._pid = None

    @contextlib.contextmanager
    def observe_locks(self, *, rows_only: bool) -> Iterator[None]:
        """Record the table locks of the statement in this block.

        The main thread calls it for each statement whose locks can't be known before. Afterwards
        ``lock_report`` returns what was recorded.

        Parameters:
            rows_only: whether to cancel the statement as soon as it holds, or waits for, a table
                lock that is stronger than those of row changes.
        """
        with self._guard:
            self._statement += 1
            self._locks = []
            self._rows_only = rows_only
        try:
            yield
        finally:
            with self._guard:
                self._rows_only = False

    @contextlib.contextmanager
    def cleanup(self) -> Iterator[None]:
        """Cancel no statement in this block, although a signal came or the deadline has passed."""
        with self._guard:
            self._cleaning_up = True
        try:
            yield
        finally:
            with self._guard:
                self._cleaning_up = False

    def forget_blockers(self) -> None:
        """Forget the blockers of the last attempt. The main thread calls it before the next."""
        with self._guard:
            self._blockers = []

    # The main thread reads the observations.

    @property
    def gave_up(self) -> bool:
        """True after ``tick`` has cancelled a statement that was blocked for too long."""
        with self._guard:
            return self._gave_up

    @property
    def failure(self) -> psycopg.Error | None:
        """The error that ended the observation, as when the session is gone."""
        with self._guard:
            return self._failure

    def record_failure(self, error: psycopg.Error) -> None:
        """End the observation: the session doesn't answer any more. Both threads call it."""
        with self._guard:
            self._failure = error

    def blockers(self) -> list[Blocker]:
        """Return the sessions that blocked the working session last, for events."""
        with self._guard:
            return list(self._blockers)

    def blocker_lines(self) -> list[str]:
        """Return a line for each session that blocked the working session last, for people."""
        return [describe_session(blocker) for blocker in self.blockers()]

    def maintained_tables(self) -> tuple[str, ...]:
        """Return the tables on which blockers run maintenance such as VACUUM, each once."""
        tables = (table for blocker in self.blockers() for table in blocker["maintains"])
        return tuple(dict.fromkeys(tables))

    def lock_report(self) -> str:
        """Return the table locks recorded by ``observe_locks``, such as ``item (ShareLock)``.

        Locks of row changes are not among them. The text is empty if there are no others.
        """
        with self._guard:
            locks = list(self._locks)
        return ", ".join(sorted({f"{lock['relation']} ({lock['mode']})" for lock in locks}))

    def had_waiters(self) -> bool:
        """Return whether any session waited for the working session since the last call."""
        with self._guard:
            had_waiters = self._had_waiters
            self._had_waiters = False
        return had_waiters

    # The main thread asks the server.

    def table_locks(self) -> list[dict[str, Any]]:
        """Return the table locks that the working session holds or waits for now.

        Locks of row changes are not among them. There are none outside ``watch``.
        """
        with self._guard:
            pid = self._pid
        return [] if pid is None else query(self._session, "table_locks", pid=pid)

    def visible_to_others(self, kind: str, whose: str, part: str) -> bool:
        """Return whether other sessions see an object; also True if its kind is unknown.

        The monitor's session sees neither what the working session has created nor what it has
        dropped since its last commit. The object may be in any schema.

        Parameters:
            kind: the kind in SQL's words, such as ``VIEW``, ``COLUMN`` or ``DEFAULT``.
            whose: the object's name, or its table's.
            part: the name of a part of the table, such as a column or a trigger.
        """
        rows = query(self._session, "visible_to_others", kind=kind, whose=whose, part=part)
        return bool(rows[0]["seen"])

    def snapshots(self) -> list[Blocker]:
        """Return the transactions of other sessions that hold a snapshot, with their ``xmin``."""
        with self._guard:
            pid = self._pid
        return query(self._session, "snapshots", pid=pid or 0)

    def requested_state(self, execution: int | None) -> str:
        """Return what ``liftlock backfill`` requests of a revision: ``run``, ``pause``, ``cancel``.

        Parameters:
            execution: the revision's row in the ledger.
        """
        rows = query(self._session, "wish", LEDGER, execution=execution)
        return str(rows[0]["wish"]) if rows else "run"

    def replica_lag(self) -> float:
        """Return the replay lag of the slowest replica in seconds, 0 if the role may not see it."""
        return float(query(self._session, "replica_lag")[0]["seconds"])

    def wait_for_blockers(self, seconds: float) -> None:
        """Wait until the transactions that blocked the last attempt are over.

        An attempt before that would be in vain. Others may block it, though.

        Parameters:
            seconds: how long to wait at most.
        """
        open_ = [blocker for blocker in self.blockers() if blocker["xact_start"]]
        pids = [blocker["pid"] for blocker in open_]
        starts = [blocker["xact_start"] for blocker in open_]
        end = time.monotonic() + seconds
        while pids and time.monotonic() < end:
            if not query(self._session, "still_open", pids=pids, starts=starts):
                return
            time.sleep(_POLL_SECONDS)

    def cancel_blockers(self) -> None:
        """End the transactions of blockers that the operator allows to be cancelled.

        The main thread calls it after a lock timeout, and ``tick`` while a statement waits.
        """
        for blocker in self.blockers():
            if self._is_cancellable(blocker):
                self._cancel_blocker(blocker)

    def _is_cancellable(self, blocker: Blocker) -> bool:
        """Return whether a blocker is a session with a known transaction and a permitted name."""
        if not blocker["pid"] or blocker["xact_start"] is None:
            return False
        name = str(blocker["application_name"])
        return any(fnmatchcase(name, pattern) for pattern in self._cancellable)

    def _cancel_blocker(self, blocker: Blocker) -> None:
        transaction = {"pid": blocker["pid"], "xact_start": blocker["xact_start"]}
        try:
            if not query(self._session, "cancel_blocker", **transaction):
                return  # its transaction is over
            text = f"cancelled {describe_session(blocker)}"
        except psycopg.errors.InsufficientPrivilege:
            text = (
                f"may not cancel {describe_session(blocker)}:"
                " this needs the same role, or membership in pg_signal_backend"
            )
        self._notify(Event("blocker.cancelled", text, {"blocker": blocker}, warning=True))

    # The thread of the signals observes.

    def tick(self, signals: Signals) -> None:
        """Cancel the working session's statement after a signal; else observe the session.

        The thread of ``Signals`` calls it. A failure of the session is recorded, not raised.
        """
        with self._guard:
            pid = self._pid
            watched_seconds = time.monotonic() - self._started
            off = self._failure is not None or self._cleaning_up
        if pid is None or off:
            return
        try:
            if signals.stopped:
                self._cancel(pid)
            elif watched_seconds > _GRACE_SECONDS:
                self._observe_blockers(pid)
                self._observe_table_locks(pid)
                self._observe_waiters(pid)
                self._report(pid)
        except psycopg.Error as error:
            self.record_failure(error)

    def _observe_blockers(self, pid: int) -> None:
        blockers = query(self._session, "blockers", pid=pid)
        now = time.monotonic()
        with self._guard:
            if not blockers:
                self._blocked_since = None
                return
            self._blockers = blockers
            if self._blocked_since is None:
                self._blocked_since = now
            if now - self._blocked_since <= self._patience:
                return
            self._gave_up = True
        self._cancel(pid)

    def _observe_table_locks(self, pid: int) -> None:
        with self._guard:
            statement = self._statement
        locks = query(self._session, "table_locks", pid=pid)
        if not locks:
            return
        with self._guard:
            if statement != self._statement:
                return  # these are locks of a statement that has ended since
            self._locks = locks
            rows_only = self._rows_only
        if rows_only:
            self._cancel(pid)

    def _observe_waiters(self, pid: int) -> None:
        with self._guard:
            if self._had_waiters:
                return
        if query(self._session, "waiters", pid=pid):
            with self._guard:
                self._had_waiters = True

    def _report(self, pid: int) -> None:
        """Report, every five seconds, the blockers and the progress of an index."""
        now = time.monotonic()
        with self._guard:
            if now - self._reported < _REPORT_SECONDS:
                return
            self._reported = now
        blockers = query(self._session, "blockers", pid=pid)
        if blockers:
            text = "waiting for " + "; ".join(describe_session(blocker) for blocker in blockers)
            self._notify(Event("lock.awaited", text, {"blockers": blockers}, warning=True))
            self.cancel_blockers()
        for index in query(self._session, "index_progress", pid=pid):
            text = (
                f"building an index on {index['relation']}: {index['phase']}, {index['percent']} %"
            )
            self._notify(Event("step.advanced", text, dict(index)))

    def _cancel(self, pid: int) -> None:
        query(self._session, "cancel", pid=pid)


def describe_session(row: Mapping[str, Any]) -> str:
    """Return one line about a session of the queries ``blockers`` and ``long_queries``."""
    statement = " ".join((row["query"] or "").split())[:120]
    name = row["application_name"] or row["usename"] or row["backend_type"] or "unnamed"
    pid = f"pid {row['pid']}" if row["pid"] else "no session"
    state = row["state"] or "hidden"
    return f"{pid}, {name!r}, {state} for {row['seconds'] or 0:.0f} s: {statement}"
