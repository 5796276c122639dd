"""Runs a revision on a shadow: by plain Alembic, by liftlock, and back down again."""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, MigrationStep

from liftlock.errors import LiftlockError, SettingsError
from liftlock.events import silent
from liftlock.model.lock import LockMode
from liftlock.model.operation import Operation
from liftlock.postgres.session import connect, query
from liftlock.postgres.signals import Signals
from liftlock.postgres.sqlstates import server_message, sqlstate
from liftlock.postgres.ticker import Ticker
from liftlock.revisions.failures import env_failed, revision_raised, step_failed
from liftlock.revisions.guard import Guard, Takeover
from liftlock.revisions.project import Project, place_in
from liftlock.revisions.repetition import RunReport
from liftlock.settings import Address, Settings
from liftlock.shadow.dump import difference, schema_objects, schema_text
from liftlock.shadow.observed import ObservedStatement
from liftlock.shadow.result import DowngradeResult, Refusal, RunResult
from liftlock.shadow.statement_recorder import StatementRecorder
from liftlock.sql import mentions

_READ_ONLY_SQL_TRANSACTION = "25006"
_TYPES_OF_TABLES = frozenset({"create_type", "drop_type"})
"""Operations on a table's types. Plain Alembic sends them without its function for operations, so
they would be a difference between the two runs."""
_USES_OF_VERSION_TABLE = frozenset(
    {"insert", "update", "delete", "create_table", "drop_table", "connection"}
)


ChooseSteps = Callable[[Any, Any], Any]
"""Alembic's ``fn``: chooses the steps to be run, by the current heads and the migration context."""


@dataclass(frozen=True, slots=True)
class ShadowRun:
    """One run of a revision.

    Parameters:
        trial: its statements, and the error that ended it.
        operations: the operations of the revision, except those on the version table.
    """

    trial: RunResult
    operations: tuple[Operation, ...] = ()


