"""Chain run: the selected revisions on a shadow, each by Alembic and by liftlock, and back."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from liftlock.check.clock import Clock
from liftlock.check.selection import Selection
from liftlock.events import Event, Notify
from liftlock.postgres.session import Session, connect, execute
from liftlock.revisions.project import Project
from liftlock.settings import Address
from liftlock.shadow.database import Roles, Shadow
from liftlock.shadow.dump import difference
from liftlock.shadow.result import DowngradeResult, RevisionResult
from liftlock.shadow.runner import ShadowRun, ShadowRunner
from liftlock.shadow.schema import Schema, schema


@dataclass(frozen=True, slots=True)
class _State:
    """A database's schema, for the rules, and its dump, for comparisons."""

    schema: Schema
    dump: str


@dataclass(frozen=True, slots=True)
class _Runs:
    """Two runs of one revision."""

    alembic: ShadowRun
    liftlock: ShadowRun

    @property
    def alembic_failed(self) -> bool:
        return self.alembic.trial.refusal is not None

    @property
    def liftlock_failed(self) -> bool:
        return self.liftlock.trial.refusal is not None


@dataclass(slots=True)
class ChainRun:
    """Runs of the selected revisions.

    Each revision runs on the schema that its predecessors made: in one database by Alembic, in
    another by liftlock. If only one of them can run a revision, the next revisions go on from a
    copy of that one's database.

    Parameters:
        project: the project.
        selection: the revisions.
        runner: runs a revision.
        shadow: the server, with a database at the base of the selection.
        notify: is called with each event.
        clock: measures the parts.
        differences: after the run, the differences between the models and the schema.
    """

    project: Project
    selection: Selection
    runner: ShadowRunner
    shadow: Shadow
    notify: Notify
    clock: Clock
    differences: list[str] = field(default_factory=list)

    def results(self) -> Iterator[RevisionResult]:
        """Run the revisions and yield their results; stop at the first that neither can run."""
        by_alembic = self.shadow.base
        roles = Roles(self.shadow.server)
        with contextlib.ExitStack() as copies:
            with self.clock.part("shadow"):
                self.runner.run_env(by_alembic)
                by_liftlock = copies.enter_context(self.shadow.copied(by_alembic))
            before = self._state(by_alembic)
            for number, name in enumerate(self.selection.revisions, 1):
                self._tell(name, number)
                with self.clock.part("plain"):
                    first = self.runner.run(by_alembic, name, plain=True)
                if first.trial.refusal is not None:
                    # The next schema is a copy of liftlock's, whose objects have other OIDs.
                    before = self._state(by_liftlock)
                sent = (statement.sql for statement in first.trial.observed)
                with self.clock.part("liftlock"), roles.others(sent):
                    second = self.runner.run(by_liftlock, name, plain=False)
                runs = _Runs(first, second)
                result = self._result(name, runs, before.schema)
                if runs.alembic_failed and runs.liftlock_failed:
                    yield replace(result, after=before.schema)
                    return
                if runs.alembic_failed:
                    by_alembic = copies.enter_context(self.shadow.copied(by_liftlock))
                after = self._state(by_alembic)
                yield replace(
                    result,
                    after=after.schema,
                    changes=difference(before.dump, after.dump),
                    downgrade=self._downgrade(number, result, before, by_alembic),
                )
                before = after
                if runs.liftlock_failed and number < len(self.selection.revisions):
                    by_liftlock = copies.enter_context(self.shadow.copied(by_alembic))

    def _tell(self, revision: str, number: int) -> None:
        count = len(self.selection.revisions)
        self.notify(Event("revision.checked", f"trying {revision} ({number} of {count})"))

    def _result(self, name: str, runs: _Runs, before: Schema) -> RevisionResult:
        script = self.project.script.get_revision(name)
        # After a failed run, the operations of the two differ anyway.
        comparable = not (runs.alembic_failed or runs.liftlock_failed)
        return RevisionResult(
            self.project.chain.revisions[name],
            os.path.relpath(script.path if script is not None else ""),
            runs.alembic.operations,
            runs.alembic.trial,
            runs.liftlock.trial,
            runs.liftlock.operations if comparable else (),
            before,
            edited=name in self.selection.edited,
        )

    def _downgrade(
        self, number: int, result: RevisionResult, before: _State, database: Address
    ) -> DowngradeResult:
        """Run a revision's downgrade in a copy of the database, and its upgrade again.

        After the last revision the database isn't needed any more, so no copy is made. The models
        are compared before that, if all revisions of the project have run.
        """
        chain = self.project.chain
        is_last = number == len(self.selection.revisions)
        present = {*self.selection.base, *self.selection.revisions[:number]}
        if is_last and chain.ancestors(chain.heads) <= present:
            with self.clock.part("models"):
                self.differences += self.runner.model_differences(database, read_only=False)
        copy = contextlib.nullcontext(database) if is_last else self.shadow.copied(database)
        revision = result.revision
        target = revision.down[0] if revision.down else "base"
        by_alembic = result.alembic.refusal is None
        with self.clock.part("downgrade"), copy as address:
            return self.runner.downgrade(
                address, revision.id, target, before.dump, plain=by_alembic
            )

    def _state(self, address: Address) -> _State:
        with self.clock.part("schema"):
            with contextlib.closing(connect(address, "check")) as session:
                rows = functools.partial(_rows, session)
                objects = schema(rows, self.runner.version_table)
            return _State(objects, self.runner.dump(address))


def _rows(
    session: Session, statement: str, parameters: Mapping[str, object]
) -> list[dict[str, Any]]:
    return execute(session, statement, parameters).fetchall()
