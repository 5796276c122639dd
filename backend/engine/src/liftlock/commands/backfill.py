"""Looks at the backfills of a database, and pauses, resumes or cancels them, from another session than theirs."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass
from datetime import datetime

import psycopg

from liftlock.errors import SettingsError
from liftlock.postgres.advisory_lock import key_for
from liftlock.postgres.queries import LEDGER
from liftlock.postgres.session import Session, connect, query
from liftlock.settings import Address

WISHES = {"pause": "pause", "resume": "run", "cancel": "cancel"}


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A backfill that is begun and not finished.

    Parameters:
        execution: its revision's row in the ledger.
        version_table, revision: what asks for it.
        relation: the table that is filled.
        sql: what is set.
        rows, total: how many are done, of how many, as far as is known.
        wish: ``run``, ``pause`` or ``cancel``.
        since: when it was begun.
        runner: who runs it now; empty where nobody does.
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
        """The backfill for programs."""
        return asdict(self)

    def explained(self) -> str:
        """One line for people."""
        share = f" of about {self.total}" if self.total else ""
        state = {"run": "running", "pause": "paused", "cancel": "about to be cancelled"}[self.wish]
        later = (
            "the next run waits for `liftlock backfill resume`"
            if self.wish == "pause"
            else "`liftlock upgrade` goes on with it"
        )
        doing = f"{state}, by {self.runner}" if self.runner else f"not running; {later}"
        what = f"{self.relation} (revision {self.revision}): {self.rows} rows{share}, since {self.since:%Y-%m-%d %H:%M}"
        return f"{what}; {doing}\n  SET {self.sql}"


def backfill(address: Address, verb: str | None = None) -> list[Unfinished]:
    """The backfills that aren't finished, after what was wished for.

    Parameters:
        address: the database.
        verb: ``pause``, ``resume`` or ``cancel``, which is for one that runs; None only looks.

    Raises:
        SettingsError: the role may not read or write the ledger, or it is of an older format.
    """
    with contextlib.closing(connect(address, "backfill")) as session:
        if not query(session, "present", LEDGER):
            return []
        try:
            rows = query(session, "backfills", LEDGER)
            for row in rows if verb else []:
                if verb == "cancel" and not _runner(session, row["version_table"]):
                    continue  # the next run must not be cancelled instead
                query(
                    session,
                    "make_wish",
                    LEDGER,
                    execution=row["execution"],
                    wish=WISHES[verb or ""],
                )
            rows = query(session, "backfills", LEDGER)
        except psycopg.errors.InsufficientPrivilege as error:
            raise SettingsError(
                "LL-LEDGER-PERMISSION",
                f"The role of {address!r} may not use the ledger: {str(error).splitlines()[0]}",
                now="Use the role that runs the migrations.",
            ) from error
        except psycopg.errors.UndefinedColumn as error:
            raise SettingsError(
                "LL-LEDGER-OLDER",
                f"The ledger of {address!r} is of an older format, which knows no pausing.",
                now="The next `liftlock upgrade` that has something to do brings it up.",
            ) from error
        found = []
        for row in rows:
            cursor = json.loads(row["cursor"]) if row["cursor"] else {}
            runner = _runner(session, row["version_table"])
            counted = {"rows": cursor.get("rows", 0), "total": int(cursor.get("total", 0))}
            named = {
                name: row[name]
                for name in ("execution", "version_table", "revision", "sql", "wish")
            }
            found.append(
                Unfinished(
                    **named,
                    **counted,
                    relation=cursor.get("relation", "?"),
                    since=row["started_at"],
                    runner=runner,
                )
            )
        return found


def _runner(session: Session, version_table: str) -> str:
    holders = query(session, "lock_holder", key=key_for(version_table))
    return f"pid {holders[0]['pid']}, {holders[0]['application_name']!r}" if holders else ""