@dataclass(slots=True)
class ShadowRunner:
    """Runs revisions of a project on shadows.

    Parameters:
        project: the project.
        settings: the settings of liftlock.
        signals: SIGTERM and SIGINT, which stop a run.
    """

    project: Project
    settings: Settings
    signals: Signals
    version_table: str = field(default="alembic_version", init=False)

    def __post_init__(self) -> None:
        """Treat every table as a large one: the tables of a shadow are empty."""
        self.settings = copy.copy(self.settings)
        self.settings.small_table = 0

    def build(self, address: Address, revision: str) -> None:
        """Upgrade a database to a revision by plain Alembic, without observing it.

        Raises:
            LiftlockError: env.py or a revision failed.
        """
        guard = self._guard(address, plain=True)
        with self._stoppable(address):
            self._run_env(guard, self._upgrade_to(revision), revision)

    def run_env(self, address: Address) -> None:
        """Run env.py without a revision.

        Its own changes then don't belong to the first revision. It also names the version table.

        Raises:
            LiftlockError: env.py failed.
        """
        recorder = StatementRecorder(address)
        guard = self._guard(address, plain=True, observer=recorder)
        with self._stoppable(address):
            self._run_env(guard, _no_steps, "heads")
        self.version_table = recorder.version_table

    def applied_heads(self, address: Address) -> RunReport:
        """Read the heads of a database through env.py, which can't write.

        Raises:
            LiftlockError: env.py failed, or it names no version table.
        """
        guard = Guard(
            self.settings,
            "drift",
            self.signals,
            silent,
            redirect=address,
            takeover=Takeover.PLAN,
            read_only=True,
        )
        self._run_env(guard, _no_steps, "heads")
        self.version_table = guard.reports[0].version_table
        return guard.reports[0]

    def run(self, address: Address, revision: str, *, plain: bool) -> ShadowRun:
        """Run a revision by plain Alembic, or by liftlock."""
        return self._observed(address, revision, self._upgrade_to(revision), plain=plain)

    def downgrade(
        self, address: Address, revision: str, target: str, before: str, *, plain: bool
    ) -> DowngradeResult:
        """Run the downgrade of a revision, then its upgrade again; other branches stay as they are.

        Parameters:
            address: a database at the revision.
            revision: the revision.
            target: a revision before it, or ``base``, for an env.py that asks for it.
            before: the schema before the upgrade, as text.
            plain: run both by plain Alembic; otherwise by liftlock.
        """
        script = self.project.script
        step = MigrationStep.downgrade_from_script(
            script.revision_map, script.get_revision(revision)
        )
        down = self._observed(address, target, lambda _heads, _context: [step], plain=plain)
        if down.trial.refusal is not None:
            return DowngradeResult(error=down.trial.refusal.what)
        after = self.dump(address)
        sent = [one for one in down.trial.observed if one.kind == "connection"]
        statements = len(down.operations) + len(sent)
        # A downgrade that does nothing leaves the schema as it is: an upgrade would fail.
        up = self.run(address, revision, plain=plain) if statements else down
        refusal = up.trial.refusal
        return DowngradeResult(
            statements,
            difference=difference(before, after),
            upgrade_again_error=refusal.what if refusal is not None else "",
        )

    def model_differences(self, address: Address, *, read_only: bool) -> list[str]:
        """Compare a database with the models, by Alembic's autogenerate.

        Parameters:
            address: the database.
            read_only: whether env.py may only read.

        Returns:
            The changes that would make the database match the models; none if env.py has no
            ``target_metadata``.

        Raises:
            LiftlockError: env.py failed.
        """
        changes: list[str] = []

        def compare(_heads: object, context: MigrationContext) -> list[MigrationStep]:
            metadata = context.opts.get("target_metadata")
            if metadata is not None:
                changes.extend(_describe(change) for change in compare_metadata(context, metadata))
            return []

        guard = self._guard(address, plain=True, read_only=read_only)
        self._run_env(guard, compare, None)
        return changes

    def offline_error(self, address: Address) -> str:
        """Write the whole chain as SQL in offline mode; return the error, or an empty text.

        Parameters:
            address: a database at the head of the chain, for revisions that connect nevertheless.
        """
        config = self.project.config
        guard = self._guard(address, plain=True)
        try:
            with contextlib.redirect_stdout(io.StringIO()) as output:
                before, config.output_buffer = config.output_buffer, output
                try:
                    guard.run(lambda: command.upgrade(config, "base:heads", sql=True))
                finally:
                    config.output_buffer = before
        except Exception as error:  # noqa: BLE001 - revisions raise anything
            return f"{self._place_of(error)}: {type(error).__name__}: {server_message(error)}"
        return ""

    def dump(self, address: Address) -> str:
        """Return the schema of a database as text, without the ledger and the version table."""
        return schema_text(address, self.version_table)

    def objects(self, address: Address) -> list[str]:
        """Return the definitions of a database's objects, as text like ``dump``."""
        return schema_objects(address, self.version_table)

    def _upgrade_to(self, revision: str) -> ChooseSteps:
        script = self.project.script
        return lambda heads, _context: script._upgrade_revs(revision, heads)  # noqa: SLF001 - as alembic.command.upgrade

    def _guard(
        self,
        address: Address,
        *,
        plain: bool,
        read_only: bool = False,
        observer: StatementRecorder | None = None,
    ) -> Guard:
        """Return a guard that redirects all connections of env.py to an address."""
        return Guard(
            self.settings,
            "check",
            self.signals,
            silent,
            redirect=address,
            takeover=Takeover.NONE if plain else Takeover.EXECUTE,
            read_only=read_only,
            observer=observer,
        )

    def _observed(
        self, address: Address, target: str, choose: ChooseSteps, *, plain: bool
    ) -> ShadowRun:
        """Run steps, and record their statements."""
        recorder = StatementRecorder(address)
        guard = self._guard(address, plain=plain, observer=recorder)
        refusal = None
        try:
            with self._stoppable(address) if plain else contextlib.nullcontext():
                self._run_env(guard, choose, target)
        except SettingsError:
            raise
        except LiftlockError as error:
            self.signals.check()
            refusal = Refusal(error.code, error.what, error.why, error.now)
        operations = [
            operation
            for operation in recorder.operations
            if operation.table != self.version_table and operation.kind not in _TYPES_OF_TABLES
        ]
        observed = [
            statement
            for statement in recorder.observed
            if is_shown(statement, self.version_table, plain=plain)
        ]
        return ShadowRun(RunResult(tuple(observed), refusal), tuple(operations))

    @contextlib.contextmanager
    def _stoppable(self, address: Address) -> Iterator[None]:
        """Terminate the sessions on the shadow when a signal comes; plain Alembic wouldn't stop.

        A run of liftlock stops without that.
        """

        def stop() -> None:
            if self.signals.stopped:
                with (
                    contextlib.suppress(psycopg.Error),
                    contextlib.closing(connect(address, "check")) as session,
                ):
                    query(session, "throw_out", dbname=address.dbname)

        with Ticker(stop, "liftlock-shadow"):
            yield

    def _run_env(self, guard: Guard, choose: ChooseSteps, target: str | None) -> None:
        """Run env.py with a function that chooses the steps.

        Raises:
            LiftlockError: env.py or a revision failed.
        """
        script = self.project.script
        environment = EnvironmentContext(
            self.project.config,
            script,
            fn=choose,
            as_sql=False,
            starting_rev=None,
            destination_rev=target,
        )

        def run_env() -> None:
            with environment:
                script.run_env()

        try:
            guard.run(run_env)
        except LiftlockError:
            raise
        except Exception as error:
            self.signals.check()
            raise self._error(error, read_only=guard.read_only) from error

    def _error(self, error: Exception, *, read_only: bool) -> LiftlockError:
        """Return an exception of env.py or of a revision as an error for its reader."""
        place = self._place_of(error)
        if "env.py" in place:
            return env_failed(error, place, why=_why_env_failed(error, read_only=read_only))
        if sqlstate(error) is not None:
            return step_failed(error, f"{place}: {server_message(error)}")
        return revision_raised(f"{place}: {type(error).__name__}: {error}")

    def _place_of(self, error: Exception) -> str:
        """Return the file and the line of an exception, or the script directory."""
        script = self.project.script
        return place_in(error, script) or str(script.dir)


