"""The ledger: which revisions are applied, by which run, in which steps."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg

from liftlock.version import __version__
from liftlock.errors import LiftlockError, SettingsError, UnsafeRevision
from liftlock.model.operation import Operation, quote_name
from liftlock.model.revision import Chain, Revision
from liftlock.model.step import Phase, Step
from liftlock.postgres.catalog import Execute
from liftlock.postgres.queries import LEDGER
from liftlock.postgres.session import Session, query

FORMAT = 2
_VERBS = {"up": "upgrade", "down": "downgrade"}


@dataclass(frozen=True, slots=True)
class AppliedRevision:
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


OperationKey = tuple[str, int]
"""How something is known again: its shape, and how many of that shape came before it."""


@dataclass(slots=True)
class OperationProgress:
    """What the ledger knows of an operation: its recipe, which parts are begun or finished, how far a backfill is, its evidence."""

    recipe: tuple[Step, ...] = ()
    finished: dict[int, bool] = field(default_factory=dict)
    cursors: dict[int, Any] = field(default_factory=dict)
    fingerprint: str = ""


@dataclass(slots=True)
class RevisionProgress:
    """What earlier attempts at a revision have committed.

    Parameters:
        revision, direction, source: what is run.
        execution: its row in the ledger; None until something is committed.
        changed: whether its file was another one then.
        steps, answers: what is known of its operations, and what the database answered.
    """

    revision: str
    direction: str
    source: str
    execution: int | None = None
    changed: bool = False
    steps: dict[OperationKey, OperationProgress] = field(default_factory=dict)
    results: dict[OperationKey, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A step for the ledger; the first of an operation brings the whole recipe."""

    key: OperationKey
    number: int
    position: int
    operation: Operation
    step: Step
    recipe: tuple[Step, ...] = ()
    finished: bool = True


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

        for number in range(found, FORMAT):
            for statement in LEDGER[f"from_{number}"].split(";\n"):
                self._execute(statement, {})

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

    def accept_stamped(self, present: Callable[[], frozenset[str]]) -> str:
        """Believe the version table where it says that what was begun is finished: somebody did so by hand, and stamped it.

        Parameters:
            present: tells the revisions that are applied, by the version table.

        Returns:
            What was finished, such as ``upgrade of a1b2``; empty where nothing was.
        """
        for found in self._execute(LEDGER["unfinished"], {"version_table": self.version_table}):
            if (found["revision"] in present()) == (found["direction"] == "up"):
                self.finish(
                    RevisionProgress(
                        found["revision"],
                        found["direction"],
                        found["source"],
                        execution=found["id"],
                    )
                )
                return f"{_VERBS[found['direction']]} of {found['revision']}"
        return ""

    def resume(self, revision: str, direction: str, source: str) -> RevisionProgress:
        """What an earlier attempt at a revision committed; nothing when there was none.

        Parameters:
            revision: its identifier.
            direction: ``up`` or ``down``.
            source: a fingerprint of its file.

        Raises:
            UnsafeRevision: another one was begun and isn't finished, or its file has changed since.
        """
        progress = RevisionProgress(revision=revision, direction=direction, source=source)
        found = next(
            iter(self._execute(LEDGER["unfinished"], {"version_table": self.version_table})), None
        )
        if found is None:
            return progress
        steps = self._execute(LEDGER["steps"], {"execution": found["id"]})
        answers = self._execute(LEDGER["answers"], {"execution": found["id"]})
        if not steps and not answers:
            self._execute(LEDGER["forget_execution"], {"execution": found["id"]})
            return progress
        if (found["revision"], found["direction"]) != (revision, direction):
            raise _other_unfinished(found, revision)
        progress.execution, progress.changed = found["id"], found["source"] != source
        for row in steps:
            known = progress.steps.setdefault(
                (row["shape"], row["occurrence"]), OperationProgress(fingerprint=row["fingerprint"])
            )
            known.finished[row["part"]] = row["finished"]
            known.cursors[row["part"]] = json.loads(row["cursor"]) if row["cursor"] else None
            if row["recipe"]:
                known.recipe = tuple(Step.from_dict(one) for one in json.loads(row["recipe"]))
        for row in answers:
            progress.results[row["shape"], row["occurrence"]] = (row["fingerprint"], row["body"])
        return progress

    def begin(self, progress: RevisionProgress) -> None:
        """Note that a revision is about to commit something, when that isn't known yet."""
        if progress.execution is None:
            facts = {"version_table": self.version_table, "revision": progress.revision}
            facts |= {"direction": progress.direction, "source": progress.source}
            progress.execution = self._execute(LEDGER["begin_execution"], facts)[0]["id"]

    def add_step(self, progress: RevisionProgress, note: StepRecord) -> None:
        """Note a step, in the transaction that ran it, or before it where it refuses one."""
        step, operation = note.step, note.operation
        row = {
            "execution": progress.execution,
            "run": self._run,
            "position": note.position,
            "operation": operation.kind,
            "shape": note.key[0],
            "occurrence": note.key[1],
            "part": note.number,
            "does": step.name,
            "fingerprint": operation.evidence,
            "recipe": json.dumps([one.as_dict() for one in note.recipe]) if note.recipe else None,
            "sql": step.sql,
            "pace": step.pace.value,
            "lock": step.lock.value if step.lock else None,
            "phase": step.phase.value,
            "finished": note.finished,
        }
        self._execute(LEDGER["add_step"], row)

    def add_result(
        self, progress: RevisionProgress, key: OperationKey, fingerprint: str, body: str
    ) -> None:
        """Note what the database answered, in the same transaction."""
        row = {
            "execution": progress.execution,
            "shape": key[0],
            "occurrence": key[1],
            "fingerprint": fingerprint,
            "body": body,
        }
        self._execute(LEDGER["add_answer"], row)

    def advance(
        self, progress: RevisionProgress, key: OperationKey, part: int, cursor: object
    ) -> None:
        """Note how far a backfill has come, in the transaction of the batch."""
        row = {
            "execution": progress.execution,
            "shape": key[0],
            "occurrence": key[1],
            "part": part,
            "cursor": json.dumps(cursor),
        }
        self._execute(LEDGER["advance"], row)

    def request(self, progress: RevisionProgress, wish: str) -> None:
        """Note what is wanted of a revision: ``run``, ``pause`` or ``cancel``."""
        self._execute(LEDGER["make_wish"], {"execution": progress.execution, "wish": wish})

    def forget(self, progress: RevisionProgress, key: OperationKey) -> None:
        """Note that an operation was taken back."""
        self._execute(
            LEDGER["forget_operation"],
            {"execution": progress.execution, "shape": key[0], "occurrence": key[1]},
        )

    def finish(self, progress: RevisionProgress) -> None:
        """Note that a revision is finished, in the transaction that marks it as applied."""
        for name in ("forget_answers", "forget_recipes"):
            self._execute(LEDGER[name], {"execution": progress.execution})
        self._execute(LEDGER["finish_execution"], {"execution": progress.execution})

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
        self._execute(
            LEDGER["remove_revision"], {"version_table": self.version_table, "revision": revision}
        )


