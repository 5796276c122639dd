"""Single flight: of all runs on one database and version table, only one works at a time.

The lock is a session-level advisory lock on a session of its own, in autocommit. A run that finds
it taken gives up all its sessions and looks again later. One that waited inside
``pg_advisory_lock`` would keep a session, and a snapshot, for whose end ``CREATE INDEX
CONCURRENTLY`` of the other run waits.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from liftlock.errors import LiftlockError, NotNow
from liftlock.events import Event, Notify
from liftlock.postgres.monitor import SessionMonitor
from liftlock.postgres.probe import ProbeResult, diagnose, reason_of
from liftlock.postgres.retry import attempts
from liftlock.postgres.session import Session, connect, query
from liftlock.postgres.signals import Signals
from liftlock.postgres.ticker import Ticker
from liftlock.postgres.watchdog import Watchdog
from liftlock.settings import Address

_REPORT_SECONDS = 10.0
_LONGEST_PAUSE = 5.0


class _LockAwaited(Exception):
    """Another run holds the lock, or the server can't be asked who does.

    Parameters:
        reason: one line for people.
        error: the error at the deadline.
    """

    def __init__(self, reason: str, error: LiftlockError) -> None:
        super().__init__(reason)
        self.reason = reason
        self.error = error


def key_for(version_table: str) -> int:
    """Return the advisory lock's key for a version table; PostgreSQL adds the database.

    Parameters:
        version_table: its name, with its schema if it has one.
    """
    digest = hashlib.sha256(f"liftlock {version_table}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True) >> 1 & 0x7FFF_FFFF_FFFF_FFFF


def claim_key(version_table: str) -> int:
    """Return the key of the advisory lock of a run that is about to ask for the lock."""
    return key_for(version_table) ^ 2


@dataclass(frozen=True, slots=True)
class LockRequest:
    """A request for the lock of a database and version table.

    Parameters:
        address: the database.
        version_table: the version table, with its schema if it has one.
        command: what the lock is held for; other runs see it.
        deadline: seconds to wait for other runs.
        cancellable: application names, with wildcards, of sessions that may be cancelled if they
            block the working session.
    """

    address: Address
    version_table: str
    command: str
    deadline: float
    cancellable: Sequence[str] = ()


class MigrationLock:
    """The single-flight lock while it is held, and the session that holds it.

    Parameters:
        session: the session that holds the lock.
        key: the key of the advisory lock.
        address: the database.
        monitor: watches the working session from the same session.

    ``pid`` is the process ID of the session's backend.
    """

    def __init__(
        self, session: Session, key: int, address: Address, monitor: SessionMonitor
    ) -> None:
        self.session = session
        self.key = key
        self.address = address
        self.monitor = monitor
        self.pid = session.info.backend_pid
        self._role = ""

    def assume_role(self, role: str) -> None:
        """Take the role that the project's connection works in; it is given as SQL text."""
        self._role = role
        self.session.execute(f"SET ROLE {role}".encode())

    def open_session(self) -> Session:
        """Open another session to the same database, in the same role.

        Raises:
            psycopg.OperationalError: the server refuses the connection.
        """
        session = connect(self.address, "backfill")
        if self._role:
            session.execute(f"SET ROLE {self._role}".encode())
        return session

    def check(self) -> None:
        """Make sure that this run still holds the lock, before anything is committed.

        Raises:
            NotNow: the session is gone, so another run may have taken the lock.
        """
        if self.monitor.failure is None:
            try:
                holders = query(self.session, "lock_holder", key=self.key)
            except psycopg.Error as error:
                self.monitor.record_failure(error)
            else:
                if any(holder["pid"] == self.pid for holder in holders):
                    return
        raise NotNow(
            "LL-SINGLE-FLIGHT-LOST",
            "The session that held the single-flight lock is gone.",
            why="Another run may have taken the lock, so this one commits nothing more.",
            now="Run the same command again.",
        ) from self.monitor.failure


class LockHeldError(Exception):
    """Another run holds the lock."""


