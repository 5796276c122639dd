"""The ledger: which revisions are applied, by which run, in which steps.

It is written through the connection that runs the revision, in the same transactions, so that it
agrees with the schema at each moment.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from liftlock.errors import LiftlockError, SettingsError, UnsafeRevision
from liftlock.model.operation import Operation
from liftlock.model.revision import Revision
from liftlock.model.step import Phase, Step
from liftlock.postgres.applied import COMMANDS, describe_execution
from liftlock.postgres.catalog import Execute
from liftlock.postgres.cursor import Cursor
from liftlock.postgres.queries import LEDGER
from liftlock.version import __version__

FORMAT = 2


OperationKey = tuple[str, int]
"""The identity of an operation or a result across attempts: a hash of its content, called shape,
and the number of equal ones before it in the revision."""


@dataclass(slots=True)
class OperationProgress:
    """The recorded progress of an operation.

    Parameters:
        recipe: all of its steps, as they were planned; they are kept when it is resumed.
        finished: for each step that was begun, by its number, whether it is finished.
        cursors: the positions of backfills, by the number of the step.
        fingerprint: the operation's evidence, by which a change of the revision is noticed.
    """

    recipe: tuple[Step, ...] = ()
    finished: dict[int, bool] = field(default_factory=dict)
    cursors: dict[int, Cursor | None] = field(default_factory=dict)
    fingerprint: str = ""


@dataclass(slots=True)
class RevisionProgress:
    """The progress that earlier attempts at a revision have committed.

    Parameters:
        revision: the revision.
        direction: ``up`` or ``down``.
        source: a fingerprint of its file.
        execution: its row in the ledger; None until something is committed.
        changed: whether the file has changed since the first attempt.
        steps: the progress of its operations.
        results: the fingerprint and the rows, as JSON, of each query of the revision.
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
    """A step to be recorded.

    Parameters:
        key: its operation.
        number: its number in the operation, from 0.
        position: its number in the revision.
        operation: its operation.
        step: the step.
        recipe: for the first step of an operation, all of its steps; else empty.
        finished: whether the step is finished; else it is about to begin.
    """

    key: OperationKey
    number: int
    position: int
    operation: Operation
    step: Step
    recipe: tuple[Step, ...] = ()
    finished: bool = True