def is_shown(statement: ObservedStatement, version_table: str, *, plain: bool) -> bool:
    """Return whether a statement belongs to the report.

    Of plain Alembic, these are the statements of the revision. Of liftlock, they are those that
    failed, worked, or acquired a lock that is stronger than ACCESS SHARE.

    Parameters:
        statement: the statement.
        version_table: the version table, whose statements aren't shown.
        plain: whether plain Alembic ran it.
    """
    uses_version_table = statement.kind in _USES_OF_VERSION_TABLE
    if uses_version_table and mentions(statement.sql, version_table):
        return False
    if statement.error or statement.work.describe():
        return True
    if any(lock.mode is not LockMode.ACCESS_SHARE for lock in statement.taken):
        return True
    return plain and statement.kind != "" and statement.line is not None


def _no_steps(_heads: object, _context: object) -> list[MigrationStep]:
    return []


def _why_env_failed(error: Exception, *, read_only: bool) -> str:
    if read_only and sqlstate(error) == _READ_ONLY_SQL_TRANSACTION:
        return (
            "This command only reads the database, but env.py writes to it. Let env.py query the"
            " database first, and create only what is missing."
        )
    return "Without env.py, no revision can be run."


def _describe(change: object) -> str:
    """Describe a change of Alembic's autogenerate: a tuple, or a list of tuples."""
    if isinstance(change, list):
        return "; ".join(_describe(part) for part in change)
    if not isinstance(change, tuple):
        return str(change)
    return " ".join(str(part) for part in change if part is not None)
