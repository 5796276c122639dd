"""Tries a revision on a shadow: as plain Alembic runs it, as liftlock does, and back."""

from __future__ import annotations

import contextlib
import copy
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationStep

from liftlock.errors import LiftlockError, SettingsError, StepFailed, UnsafeRevision
from liftlock.events import silent
from liftlock.execution.database_errors import remedy, server_message, sqlstate
from liftlock.model.lock import LockMode
from liftlock.model.operation import Operation
from liftlock.postgres.session import connect, query
from liftlock.postgres.signals import Signals
from liftlock.revisions.guard import Guard, Takeover
from liftlock.revisions.project import Project, place_in
from liftlock.revisions.runner import RunReport
from liftlock.settings import Address, Settings
from liftlock.shadow.dump import difference, schema_text
from liftlock.shadow.result import DowngradeResult, Refusal, RunResult
from liftlock.shadow.statement_recorder import StatementRecorder

_READ_ONLY = "25006"


@dataclass(frozen=True, slots=True)
class ShadowRun:
    """What one run showed.

    Parameters:
        trial: its statements, and why it didn't get through.
        operations: what the revision asked for, but for the version table.
    """

    trial: RunResult
    operations: tuple[Operation, ...] = ()


@dataclass(slots=True)
class ShadowRunner:
    """Runs revisions of a project on shadows.

    Parameters:
        project: the project.
        settings: the environment's.
        interrupts: stops it.
    """

    project: Project
    settings: Settings
    interrupts: Signals
    version_table: str = field(default="alembic_version", init=False)

    def __post_init__(self) -> None:
        """On a shadow each table counts as a large one."""
        self.settings = copy.copy(self.settings)
        self.settings.small_table = 0

    def build(self, address: Address, revision: str) -> None:
        """Bring a database to a revision with plain Alembic, unwatched.

        Raises:
            LiftlockError: it doesn't run.
        """
        guard = Guard(
            self.settings,
            "check",
            self.interrupts,
            silent,
            redirect=address,
            takeover=Takeover.NONE,
        )
        with self._stoppable(address):
            self._move(guard, self._up(revision), revision)

    def settle(self, address: Address) -> None:
        """Run env.py and no revision: what it makes by itself isn't a revision's doing, and it names the version table.

        Raises:
            LiftlockError: it doesn't run.
        """
        watcher = StatementRecorder(address)
        guard = Guard(
            self.settings,
            "check",
            self.interrupts,
            silent,
            redirect=address,
            takeover=Takeover.NONE,
            observer=watcher,
        )
        with self._stoppable(address):
            self._move(guard, lambda _rev, _context: [], "heads")
        self.version_table = watcher.version_table

    def standing(self, address: Address) -> RunReport:
        """Where a database stands, seen through env.py; it is only looked at.

        Raises:
            LiftlockError: env.py doesn't run, or names no version table.
        """
        guard = Guard(
            self.settings,
            "drift",
            self.interrupts,
            silent,
            redirect=address,
            takeover=Takeover.PLAN,
            read_only=True,
        )
        self._move(guard, lambda _rev, _context: [], "heads")
        self.version_table = guard.reports[0].version_table
        return guard.reports[0]

    def run(self, address: Address, revision: str, *, plain: bool) -> ShadowRun:
        """Run a revision as plain Alembic does, or as liftlock does."""
        return self._watched(address, revision, self._up(revision), plain=plain)

    def back(
        self, address: Address, revision: str, target: str, before: str, *, plain: bool
    ) -> DowngradeResult:
        """Take a revision back by itself, whatever branches there are beside it, and apply it again.

        Parameters:
            address: a database at the revision.
            revision: the revision.
            target: one before it, or ``base``, for an env.py that asks.
            before: the schema's dump before the upgrade.
            plain: by plain Alembic, or by liftlock, where that alone can run it.
        """
        script = self.project.script
        step = MigrationStep.downgrade_from_script(
            script.revision_map, script.get_revision(revision)
        )
        tried = self._watched(address, target, lambda _rev, _context: [step], plain=plain)
        if tried.trial.refusal is not None:
            return DowngradeResult(error=tried.trial.refusal.what)
        after = self.dump(address)
        statements = len(tried.operations) + sum(
            one.kind == "connection" for one in tried.trial.observed
        )
        once_more = self.run(address, revision, plain=plain) if statements else tried
        refused = once_more.trial.refusal.what if once_more.trial.refusal is not None else ""
        return DowngradeResult(
            statements, difference=difference(before, after), upgrade_again_error=refused
        )

    def models(self, address: Address, *, read_only: bool) -> list[str]:
        """What the models want that a database hasn't, or hasn't so, by Alembic's comparator; none where env.py names no models.

        Parameters:
            address: the database.
            read_only: whether env.py may not write there either.

        Raises:
            LiftlockError: env.py doesn't run.
        """
        found: list[str] = []

        def compare(_revision: object, context: Any) -> list[Any]:
            metadata = context.opts.get("target_metadata")
            if metadata is not None:
                found.extend(_told(one) for one in compare_metadata(context, metadata))
            return []

        guard = Guard(
            self.settings,
            "check",
            self.interrupts,
            silent,
            redirect=address,
            takeover=Takeover.NONE,
            read_only=read_only,
        )
        self._move(guard, compare, None)
        return found

    def offline(self, address: Address) -> str:
        """Why the whole chain can't be written down as SQL; empty when it can.

        Parameters:
            address: a database at its head, where a revision that connects nevertheless is led.
        """
        guard = Guard(
            self.settings,
            "check",
            self.interrupts,
            silent,
            redirect=address,
            takeover=Takeover.NONE,
        )
        try:
            with guard, contextlib.redirect_stdout(io.StringIO()) as out:
                self.project.config.output_buffer, before = out, self.project.config.output_buffer
                try:
                    command.upgrade(self.project.config, "base:heads", sql=True)
                finally:
                    self.project.config.output_buffer = before
        except Exception as error:
            return f"{place_in(error, self.project.script) or self.project.script.dir}: {type(error).__name__}: {server_message(error)}"
        return ""

    def dump(self, address: Address) -> str:
        """The schema as text, but for the order of columns, the ledger and the version table."""
        return schema_text(address, self.version_table)

    def _up(self, revision: str) -> Callable[[Any, Any], Any]:
        return lambda rev, _context: self.project.script._upgrade_revs(revision, rev)

    def _watched(
        self, address: Address, target: str, move: Callable[[Any, Any], Any], *, plain: bool
    ) -> ShadowRun:
        watcher = StatementRecorder(address)
        guard = Guard(
            self.settings,
            "check",
            self.interrupts,
            silent,
            redirect=address,
            takeover=Takeover.NONE if plain else Takeover.EXECUTE,
            observer=watcher,
        )
        refusal = None
        try:
            with self._stoppable(address) if plain else contextlib.nullcontext():
                self._move(guard, move, target)
        except SettingsError:
            raise
        except LiftlockError as error:
            self.interrupts.check()
            refusal = Refusal(error.code, error.what, error.why, error.now)
        made_beside = {
            "create_type",
            "drop_type",
        }  # by create_table; plain Alembic sends these past where operations meet
        operations = tuple(
            one
            for one in watcher.operations
            if one.table != self.version_table and one.kind not in made_beside
        )
        observed = tuple(
            one for one in watcher.observed if _shown(one, self.version_table, plain=plain)
        )
        return ShadowRun(RunResult(observed, refusal), operations)

    @contextlib.contextmanager
    def _stoppable(self, address: Address) -> Iterator[None]:
        """A signal ends the sessions on the shadow; liftlock's own run is stopped by itself."""

        def stop() -> None:
            if self.interrupts.stopped:
                with (
                    contextlib.suppress(psycopg.Error),
                    contextlib.closing(connect(address, "check")) as session,
                ):
                    query(session, "throw_out", dbname=address.dbname)

        self.interrupts.every_tick(stop)
        try:
            yield
        finally:
            self.interrupts.no_tick()

    def _move(self, guard: Guard, move: Callable[[Any, Any], Any], target: str | None) -> None:
        script = self.project.script
        try:
            with (
                guard,
                EnvironmentContext(
                    self.project.config,
                    script,
                    fn=move,
                    as_sql=False,
                    starting_rev=None,
                    destination_rev=target,
                ),
            ):
                script.run_env()
        except LiftlockError:
            raise
        except Exception as error:
            self.interrupts.check()
            place = place_in(error, script) or script.dir
            if "env.py" in place:
                only_read = "This command only reads the database: let env.py ask first, and make only what isn't there."
                now = (
                    only_read
                    if guard.read_only and sqlstate(error) == _READ_ONLY
                    else "Correct it, or what it reads."
                )
                raise SettingsError(
                    "LL-ENV-FAILED",
                    f"{place}: {type(error).__name__}: {server_message(error)}",
                    now=now,
                ) from error
            if sqlstate(error) is not None:
                raise StepFailed(
                    "LL-STEP-FAILED", f"{place}: {server_message(error)}", now=remedy(error)
                ) from error
            raise UnsafeRevision(
                "LL-REVISION-RAISED",
                f"{place}: {type(error).__name__}: {error}",
                now="Correct the revision.",
            ) from error


def _shown(one: Any, version_table: str, *, plain: bool) -> bool:
    """Of plain Alembic, all that the revision sent; of liftlock, what took a lock or worked."""
    names_it = re.search(rf"(?<!\w){re.escape(version_table)}(?!\w)", one.sql)
    if names_it and one.kind in {
        "insert",
        "update",
        "delete",
        "create_table",
        "drop_table",
        "connection",
    }:
        return False
    return bool(
        one.error
        or one.work.told()
        or any(held.mode is not LockMode.ACCESS_SHARE for held in one.taken)
    ) or (plain and one.kind != "" and one.line is not None)


def _told(difference: Any) -> str:
    if isinstance(difference, list):
        return "; ".join(_told(one) for one in difference)
    return " ".join(str(one) for one in difference if one is not None)