class Ledger:
    """Writes the ledger in the transactions of the connection that runs the revision.

    Parameters:
        execute: runs a statement on that connection.
        version_table: the version table, with its schema if it has one.
    """

    def __init__(self, execute: Execute, version_table: str) -> None:
        self._execute = execute
        self.version_table = version_table
        self._run: int | None = None

    def prepare(self) -> None:
        """Create the tables that are missing, and upgrade older ones. The caller commits.

        Raises:
            SettingsError: the ledger has a newer format.
        """
        if not self._execute(LEDGER["present"], {}):
            self._execute_all("create")
        version = next(iter(self._execute(LEDGER["version"], {})[0].values()))
        if version > FORMAT:
            raise SettingsError(
                "LL-LEDGER-NEWER",
                f"The ledger of this database has format {version};"
                f" this version of liftlock ({__version__}) supports format {FORMAT}.",
                why="Rows in the old format could make the ledger wrong for the newer version.",
                now="Upgrade liftlock in this image.",
            )
        for number in range(version, FORMAT):
            self._execute_all(f"from_{number}")

    def _execute_all(self, name: str) -> None:
        """Execute the statements of a script, which are separated at the ends of lines."""
        for statement in LEDGER[name].split(";\n"):
            self._execute(statement, {})

    def begin_run(self, command: str, release: str) -> None:
        """Record a run that is about to change something; revisions and steps refer to it.

        Parameters:
            command: the command of liftlock or Alembic.
            release: the release of the build; empty if it is unknown.
        """
        facts = {
            "version_table": self.version_table,
            "command": command,
            "host": socket.gethostname(),
            "release": release,
            "engine": __version__,
        }
        self._run = self._execute(LEDGER["begin_run"], facts)[0]["id"]

    def accept_stamped(self, present: Callable[[], frozenset[str]]) -> str:
        """Record an unfinished revision as finished if the version table says that it is.

        A person has then finished it by hand, and run ``alembic stamp``.

        Parameters:
            present: returns the revisions that are applied according to the version table.

        Returns:
            What was finished, such as ``upgrade of a1b2``; empty if nothing was.
        """
        for row in self._unfinished():
            is_applied = row["revision"] in present()
            if is_applied == (row["direction"] == "up"):
                self.finish(
                    RevisionProgress(
                        row["revision"], row["direction"], row["source"], execution=row["id"]
                    )
                )
                return describe_execution(row)
        return ""

    def resume(self, revision: str, direction: str, source: str) -> RevisionProgress:
        """Return what earlier attempts at a revision have committed; empty if there were none.

        Parameters:
            revision: its identifier.
            direction: ``up`` or ``down``.
            source: a fingerprint of its file.

        Raises:
            UnsafeRevision: another revision was begun and isn't finished.
        """
        progress = RevisionProgress(revision=revision, direction=direction, source=source)
        unfinished_rows = self._unfinished()
        if not unfinished_rows:
            return progress
        execution = unfinished_rows[0]
        steps = self._execute(LEDGER["steps"], {"execution": execution["id"]})
        results = self._execute(LEDGER["answers"], {"execution": execution["id"]})
        if not steps and not results:
            # Its attempts have undone everything, so another revision may run instead.
            self._execute(LEDGER["forget_execution"], {"execution": execution["id"]})
            return progress
        if (execution["revision"], execution["direction"]) != (revision, direction):
            raise _other_unfinished(execution, revision)
        progress.execution = execution["id"]
        progress.changed = execution["source"] != source
        for row in steps:
            _add_step_row(progress, row)
        for row in results:
            key = (row["shape"], row["occurrence"])
            progress.results[key] = (row["fingerprint"], row["body"])
        return progress

    def _unfinished(self) -> list[Mapping[str, Any]]:
        rows = self._execute(LEDGER["unfinished"], {"version_table": self.version_table})
        return list(rows)

    def begin(self, progress: RevisionProgress) -> None:
        """Record that a revision is about to commit something, unless that is recorded already."""
        if progress.execution is None:
            facts = {
                "version_table": self.version_table,
                "revision": progress.revision,
                "direction": progress.direction,
                "source": progress.source,
            }
            progress.execution = self._execute(LEDGER["begin_execution"], facts)[0]["id"]

    def add_step(self, progress: RevisionProgress, note: StepRecord) -> None:
        """Record a step, in its transaction; or before it if it can't run in one."""
        step, operation = note.step, note.operation
        recipe = json.dumps([planned.as_dict() for planned in note.recipe])
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
            "recipe": recipe if note.recipe else None,
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
        """Record the result of a query of the revision, in the same transaction.

        Parameters:
            progress: the revision's.
            key: the query.
            fingerprint: what the query was, by which a change of the revision is noticed.
            body: the rows as JSON.
        """
        row = {
            "execution": progress.execution,
            "shape": key[0],
            "occurrence": key[1],
            "fingerprint": fingerprint,
            "body": body,
        }
        self._execute(LEDGER["add_answer"], row)

    def advance(
        self, progress: RevisionProgress, key: OperationKey, part: int, cursor: Cursor
    ) -> None:
        """Record the position of a backfill, in the transaction of the batch.

        Parameters:
            progress: the revision's.
            key: the operation.
            part: the number of the step.
            cursor: the position after the batch.
        """
        row = {
            "execution": progress.execution,
            "shape": key[0],
            "occurrence": key[1],
            "part": part,
            "cursor": cursor.dumps(),
        }
        self._execute(LEDGER["advance"], row)

    def request(self, progress: RevisionProgress, wish: str) -> None:
        """Request a state of a revision's backfills: ``run``, ``pause`` or ``cancel``."""
        self._execute(LEDGER["make_wish"], {"execution": progress.execution, "wish": wish})

    def forget(self, progress: RevisionProgress, key: OperationKey) -> None:
        """Remove the steps of an operation that was undone."""
        operation = {"execution": progress.execution, "shape": key[0], "occurrence": key[1]}
        self._execute(LEDGER["forget_operation"], operation)

    def finish(self, progress: RevisionProgress) -> None:
        """Record that a revision is finished, in the transaction that changes the version table.

        Query results, planned steps and cursors are removed, as only a resumed attempt needs them.
        """
        for name in ("forget_answers", "forget_recipes", "finish_execution"):
            self._execute(LEDGER[name], {"execution": progress.execution})

    def add_revision(self, revision: Revision, phase: Phase, seconds: float) -> None:
        """Record an applied revision, in the transaction that changes the version table."""
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
        """Remove a downgraded revision, in the transaction that changes the version table."""
        row = {"version_table": self.version_table, "revision": revision}
        self._execute(LEDGER["remove_revision"], row)


def _add_step_row(progress: RevisionProgress, row: Mapping[str, Any]) -> None:
    """Add a row of the query ``steps`` to a revision's progress."""
    key = (row["shape"], row["occurrence"])
    operation = progress.steps.setdefault(key, OperationProgress(fingerprint=row["fingerprint"]))
    operation.finished[row["part"]] = row["finished"]
    operation.cursors[row["part"]] = Cursor.loads(row["cursor"]) if row["cursor"] else None
    if row["recipe"]:
        operation.recipe = tuple(Step.from_dict(step) for step in json.loads(row["recipe"]))


def _other_unfinished(execution: Mapping[str, Any], revision: str) -> LiftlockError:
    command = COMMANDS[execution["direction"]]
    target = execution["revision"] if execution["direction"] == "up" else "-1"
    return UnsafeRevision(
        "LL-OTHER-REVISION-UNFINISHED",
        f"The {describe_execution(execution)} was begun and isn't finished;"
        f" {revision} can't run before that.",
        why="Some of its steps are committed, so the schema is between two revisions.",
        now=f"Finish it with the same revision files: liftlock {command} {target}. Or finish it by"
        " hand, and record that in the version table by alembic stamp.",
    )
