"""Observes one session: the locks and the work of each of its statements, as the server reports it.

No SQL is parsed. Locks are those of ``pg_locks`` on relations that a second session sees in its
catalog, so relations that the statement's own transaction created are left out. Work, such as a
table rewrite, is reported by the server's messages, and by a changed ``relfilenode``.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import psycopg

from liftlock.model.lock import LockMode
from liftlock.postgres.session import Session, connect, query
from liftlock.settings import Address
from liftlock.shadow.notices import work_in
from liftlock.shadow.observed import ObservedLock, ObservedStatement, ServerWork

_POLL_SECONDS = 0.002
_MODES = {mode.value.title().replace(" ", "") + "Lock": mode for mode in LockMode}
"""Lock modes by their names in ``pg_locks``, such as ``AccessExclusiveLock``."""
_TABLES = frozenset({"r", "p"})
_REWRITABLE = frozenset({"r", "m"})
_RELFILENODES = """
SELECT c.oid::bigint AS oid, pg_catalog.pg_relation_filenode(c.oid)::bigint AS file
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm', 'i')
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
"""
_REPORT_WORK = "SELECT pg_catalog.set_config('client_min_messages', 'debug1', false)"

Row = Mapping[str, Any]


class ObservedSession(Protocol):
    """The session that is observed."""

    def rows(self, statement: str) -> Sequence[Row]:
        """Run a query of the observer over the session, and return its rows."""

    def messages(self) -> list[str]:
        """Return the messages of the server since the last call."""


@dataclass(slots=True)
class ObservedLocks:
    """A statement that is being observed.

    Parameters:
        observed: the statement; complete when it has ended.
        taken: the locks that it was seen to wait for or to hold while it ran.
    """

    observed: ObservedStatement
    taken: set[ObservedLock] = field(default_factory=set)


class LockObserver:
    """Observes the statements of a session.

    Parameters:
        address: the database that the session is connected to.
        pid: the PID of the session's backend.
        version_table: the name of the version table, which is left out.
        subject: the session.
    """

    def __init__(
        self, address: Address, pid: int, version_table: str, subject: ObservedSession
    ) -> None:
        self._pid = pid
        self._subject = subject
        self._session = connect(address, "check")
        self._holder = connect(address, "check")
        visible = query(self._session, "visible", version_table=version_table)
        self._visible: dict[int, Row] = {row["oid"]: row for row in visible}
        self._transaction = 0

    def close(self) -> None:
        """Close both sessions of the observer."""
        self._session.close()
        self._holder.close()

    @contextlib.contextmanager
    def watching(
        self, statement: ObservedStatement, *, alone: bool = False
    ) -> Iterator[ObservedLocks]:
        """Observe a statement, which is sent in this context.

        Parameters:
            statement: the statement as it is known before it runs.
            alone: whether it runs in autocommit, so that its locks are released when it ends.
        """
        self._ask(_REPORT_WORK)  # the revision may have set it
        held_before = self._held()
        files = self._relfilenodes()
        if not held_before:
            self._transaction += 1
        own = self._oid_of(statement.operation.relation)
        seen = ObservedLocks(replace(statement, transaction=self._transaction, own=own))
        self._subject.messages()
        with self._sampling(seen) if alone else contextlib.nullcontext():
            try:
                yield seen
            finally:
                held = self._held() | seen.taken
                seen.observed = replace(
                    seen.observed,
                    taken=frozenset(held - held_before),
                    held=frozenset(held),
                    work=self._work(files, held),
                )

    # Locks.

    def _held(self) -> set[ObservedLock]:
        return self._locks(self._session, granted=True)

    def _locks(self, session: Session, *, granted: bool) -> set[ObservedLock]:
        """Return the locks that the observed session holds, or those that it waits for."""
        rows = query(session, "relation_locks", pid=self._pid, granted=granted)
        return {self._lock(row) for row in rows if row["oid"] in self._visible}

    def _lock(self, row: Row) -> ObservedLock:
        return ObservedLock(
            relation=row["relation"],
            mode=_MODES[row["mode"]],
            kind=row["kind"],
            oid=row["oid"],
            table=self._visible[row["oid"]]["of_table"] or "",
        )

    # Locks of a statement in autocommit, which are released before anyone can look.

    @contextlib.contextmanager
    def _sampling(self, seen: ObservedLocks) -> Iterator[None]:
        """Collect the locks of a statement while it runs.

        A second session holds SHARE UPDATE EXCLUSIVE on each table, the weakest mode that conflicts
        with itself. So the statement has to wait at the first lock that matters, where the lock is
        seen; then the second session releases its locks.
        """
        stop = threading.Event()
        ready = threading.Event()
        thread = threading.Thread(target=self._sample, args=(seen, ready, stop), daemon=True)
        thread.start()
        ready.wait()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _sample(self, seen: ObservedLocks, ready: threading.Event, stop: threading.Event) -> None:
        try:
            with contextlib.suppress(psycopg.Error), self._holder.transaction():
                self._lock_tables()
                ready.set()
                self._sample_until_it_waits(seen, stop)
        finally:
            ready.set()
        while not stop.is_set():
            with contextlib.suppress(psycopg.Error):
                seen.taken |= self._locks(self._holder, granted=True)
            time.sleep(_POLL_SECONDS)

    def _lock_tables(self) -> None:
        for row in query(self._holder, "visible", version_table=""):
            if row["kind"] in _TABLES and row["oid"] in self._visible:
                lock = f"LOCK TABLE ONLY {row['relation']} IN SHARE UPDATE EXCLUSIVE MODE NOWAIT"
                self._holder.execute(lock.encode())

    def _sample_until_it_waits(self, seen: ObservedLocks, stop: threading.Event) -> None:
        while not stop.is_set():
            waits = query(self._holder, "waits", pid=self._pid)
            seen.taken |= self._locks(self._holder, granted=False)
            if waits:
                return
            time.sleep(_POLL_SECONDS)

    # Work.

    def _work(self, files_before: Mapping[int, int], held: set[ObservedLock]) -> ServerWork:
        """Return the work that the server reported.

        The server's messages name relations without their schemas. So a name counts only if the
        relation is locked: otherwise it may belong to a relation that the transaction created.
        """
        reported = work_in(self._subject.messages())
        locked = [self._visible[lock.oid] for lock in held]
        changed = self._changed_files(files_before)
        rewritten = {row["relation"] for row in changed if row["kind"] in _REWRITABLE}
        rebuilt = {row["of_table"] for row in changed if row["kind"] == "i"}
        return ServerWork(
            rewrites=_relations(locked, reported.rewrites) | rewritten,
            scans=_relations(locked, reported.scans),
            builds=_relations(locked, reported.builds) | rebuilt,
            validates=reported.validates if locked else frozenset(),
            proven=_relations(locked, reported.proven),
        )

    def _relfilenodes(self) -> dict[int, int]:
        return {row["oid"]: row["file"] for row in self._ask(_RELFILENODES)}

    def _changed_files(self, before: Mapping[int, int]) -> list[Row]:
        """Return the relations with another ``relfilenode``: those that were written again."""
        after = self._relfilenodes()
        return [
            self._visible[oid]
            for oid, file in before.items()
            if oid in self._visible and after.get(oid, file) != file
        ]

    # Queries over the observed session, which sees the changes of its transaction.

    def _oid_of(self, table: str) -> int:
        """Return the OID of a table; 0 if there is none. The session may have renamed it."""
        if not table:
            return 0
        name = table.replace("'", "''").replace("%", "%%")
        rows = self._ask(f"SELECT coalesce(to_regclass('{name}')::oid::bigint, 0) AS oid")
        return int(rows[0]["oid"]) if rows else 0

    def _ask(self, statement: str) -> Sequence[Row]:
        """Return the rows of a query; none if the transaction has failed: all queries fail then."""
        try:
            return self._subject.rows(statement)
        except Exception:  # noqa: BLE001 - each driver has errors of its own
            return []


def _relations(locked: Sequence[Row], names: Collection[str]) -> frozenset[str]:
    return frozenset(row["relation"] for row in locked if row["name"] in names)
