"""Single flight: of all runners on one database and version table, one works.

The lock is an advisory lock on a session of its own, in autocommit, and it is polled. A runner that
waited inside ``pg_advisory_lock`` would hold a snapshot, and ``CREATE INDEX CONCURRENTLY`` waits for
snapshots: the two would deadlock.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import psycopg

from liftlock.errors import NotNow
from liftlock.events import Event, Notify
from liftlock.postgres.queries import LEDGER
from liftlock.postgres.retry import attempts
from liftlock.postgres.session import Session, connect, query
from liftlock.postgres.signals import Signals
from liftlock.settings import Address

_REPEAT_SECONDS = 10.0


class _HeldByAnotherRun(Exception):
    """Another runner holds the lock."""


def key_for(version_table: str) -> int:
    """The advisory lock's key for a version table; the database is part of the lock by itself.

    Parameters:
        version_table: its name, with its schema where it has one.
    """
    digest = hashlib.sha256(f"liftlock {version_table}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True) >> 1 & 0x7FFF_FFFF_FFFF_FFFF


class MigrationLock:
    """The lock, held; and the session that holds it, which also watches the working one.

    While ``rows_only`` is set, a statement there that asks for more than locks of rows is cancelled.
    """

    def __init__(
        self,
        session: Session,
        key: int,
        address: Address,
        notify: Notify,
        cancellable: Sequence[str],
    ) -> None:
        self.session = session
        self.address = address
        self.key = key
        self._cancellable = cancellable
        self._role = ""
        self._notify = notify
        self._told = 0.0
        self._blocked_since: float | None = None
        self._patience = 0.0
        self.gave_up = False
        self.rows_only = False
        self.pid = session.info.backend_pid
        self.blockers: list[dict[str, Any]] = []
        self.held: list[dict[str, object]] = []
        self.lost: psycopg.Error | None = None
        self._working: int | None = None
        self._since = 0.0
        self._awaited = False

    def assume_role(self, role: str) -> None:
        """Work as another role, given as SQL text."""
        self._role = role
        self.session.execute(f"SET ROLE {role}".encode())

    def open_session(self) -> Session:
        """One more session to the same database, in the same role.

        Raises:
            psycopg.OperationalError: the server doesn't let it in.
        """
        session = connect(self.address, "backfill")
        if self._role:
            session.execute(f"SET ROLE {self._role}".encode())
        return session

    @contextlib.contextmanager
    def monitoring(self, pid: int, patience: float) -> Iterator[None]:
        """While statements run on the session ``pid``, note who blocks them.

        Parameters:
            pid: the backend of that session.
            patience: seconds after which a statement that is blocked all the time is cancelled.
        """
        self._since = self._told = time.monotonic()
        self._patience, self._blocked_since, self.gave_up, self.rows_only = (
            patience,
            None,
            False,
            False,
        )
        self._working = pid
        try:
            yield
        finally:
            self._working = None

    def tick(self, interrupts: Signals) -> None:
        """Cancel the working session after a signal; else see who blocks it. Runs in the other thread."""
        pid = self._working
        if pid is None or self.lost:
            return
        try:
            if interrupts.stopped:
                query(self.session, "cancel", pid=pid)
            elif time.monotonic() - self._since > 0.02:
                self._see_blockers(pid)
                held = query(self.session, "held", pid=pid)
                self.held = held or self.held
                if held and self.rows_only:
                    query(self.session, "cancel", pid=pid)
                self._awaited = self._awaited or bool(query(self.session, "waiters", pid=pid))
                self._tell(pid)
        except psycopg.Error as error:
            self.lost = error

    def _see_blockers(self, pid: int) -> None:
        blockers = query(self.session, "blockers", pid=pid)
        self.blockers = blockers or self.blockers
        now = time.monotonic()
        self._blocked_since = (self._blocked_since or now) if blockers else None
        if self._blocked_since is not None and now - self._blocked_since > self._patience:
            self.gave_up = True
            query(self.session, "cancel", pid=pid)

    def _tell(self, pid: int) -> None:
        """Now and then: whom a long statement waits for, and how far an index is."""
        now = time.monotonic()
        if now - self._told < _REPEAT_SECONDS / 2:
            return
        self._told = now
        blocked = query(self.session, "blockers", pid=pid)
        if blocked:
            text = "waiting for " + "; ".join(describe_session(row) for row in blocked)
            self._notify(Event("lock.awaited", text, {"blockers": blocked}, warning=True))
            self.cancel_blockers()
        for row in query(self.session, "index_progress", pid=pid):
            text = f"building an index on {row['relation']}: {row['phase']}, {row['percent']} %"
            self._notify(Event("step.advanced", text, dict(row)))

    def cancel_blockers(self) -> None:
        """End the transactions that keep the working session from a lock, of the applications that the operator names."""
        for row in self.blockers:
            if (
                not row["pid"]
                or row["xact_start"] is None
                or not any(
                    fnmatchcase(str(row["application_name"]), one) for one in self._cancellable
                )
            ):
                continue
            try:
                done = query(
                    self.session, "cancel_blocker", pid=row["pid"], xact_start=row["xact_start"]
                )
                text = f"cancelled {describe_session(row)}" if done else ""
            except psycopg.errors.InsufficientPrivilege:
                text = f"may not cancel {describe_session(row)}: it takes the same role, or pg_signal_backend"
            if text:
                self._notify(Event("blocker.cancelled", text, {"blocker": row}, warning=True))

    def table_locks(self) -> list[dict[str, object]]:
        """The locks on tables, stronger than those of rows, that the working session holds now, or waits for."""
        return query(self.session, "held", pid=self._working) if self._working is not None else []

    def visible_to_others(self, kind: str, whose: str, part: str) -> bool:
        """Whether something is there for others than the working session; in whatever schema, and what isn't known is.

        Parameters:
            kind: in SQL's words, such as ``VIEW``, ``COLUMN`` or ``DEFAULT``.
            whose: its own name, or its table's.
            part: of what is within a table, its own name.
        """
        return bool(
            query(self.session, "seen_by_others", kind=kind, whose=whose, part=part)[0]["seen"]
        )

    def requested_state(self, execution: int | None) -> str:
        """What somebody wants of the revision that is run: ``run``, ``pause`` or ``cancel``."""
        rows = query(self.session, "wish", LEDGER, execution=execution)
        return str(rows[0]["wish"]) if rows else "run"

    def had_waiters(self) -> bool:
        """Whether somebody waited for what the working session had locked, since this was last asked."""
        found, self._awaited = self._awaited, False
        return found

    def replica_lag(self) -> float:
        """Seconds that the replica is behind that is most so, as far as the role may know."""
        return float(query(self.session, "replica_lag")[0]["seconds"])

    def wait_for_blockers(self, seconds: float) -> None:
        """Wait until the transactions that blocked the last try are over, so that the next one isn't in vain.

        Parameters:
            seconds: how long at most; the next try may also find others.
        """
        known = [(row["pid"], row["xact_start"]) for row in self.blockers if row["xact_start"]]
        end = time.monotonic() + seconds
        while known and time.monotonic() < end:
            pids, starts = [pid for pid, _ in known], [start for _, start in known]
            if not query(self.session, "still_open", pids=pids, starts=starts):
                return
            time.sleep(0.02)

    def check(self) -> None:
        """Make sure that the lock is still ours.

        Raises:
            NotNow: its session is gone, so another runner may be at work.
        """
        try:
            held = not self.lost and any(
                row["pid"] == self.pid for row in query(self.session, "lock_holder", key=self.key)
            )
        except psycopg.Error as error:
            held, self.lost = False, error
        if not held:
            raise NotNow(
                "LL-SINGLE-FLIGHT-LOST",
                "The session that held the single-flight lock is gone.",
                why="Another runner may have taken over, so this one stops before it commits anything more.",
                now="Run the same command again.",
            ) from self.lost


def describe_session(row: Mapping[str, Any]) -> str:
    """A blocking session, in one line."""
    statement = " ".join((row["query"] or "").split())[:120]
    name = row["application_name"] or row["usename"] or row["backend_type"] or "unnamed"
    who = f"pid {row['pid']}" if row["pid"] else "no session"
    return (
        f"{who}, {name!r}, {row['state'] or 'hidden'} for {row['seconds'] or 0:.0f} s: {statement}"
    )


@contextlib.contextmanager
def single_flight(
    address: Address,
    version_table: str,
    command: str,
    deadline: float,
    interrupts: Signals,
    notify: Notify,
    cancellable: Sequence[str] = (),
) -> Iterator[MigrationLock]:
    """Hold the lock of a database and version table.

    Parameters:
        address: the database.
        version_table: the version table, with its schema where it has one.
        command: what it is held for; other runners see it.
        deadline: seconds to wait for other runners.
        interrupts: stops the wait.
        notify: is told whom we wait for.
        cancellable: application names, with wildcards, of sessions that may be cancelled when they block.

    Raises:
        NotNow: another runner held it until the deadline, or a signal came.
    """
    key = key_for(version_table)
    with contextlib.closing(connect(address, command)) as session:
        _acquire(session, key, deadline, interrupts, notify)
        flight = MigrationLock(session, key, address, notify, cancellable)
        interrupts.every_tick(lambda: flight.tick(interrupts))
        try:
            yield flight
        finally:
            interrupts.no_tick()
            with contextlib.suppress(psycopg.Error):
                query(session, "unlock", key=key)


def _acquire(
    session: Session, key: int, deadline: float, interrupts: Signals, notify: Notify
) -> None:
    shown = started = time.monotonic()
    try:
        for attempt in attempts(_HeldByAnotherRun, deadline, most=0.5):
            with attempt:
                interrupts.check()
                if query(session, "try_lock", key=key)[0]["got"]:
                    return
                now = time.monotonic()
                if attempt.num == 1 or now - shown > _REPEAT_SECONDS:
                    shown = now
                    notify(_waiting(session, key, now - started))
                raise _HeldByAnotherRun
    except _HeldByAnotherRun:
        raise NotNow(
            "LL-OTHER-RUN-ACTIVE",
            f"Another run held the database for {deadline:.0f} s: {_holder(session, key)}.",
            why="Only one run at a time may change the schema.",
            now="Run again when it is done, or give a longer --deadline.",
        ) from None


def _waiting(session: Session, key: int, seconds: float) -> Event:
    holder = _holder(session, key)
    return Event(
        "flight.awaited",
        f"waiting for another run: {holder}",
        {"holder": holder, "seconds": round(seconds, 1)},
    )


def _holder(session: Session, key: int) -> str:
    rows = query(session, "lock_holder", key=key)
    if not rows:
        return "it has just finished"
    row = rows[0]
    return f"pid {row['pid']}, {row['application_name']!r} from {row['client'] or 'this machine'}, since {row['backend_start']:%H:%M:%S}"
