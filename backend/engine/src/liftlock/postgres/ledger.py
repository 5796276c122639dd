"""The ledger: which revisions are applied, by which run, in which steps."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from liftlock import __version__
from liftlock.errors import SettingsError
from liftlock.model.revision import Chain, Revision
from liftlock.model.step import Phase, Step
from liftlock.postgres.session import Session, query
from liftlock.postgres.sql import LEDGER

FORMAT = 1

Execute = Callable[[str, Mapping[str, object]], Sequence[Mapping[str, Any]]]
"""Runs a statement with named parameters on whatever connection it belongs to."""


@dataclass(frozen=True, slots=True)
class Applied:
    """A revision as the ledger remembers it: when it was applied, how, and by whom."""

    revision: Revision
    phase: Phase
    at: datetime
    seconds: float
    by: str

    def as_dict(self) -> dict[str, object]:
        """The row for programs."""
        return {
            "revision": self.revision.id,
            "message": self.revision.message,
            "phase": self.phase.value,
            "applied_at": self.at.isoformat(),
            "seconds": round(self.seconds, 3),
            "by": self.by,
        }


class Ledger:
    """Writes to the ledger through the connection that does the work, in its transactions.

    Parameters:
        execute: runs a statement on that connection.
        version_table: the version table, with its schema where it has one.
    """

    def __init__(self, execute: Execute, version_table: str) -> None:
        self._execute = execute
        self.version_table = version_table
        self._run: int | None = None

    def prepare(self) -> None:
        """Make the tables where they are missing. The caller commits.

        Raises:
            SettingsError: the ledger is of a newer format.
        """
        if not self._execute(LEDGER["present"], {}):
            for statement in LEDGER["create"].split(";\n"):
                self._execute(statement, {})
        found = next(iter(self._execute(LEDGER["version"], {})[0].values()))
        if found > FORMAT:
            raise SettingsError(
                "LL-LEDGER-NEWER",
                f"The ledger of this database has format {found}, this liftlock ({__version__}) knows {FORMAT}.",
                why="Writing to it in the old format could make the newer one wrong.",
                now="Upgrade liftlock in this image.",
            )

    def begin_run(self, command: str, release: str) -> None:
        """Note who is about to work; the revisions and steps refer to it."""
        facts = {
            "version_table": self.version_table,
            "command": command,
            "host": socket.gethostname(),
            "release": release,
            "engine": __version__,
        }
        self._run = self._execute(LEDGER["begin_run"], facts)[0]["id"]

    def add_steps(self, revision: str, direction: str, steps: Iterable[Step]) -> None:
        """Note finished steps, in the transaction that ran them."""
        seen: Counter[str] = Counter()
        for position, step in enumerate(steps):
            shape = step.operation.shape
            row = {
                "run": self._run,
                "version_table": self.version_table,
                "revision": revision,
                "direction": direction,
                "position": position,
                "operation": step.operation.kind,
                "shape": shape,
                "occurrence": seen[shape],
                "part": 0,
                "fingerprint": step.operation.fingerprint,
                "sql": step.sql,
                "pace": step.pace.value,
                "lock": step.lock.value if step.lock else None,
                "phase": step.phase.value,
            }
            self._execute(LEDGER["add_step"], row)
            seen[shape] += 1

    def add_revision(self, revision: Revision, phase: Phase, seconds: float) -> None:
        """Note that a revision is applied, in the transaction that applied it."""
        row = {
            "version_table": self.version_table,
            "revision": revision.id,
            "down": list(revision.down),
            "depends_on": list(revision.depends_on),
            "message": revision.message,
            "phase": phase.value,
            "run": self._run,
            "seconds": seconds,
        }
        self._execute(LEDGER["add_revision"], row)

    def remove_revision(self, revision: str) -> None:
        """Note that a revision is undone, in the transaction that undid it."""
        self._execute(LEDGER["remove_revision"], {"version_table": self.version_table, "revision": revision})


def applied(session: Session, version_table: str) -> list[Applied]:
    """What the ledger remembers, the oldest first; nothing where there is none or it may not be read."""
    try:
        if not query(session, "present", LEDGER):
            return []
        rows = query(session, "applied", LEDGER, version_table=version_table)
    except psycopg.errors.InsufficientPrivilege:
        return []
    return [
        Applied(
            revision=Revision(row["revision"], tuple(row["down"]), tuple(row["depends_on"]), row["message"]),
            phase=Phase(row["phase"]),
            at=row["applied_at"],
            seconds=row["seconds"],
            by=f"{row['role']} on {row['host']}" + (f" ({row['release']})" if row["release"] else ""),
        )
        for row in rows
    ]


def told(rows: Iterable[Applied]) -> str:
    """Which revisions, when, by whom: in one line."""
    return "; ".join(f"{row.revision.id} ({row.revision.message}), {row.at:%Y-%m-%d %H:%M}, by {row.by}" for row in rows)


def chain_of(rows: Iterable[Applied]) -> Chain:
    """The history that the ledger remembers."""
    return Chain.of(row.revision for row in rows)


def current(session: Session, version_table: str) -> frozenset[str]:
    """The rows of the version table; none where there is no such table."""
    quoted = ".".join(f'"{part}"' for part in version_table.split("."))
    if not query(session, "exists", relation=quoted)[0]["found"]:
        return frozenset()
    rows = session.execute(f"SELECT version_num FROM {quoted}".encode()).fetchall()  # noqa: S608 - quoted
    return frozenset(row["version_num"] for row in rows)
