"""Backfill: show unfinished backfills; pause, resume or cancel them from another session."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import psycopg

from liftlock.errors import SettingsError
from liftlock.postgres.advisory_lock import key_for
from liftlock.postgres.queries import LEDGER
from liftlock.postgres.session import Session, connect, query
from liftlock.settings import Address

_REQUESTS = {"pause": "pause", "resume": "run", "cancel": "cancel"}
"""Requests as the ledger has them, by verb."""
_STATES = {"run": "running", "pause": "paused", "cancel": "about to be cancelled"}


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A backfill that has begun and isn't finished.

    Parameters:
        execution: the revision's row in the ledger.
        version_table: the version table of the project.
        revision: the revision that asks for the backfill.
        relation: the table that is filled.
        sql: the SET clause.
        rows: rows done.
        total: estimated rows of the table; 0 where they aren't known.
        wish: the requested state: ``run``, ``pause`` or ``cancel``.
        since: the time at which it began.
        runner: the session that runs it; empty for none.
    """

    execution: int
    version_table: str
    revision: str
    relation: str
    sql: str
    rows: int
    total: int
    wish: str
    since: datetime
    runner: str

    def as_dict(self) -> dict[str, object]:
        """Return the backfill for programs."""
        return asdict(self)

    def describe(self) -> str:
        """Return the backfill in two lines for people."""
        share = f" of about {self.total}" if self.total else ""
        progress = f"{self.rows} rows{share}, since {self.since:%Y-%m-%d %H:%M}"
        head = f"{self.relation} (revision {self.revision}): {progress}"
        return f"{head}; {self._state()}\n  SET {self.sql}"

    def _state(self) -> str:
        if self.runner:
            return f"{_STATES[self.wish]}, by {self.runner}"
        if self.wish == "pause":
            return "not running; the next run waits for `liftlock backfill resume`"
        return "not running; `liftlock upgrade` continues it"


def backfill(address: Address, verb: str | None = None) -> list[Unfinished]:
    """Return the unfinished backfills, after applying a verb to them.

    Parameters:
        address: the database.
        verb: ``pause``, ``resume``, or ``cancel`` (for one that is running); None only reads.

    Raises:
        SettingsError: the role may not read or write the ledger, or the ledger has an older format.
    """
    with contextlib.closing(connect(address, "backfill")) as session:
        if not query(session, "present", LEDGER):
            return []
        with _ledger_errors(address):
            if verb:
                _request(session, verb)
            rows = query(session, "backfills", LEDGER)
        return [_unfinished(session, row) for row in rows]


def _request(session: Session, verb: str) -> None:
    for row in query(session, "backfills", LEDGER):
        # A cancellation that no session receives would cancel the next run instead.
        if verb == "cancel" and not _runner(session, row["version_table"]):
            continue
        query(session, "make_wish", LEDGER, execution=row["execution"], wish=_REQUESTS[verb])


@contextlib.contextmanager
def _ledger_errors(address: Address) -> Iterator[None]:
    """Turn PostgreSQL's errors about the ledger into errors with a remedy."""
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise SettingsError(
            "LL-LEDGER-PERMISSION",
            f"The role of {address!r} may not use the ledger: {str(error).splitlines()[0]}",
            now="Use the role that runs the migrations.",
        ) from error
    except psycopg.errors.UndefinedColumn as error:
        raise SettingsError(
            "LL-LEDGER-OLDER",
            f"The ledger of {address!r} has an older format, in which backfills can't be paused.",
            now="The next `liftlock upgrade` with pending revisions converts it.",
        ) from error


def _unfinished(session: Session, row: Mapping[str, Any]) -> Unfinished:
    cursor = json.loads(row["cursor"]) if row["cursor"] else {}
    return Unfinished(
        execution=row["execution"],
        version_table=row["version_table"],
        revision=row["revision"],
        relation=cursor.get("relation", "?"),
        sql=row["sql"],
        rows=cursor.get("rows", 0),
        total=int(cursor.get("total", 0)),
        wish=row["wish"],
        since=row["started_at"],
        runner=_runner(session, row["version_table"]),
    )


def _runner(session: Session, version_table: str) -> str:
    """Return the session that migrates a version table now; empty for none."""
    holders = query(session, "lock_holder", key=key_for(version_table))
    return f"pid {holders[0]['pid']}, {holders[0]['application_name']!r}" if holders else ""
