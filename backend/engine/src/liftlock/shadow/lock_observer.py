"""Watches one session and says what each of its statements did, from what the server reports: no SQL is parsed.

Locks are those of ``pg_locks`` on relations that a second session sees in its catalog, so what the statement's own transaction
made is left out. Rewrites, scans, builds and validations are what the server says itself, and what changed its file.
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

_LOOK_SECONDS = 0.002
_MODES = {one.value.title().replace(" ", "") + "Lock": one for one in LockMode}


class ObservedSession(Protocol):
    """The session that is watched."""

    def rows(self, statement: str) -> Sequence[Mapping[str, Any]]:
        """The rows of a query that the watcher itself asks over that session."""

    def messages(self) -> list[str]:
        """What the server has said since this was last asked."""


@dataclass(slots=True)
class ObservedLocks:
    """A statement that is being watched; filled in when it has ended."""

    observed: ObservedStatement
    taken: set[ObservedLock] = field(default_factory=set)


class LockObserver:
    """Watches a session.

    Parameters:
        address: of the database that it is connected to.
        pid: its backend.
        version_table: isn't looked at.
        subject: the session.
    """

    def __init__(
        self, address: Address, pid: int, version_table: str, subject: ObservedSession
    ) -> None:
        self._pid, self._subject = pid, subject
        self._session, self._holder = connect(address, "check"), connect(address, "check")
        self._visible = {
            row["oid"]: row for row in query(self._session, "visible", version_table=version_table)
        }
        self._transaction = 0

    def close(self) -> None:
        """Let go of both sessions."""
        self._session.close()
        self._holder.close()

    @contextlib.contextmanager
    def watching(
        self, statement: ObservedStatement, *, alone: bool = False
    ) -> Iterator[ObservedLocks]:
        """Watch a statement, which is sent meanwhile.

        Parameters:
            statement: what is known of it before.
            alone: whether it runs outside of a transaction, so that its locks are gone when it has ended.
        """
        self._asked(
            "SELECT set_config('client_min_messages', 'debug1', false)"
        )  # a revision may have set it otherwise
        before, files = self._held(), self._files()
        if not before:
            self._transaction += 1
        seen = ObservedLocks(
            replace(
                statement,
                transaction=self._transaction,
                own=self._oid_of(statement.operation.relation),
            )
        )
        self._subject.messages()
        with self._probing(seen) if alone else contextlib.nullcontext():
            try:
                yield seen
            finally:
                held = self._held() | seen.taken
                work = self._work(files, held)
                seen.observed = replace(
                    seen.observed, taken=frozenset(held - before), held=frozenset(held), work=work
                )

    def _held(self) -> set[ObservedLock]:
        return self._locks(self._session, granted=True)

    def _locks(self, session: Session, *, granted: bool) -> set[ObservedLock]:
        found = query(session, "relation_locks", pid=self._pid, granted=granted)
        known = (row for row in found if row["oid"] in self._visible)
        return {
            ObservedLock(
                row["relation"],
                _MODES[row["mode"]],
                row["kind"],
                row["oid"],
                self._visible[row["oid"]]["of_table"] or "",
            )
            for row in known
        }

    def _files(self) -> dict[int, int]:
        return {row["oid"]: row["file"] for row in self._asked(_FILES)}

    def _oid_of(self, table: str) -> int:
        """As the watched session knows it, which may have renamed it."""
        literal = table.replace("'", "''").replace("%", "%%")
        found = (
            self._asked(f"SELECT coalesce(to_regclass('{literal}')::oid::bigint, 0) AS oid")
            if table
            else []
        )
        return int(found[0]["oid"]) if found else 0

    def _asked(self, statement: str) -> Sequence[Mapping[str, Any]]:
        """Over the watched session; a transaction that has failed says nothing more."""
        try:
            return self._subject.rows(statement)
        except Exception:
            return []

    def _work(self, before: Mapping[int, int], held: set[ObservedLock]) -> ServerWork:
        """What the server tells of is counted where its table is locked: another of that name may be new."""
        told, after = work_in(self._subject.messages()), self._files()
        locked = {one.oid: self._visible[one.oid] for one in held}
        changed = [
            self._visible[oid]
            for oid, file in before.items()
            if oid in self._visible and after.get(oid, file) != file
        ]

        def known(names: Collection[str]) -> frozenset[str]:
            return frozenset(row["relation"] for row in locked.values() if row["name"] in names)

        return ServerWork(
            rewrites=known(told.rewrites)
            | {row["relation"] for row in changed if row["kind"] in {"r", "m"}},
            scans=known(told.scans),
            builds=known(told.builds) | {row["of_table"] for row in changed if row["kind"] == "i"},
            validates=told.validates if locked else frozenset(),
            proven=known(told.proven),
        )

    @contextlib.contextmanager
    def _probing(self, seen: ObservedLocks) -> Iterator[None]:
        """See which locks a statement asks for that is over at once.

        Another session holds the weakest lock that conflicts with itself on each table, so that the statement stops at
        its first one that matters; then it is let go.
        """
        stop, ready = threading.Event(), threading.Event()
        thread = threading.Thread(target=self._probe, args=(seen, ready, stop), daemon=True)
        thread.start()
        ready.wait()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _probe(self, seen: ObservedLocks, ready: threading.Event, stop: threading.Event) -> None:
        try:
            with contextlib.suppress(psycopg.Error), self._holder.transaction():
                for row in query(self._holder, "visible", version_table=""):
                    if row["kind"] not in {"r", "p"} or row["oid"] not in self._visible:
                        continue
                    self._holder.execute(
                        f"LOCK TABLE ONLY {row['relation']} IN SHARE UPDATE EXCLUSIVE MODE NOWAIT".encode()
                    )
                ready.set()
                while not stop.is_set():
                    waits = query(self._holder, "waits", pid=self._pid)
                    seen.taken |= self._locks(self._holder, granted=False)
                    if waits:
                        break
                    time.sleep(_LOOK_SECONDS)
        finally:
            ready.set()
        while not stop.is_set():
            with contextlib.suppress(psycopg.Error):
                seen.taken |= self._locks(self._holder, granted=True)
            time.sleep(_LOOK_SECONDS)


_FILES = """SELECT c.oid::bigint AS oid, pg_relation_filenode(c.oid)::bigint AS file FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm', 'i') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"""
