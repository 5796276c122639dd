"""Single flight: of all runs on one database and version table, only one works at a time.

The lock is a session-level advisory lock on a session of its own, in autocommit, and it is polled.
A run that waited inside ``pg_advisory_lock`` would hold a snapshot. ``CREATE INDEX CONCURRENTLY``
of the other run waits for the end of older snapshots, so both would wait for each other.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psycopg

from liftlock.errors import NotNow
from liftlock.events import Event, Notify
from liftlock.postgres.monitor import SessionMonitor
from liftlock.postgres.retry import attempts
from liftlock.postgres.session import Session, connect, query
from liftlock.postgres.signals import Signals
from liftlock.settings import Address

_REPORT_SECONDS = 10.0
_LONGEST_PAUSE = 0.5


class _HeldByAnotherRun(Exception):
    """Another run holds the lock."""


def key_for(version_table: str) -> int:
    """Return the advisory lock's key for a version table; PostgreSQL adds the database.

    Parameters:
        version_table: its name, with its schema if it has one.
    """
    digest = hashlib.sha256(f"liftlock {version_table}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True) >> 1 & 0x7FFF_FFFF_FFFF_FFFF


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


@contextlib.contextmanager
def hold_lock(request: LockRequest, signals: Signals, notify: Notify) -> Iterator[MigrationLock]:
    """Hold the lock in this block; its monitor is called by the thread of the signals.

    Parameters:
        request: which lock, and how long to wait for it.
        signals: end the wait.
        notify: receives an event while another run holds the lock.

    Raises:
        NotNow: another run held the lock until the deadline, or a signal came.
    """
    key = key_for(request.version_table)
    with contextlib.closing(connect(request.address, request.command)) as session:
        _acquire(session, key, request.deadline, signals, notify)
        monitor = SessionMonitor(session, notify, request.cancellable)
        signals.every_tick(lambda: monitor.tick(signals))
        try:
            yield MigrationLock(session, key, request.address, monitor)
        finally:
            signals.no_tick()
            with contextlib.suppress(psycopg.Error):
                query(session, "unlock", key=key)


def _acquire(session: Session, key: int, deadline: float, signals: Signals, notify: Notify) -> None:
    started = time.monotonic()
    reported = started
    try:
        for attempt in attempts(_HeldByAnotherRun, deadline, most=_LONGEST_PAUSE):
            with attempt:
                signals.check()
                if query(session, "try_lock", key=key)[0]["got"]:
                    return
                now = time.monotonic()
                if attempt.number == 1 or now - reported > _REPORT_SECONDS:
                    reported = now
                    notify(_waiting(_holder(session, key), now - started))
                raise _HeldByAnotherRun
    except _HeldByAnotherRun:
        raise NotNow(
            "LL-OTHER-RUN-ACTIVE",
            f"Another run has held the single-flight lock for {deadline:.0f} s:"
            f" {_holder(session, key)}.",
            why="Only one run at a time may change the schema.",
            now="Run again when the other run has ended, or use a longer --deadline.",
        ) from None


def _waiting(holder: str, seconds: float) -> Event:
    facts = {"holder": holder, "seconds": round(seconds, 1)}
    return Event("flight.awaited", f"waiting for another run: {holder}", facts)


def _holder(session: Session, key: int) -> str:
    """Return a description of the session that holds the lock."""
    holders = query(session, "lock_holder", key=key)
    if not holders:
        return "it has just ended"
    holder = holders[0]
    client = holder["client"] or "this machine"
    return (
        f"pid {holder['pid']}, {holder['application_name']!r} from {client},"
        f" since {holder['backend_start']:%H:%M:%S}"
    )