@contextlib.contextmanager
def hold_lock(request: LockRequest, signals: Signals, notify: Notify) -> Iterator[MigrationLock]:
    """Hold the lock in this block; a thread calls its monitor.

    Parameters:
        request: which lock.
        signals: the monitor cancels the working session's statement after one.
        notify: receives the events of the monitor.

    Raises:
        LockHeldError: another run holds the lock; see ``wait_for_lock``.
        psycopg.OperationalError: the server refuses the connection.
    """
    key = key_for(request.version_table)
    with contextlib.closing(connect(request.address, request.command)) as session:
        if not query(session, "try_lock", key=key)[0]["got"]:
            raise LockHeldError
        monitor = SessionMonitor(session, notify, request.cancellable)
        watchdog = Watchdog(session, signals)
        try:
            with (
                Ticker(lambda: monitor.tick(signals), "liftlock-monitor"),
                Ticker(watchdog.tick, "liftlock-watchdog"),
            ):
                yield MigrationLock(session, key, request.address, monitor)
        finally:
            with contextlib.suppress(psycopg.Error):
                query(session, "unlock", key=key)


def wait_for_lock(request: LockRequest, started: float, signals: Signals, notify: Notify) -> None:
    """Return when no run holds the lock; another one may take it right after.

    A waiting run has no session between two looks at the lock, so any number of them costs the
    server little: the pauses grow to five seconds. A refused connection is a reason to wait, too.

    Parameters:
        request: which lock, and how long to wait for it.
        started: the monotonic time at which the wait began.
        signals: end the wait.
        notify: receives an event at once and every ten seconds.

    Raises:
        NotNow: another run held the lock until the deadline, or a signal came.
        SettingsError: the database can't be used any more, as when the password was changed.
    """
    reported = 0.0
    left = max(request.deadline - (time.monotonic() - started), 0)
    try:
        for attempt in attempts(_LockAwaited, left, most=_LONGEST_PAUSE, sleep=signals.sleep):
            with attempt:
                signals.check()
                awaited = _look_at_lock(request)
                if awaited is None:
                    return
                now = time.monotonic()
                if attempt.number == 1 or now - reported > _REPORT_SECONDS:
                    reported = now
                    notify(_waiting(awaited.reason, now - started))
                raise awaited
    except _LockAwaited as awaited:
        raise awaited.error from None


def _look_at_lock(request: LockRequest) -> _LockAwaited | None:
    """Return the reason to wait; None if no session holds the lock.

    Raises:
        LiftlockError: the database can't be used, for a reason that waiting doesn't resolve.
    """
    try:
        with contextlib.closing(connect(request.address, request.command)) as session:
            keys = (key_for(request.version_table), claim_key(request.version_table))
            holders = [row for key in keys for row in query(session, "lock_holder", key=key)]
    except psycopg.OperationalError as error:
        result = ProbeResult(diagnose(error), request.address, reason_of(error))
        if not result.trouble.passes:
            raise result.error() from error
        return _LockAwaited(result.text, result.error(waited=request.deadline))
    if not holders:
        return None
    holder = _describe_holder(holders[0])
    return _LockAwaited(f"another run: {holder}", _other_run_active(request, holder))


def _other_run_active(request: LockRequest, holder: str) -> NotNow:
    return NotNow(
        "LL-OTHER-RUN-ACTIVE",
        f"Another run has held the single-flight lock for {request.deadline:.0f} s: {holder}.",
        why="Only one run at a time may change the schema.",
        now="Run again when the other run has ended, or use a longer --deadline.",
    )


def _waiting(reason: str, seconds: float) -> Event:
    facts = {"holder": reason, "seconds": round(seconds, 1)}
    return Event("flight.awaited", f"waiting for {reason}", facts)


def _describe_holder(holder: Mapping[str, Any]) -> str:
    client = holder["client"] or "this machine"
    began = holder["backend_start"]  # hidden if the session has another role
    since = f", since {began:%H:%M:%S}" if began is not None else ""
    return f"pid {holder['pid']}, {holder['application_name']!r} from {client}{since}"