def applied(session: Session, version_table: str) -> list[AppliedRevision]:
    """What the ledger remembers, the oldest first; nothing where there is none or it may not be read."""
    try:
        if not query(session, "present", LEDGER):
            return []
        rows = query(session, "applied", LEDGER, version_table=version_table)
    except psycopg.errors.InsufficientPrivilege:
        return []
    return [
        AppliedRevision(
            revision=Revision(
                row["revision"], tuple(row["down"]), tuple(row["depends_on"]), row["message"]
            ),
            phase=Phase(row["phase"]),
            at=row["applied_at"],
            seconds=row["seconds"],
            by=f"{row['role']} on {row['host']}"
            + (f" ({row['release']})" if row["release"] else ""),
        )
        for row in rows
    ]


def unfinished(session: Session, version_table: str) -> str:
    """What was begun and isn't finished, such as ``downgrade of a1b2``; empty where nothing is, or it may not be read."""
    try:
        found = (
            query(session, "unfinished", LEDGER, version_table=version_table)
            if query(session, "present", LEDGER)
            else []
        )
    except psycopg.errors.InsufficientPrivilege:
        return ""
    return f"{_VERBS[found[0]['direction']]} of {found[0]['revision']}" if found else ""


def describe_applied(rows: Iterable[AppliedRevision]) -> str:
    """Which revisions, when, by whom: in one line."""
    return "; ".join(
        f"{row.revision.id} ({row.revision.message}), {row.at:%Y-%m-%d %H:%M}, by {row.by}"
        for row in rows
    )


def chain_of(rows: Iterable[AppliedRevision]) -> Chain:
    """The history that the ledger remembers."""
    return Chain.of(row.revision for row in rows)


def current_heads(session: Session, version_table: str) -> frozenset[str]:
    """The rows of the version table; none where there is no such table."""
    name = ".".join(quote_name(part) for part in version_table.split("."))
    if not query(session, "exists", relation=name)[0]["found"]:
        return frozenset()
    rows = session.execute(f"SELECT version_num FROM {name}".encode()).fetchall()
    return frozenset(row["version_num"] for row in rows)


def _other_unfinished(found: Mapping[str, Any], revision: str) -> LiftlockError:
    verb = _VERBS[found["direction"]]
    return UnsafeRevision(
        "LL-OTHER-REVISION-UNFINISHED",
        f"The {verb} of revision {found['revision']} was begun and isn't finished; {revision} can't be run before it is.",
        why="Some of its steps are committed, so the schema is between two revisions.",
        now=f"Finish it first: liftlock {verb} {found['revision'] if found['direction'] == 'up' else '-1'}, with the same files;"
        " or finish it by hand and tell the version table: alembic stamp.",
    )
