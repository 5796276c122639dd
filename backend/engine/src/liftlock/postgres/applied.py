"""The applied and the unfinished revisions, read from the ledger and the version table.

They are read through a session of liftlock's own, also where the role may not read the ledger, or
there is none yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql

from liftlock.model.revision import Chain, Revision
from liftlock.model.step import Phase
from liftlock.postgres.queries import LEDGER
from liftlock.postgres.session import Session, query

COMMANDS = {"up": "upgrade", "down": "downgrade"}
"""The command for each direction in the ledger."""


@dataclass(frozen=True, slots=True)
class AppliedRevision:
    """A revision in the ledger.

    Parameters:
        revision: the revision.
        phase: whether it expands or contracts the schema.
        at: when it was applied.
        seconds: how long that took.
        by: the role and the host of the run, and its release if that is known.
    """

    revision: Revision
    phase: Phase
    at: datetime
    seconds: float
    by: str

    def as_dict(self) -> dict[str, object]:
        """Return the row for programs."""
        return {
            "revision": self.revision.id,
            "message": self.revision.message,
            "phase": self.phase.value,
            "applied_at": self.at.isoformat(),
            "seconds": round(self.seconds, 3),
            "by": self.by,
        }


def applied(session: Session, version_table: str) -> list[AppliedRevision]:
    """Return the revisions in the ledger, the oldest first.

    There are none if the database has no ledger, or the role may not read it.
    """
    try:
        if not query(session, "present", LEDGER):
            return []
        rows = query(session, "applied", LEDGER, version_table=version_table)
    except psycopg.errors.InsufficientPrivilege:
        return []
    return [_applied_revision(row) for row in rows]


def _applied_revision(row: Mapping[str, Any]) -> AppliedRevision:
    release = f" ({row['release']})" if row["release"] else ""
    return AppliedRevision(
        revision=Revision(
            row["revision"], tuple(row["down"]), tuple(row["depends_on"]), row["message"]
        ),
        phase=Phase(row["phase"]),
        at=row["applied_at"],
        seconds=row["seconds"],
        by=f"{row['role']} on {row['host']}{release}",
    )


def unfinished(session: Session, version_table: str) -> str:
    """Return the unfinished upgrade or downgrade, such as ``downgrade of a1b2``.

    The text is empty if there is none, or the role may not read the ledger.
    """
    try:
        if not query(session, "present", LEDGER):
            return ""
        rows = query(session, "unfinished", LEDGER, version_table=version_table)
    except psycopg.errors.InsufficientPrivilege:
        return ""
    return describe_execution(rows[0]) if rows else ""


def describe_applied(rows: Iterable[AppliedRevision]) -> str:
    """Return one line about revisions: which, when, and by whom they were applied."""
    return "; ".join(
        f"{row.revision.id} ({row.revision.message}), {row.at:%Y-%m-%d %H:%M}, by {row.by}"
        for row in rows
    )


def chain_of(rows: Iterable[AppliedRevision]) -> Chain:
    """Return the revisions in the ledger as a chain."""
    return Chain.of(row.revision for row in rows)


def current_heads(session: Session, version_table: str) -> frozenset[str]:
    """Return the revisions in the version table; none if there is no such table."""
    table = sql.Identifier(*version_table.split("."))
    if not query(session, "exists", relation=table.as_string(session))[0]["found"]:
        return frozenset()
    rows = session.execute(sql.SQL("SELECT version_num FROM {}").format(table)).fetchall()
    return frozenset(row["version_num"] for row in rows)


def describe_execution(row: Mapping[str, Any]) -> str:
    """Return the command and the revision of an execution, such as ``upgrade of a1b2``."""
    return f"{COMMANDS[row['direction']]} of {row['revision']}"
