"""The project's ``env.py``, run unchanged under guard.

Its call of ``context.configure`` is the seam: from there on the migration context's run is ours.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import HeadMaintainer, MigrationContext
from sqlalchemy.engine import Connection

from liftlock.errors import SettingsError, StepFailed
from liftlock.events import Event, Notify
from liftlock.execution.connection import ProjectConnection, rows
from liftlock.execution.facts import FactCollector
from liftlock.execution.limits import BackfillThrottle, RunLimits
from liftlock.model.operation import Operation
from liftlock.model.plan import PlannedOperation, RevisionPlan
from liftlock.model.revision import Chain, SchemaState, schema_state
from liftlock.planning.plan import plan
from liftlock.postgres.advisory_lock import MigrationLock, single_flight
from liftlock.postgres.ledger import Ledger, applied, chain_of, current_heads, unfinished
from liftlock.postgres.ledger import describe_applied as told_of
from liftlock.postgres.queries import QUERIES
from liftlock.postgres.signals import Signals
from liftlock.postgres.standbys import Standbys
from liftlock.revisions.connections import Connections
from liftlock.revisions.observer import StatementObserver
from liftlock.revisions.project import revision_of
from liftlock.revisions.recorder import NeedsDatabase, Recorder
from liftlock.revisions.runner import Runner, RunReport, script_of
from liftlock.revisions.transactions import (
    assume_role,
    commit,
    connection_of,
    fence,
    qualified,
    take_over_transaction,
    track_explicit_transactions,
)
from liftlock.settings import Address, Settings


@dataclass(slots=True)
class Guard:
    """What stands between ``env.py`` and the database.

    Parameters:
        settings: the environment's.
        command: what runs, for the ledger and for other runners.
        interrupts: entered by the caller.
        notify: who is told.
        redirect: run there, wherever the project wants to.
        look: only look at what would be run.
        plain: leave all to Alembic.
        read_only: nothing can be written.
        observer: observes what is sent.
    """

    settings: Settings
    command: str
    interrupts: Signals
    notify: Notify
    redirect: Address | None = None
    look: bool = False
    plain: bool = False
    read_only: bool = False
    observer: StatementObserver | None = None
    reports: list[RunReport] = field(default_factory=list)
    looks: list[RevisionPlan] = field(default_factory=list)
    _connections: Connections = field(init=False)
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _uncommitted: bool = False
    _airborne: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _flights: dict[tuple[str, str], MigrationLock] = field(default_factory=dict)
    _flown: dict[MigrationLock, RunReport] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Prepare to watch the connections."""
        more = {"client_min_messages": "debug1"} if self.observer is not None else {}
        if self.read_only:
            more["default_transaction_read_only"] = "on"
        self._connections = Connections(self.command, self.redirect, more)

    def __enter__(self) -> Self:
        """Stand guard: patch ``configure`` and watch the connections."""
        self._stack.enter_context(self._connections.installed())
        self._stack.enter_context(track_explicit_transactions())
        self._stack.enter_context(_patched(self))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Verify what was reported, then let the next runner fly."""
        with self._stack, self._airborne:
            if kind is None:
                self._verify()

    def attach(self, environment: EnvironmentContext) -> None:
        """Take over the run of a migration context that was just configured."""
        context = environment.get_context()
        moves = environment.context_opts.get("destination_rev") is not None
        if (
            not moves
            or context.as_sql
            or context.connection is None
            or context.dialect.name != "postgresql"
        ):
            return
        if self.observer is not None:
            self._stack.enter_context(self.observer.watching(context))
        if not self.plain:
            run = self._look_at if self.look else self._run
            context.run_migrations = functools.partial(run, context)  # type: ignore[method-assign]

    def _run(self, context: MigrationContext, **arguments: Any) -> None:
        with take_over_transaction(context) as atomic:
            self._uncommitted = self._uncommitted or atomic
            self._fly(context, arguments, atomic=atomic)
        if not self._uncommitted:
            self._land()

    def _fly(self, context: MigrationContext, arguments: dict[str, Any], *, atomic: bool) -> None:
        connection = connection_of(context)
        rows(
            connection,
            "SELECT set_config('lock_timeout', :budget, false)",
            {"budget": str(self.settings.lock_timeout)},
        )
        version_table = qualified(context)
        pid = rows(connection, "SELECT pg_backend_pid() AS pid", {})[0]["pid"]
        flight = self._flight(connection, version_table)
        with fence(connection, flight, self.settings.deadline, atomic=atomic):
            context.impl.start_migrations()
            heads = context.get_current_heads()
            if self._unknown(context, flight, version_table, frozenset(heads)):
                return
            if not heads and not context.opts.get("dont_mutate"):
                context._ensure_version_table()
                commit(connection, atomic=atomic)
            maintainer = HeadMaintainer(context, heads)
            report = RunReport(version_table, frozenset(heads))
            self._reported(report, flight)
            steps = list(context._migrations_fn(heads, context))  # type: ignore[misc]
            if steps or unfinished(flight.session, version_table):
                working = ProjectConnection(connection)
                if self.observer is not None:
                    self.observer.running(working)
                ledger = self._ledger(working, version_table, atomic=atomic)
                runner = Runner(
                    context,
                    working,
                    ledger,
                    self._policy(flight),
                    pid=pid,
                    atomic=atomic,
                    observer=self.observer,
                )
                marked = self.observer.marked(steps) if self.observer is not None else steps
                for revision in runner.run(marked, maintainer, arguments):
                    report.ran.append(revision)
            report.after = frozenset(maintainer.heads)
            commit(connection, atomic=atomic)

    def _unknown(
        self,
        context: MigrationContext,
        flight: MigrationLock,
        version_table: str,
        heads: frozenset[str],
    ) -> bool:
        """Whether the database is newer than this build and has all that it needs, so that nothing is to be done.

        Raises:
            SettingsError: it holds revisions that this build doesn't know, and can't pass over.
        """
        script = script_of(context)
        chain = Chain.of(revision_of(one) for one in script.walk_revisions())
        if heads <= set(chain.revisions):
            return False
        rows_ = applied(flight.session, version_table)
        newer = [row for row in rows_ if row.revision.id not in chain.revisions]
        if schema_state(chain, chain.heads, heads, chain_of(rows_)) is not SchemaState.NEWER:
            raise SettingsError(
                "LL-UNKNOWN-REVISION",
                f"The database is at {_listed(heads)}, which this build doesn't know and the ledger says nothing about.",
                why="Either this build is older than the database and liftlock didn't record how they relate, or this"
                " is the database of another project.",
                now="Use the build that belongs to this database.",
            )
        if self.command == "downgrade":
            raise SettingsError(
                "LL-DATABASE-NEWER",
                f"The database is newer than this build: it also has {told_of(newer)}.",
                why="Only the build that has these revisions can take them back.",
                now="Downgrade with that build.",
            )
        self.notify(
            Event(
                "schema.accepted",
                f"the database is newer than this build, and has all it needs; since then: {told_of(newer)}",
            )
        )
        self._reported(RunReport(version_table, heads, heads), flight)
        return True

    def _reported(self, report: RunReport, flight: MigrationLock) -> None:
        self.reports.append(report)
        self._flown[flight] = report

    def _look_at(self, context: MigrationContext, **arguments: Any) -> None:
        with take_over_transaction(context):
            self._look_through(context, arguments)

    def _look_through(self, context: MigrationContext, arguments: dict[str, Any]) -> None:
        connection = connection_of(context)
        heads = context.get_current_heads()
        self.reports.append(RunReport(qualified(context), frozenset(heads), frozenset(heads)))
        working = ProjectConnection(connection)
        survey = FactCollector(working, self.settings.small_table, self.settings.allow, {})
        for step in context._migrations_fn(heads, context):  # type: ignore[misc]
            seen: list[PlannedOperation] = []
            survey.begin()
            recorder = Recorder(context, working, None, functools.partial(_note_look, survey, seen))
            asks = False
            with contextlib.suppress(_Looked), recorder.recording(step.revision.path):
                try:
                    step.migration_fn(**arguments)
                except NeedsDatabase:
                    asks = True
                    raise _Looked from None
                finally:
                    self.looks.append(RevisionPlan(step.revision.revision, tuple(seen), asks))
        connection.rollback() if hasattr(connection, "rollback") else None

    def _flight(self, connection: Connection, version_table: str) -> MigrationLock:
        """The lock for this database and version table, held until what is done is committed."""
        address = self._connections.address_of(connection)
        self._expect(address)
        key = (repr(address), version_table)
        if key not in self._flights:
            flight = self._airborne.enter_context(
                single_flight(
                    address,
                    version_table,
                    self.command,
                    self.settings.deadline,
                    self.interrupts,
                    self.notify,
                    self.settings.cancel,
                )
            )
            assume_role(connection, flight)
            self._flights[key] = flight
        flight = self._flights[key]
        seen = rows(connection, QUERIES["lock_holder"], {"key": flight.key})
        if flight.pid not in [row["pid"] for row in seen]:
            raise SettingsError(
                "LL-ENV-OTHER-SERVER",
                f"The connection that env.py opened isn't to the server that {address!r} leads to.",
                why="The single-flight lock would guard another database than the one that is changed.",
                now="Give env.py the address of the server itself, not of a proxy or pooler.",
            )
        return flight

    def _expect(self, address: Address) -> None:
        expected = self.redirect or self.settings.address
        if expected is not None and (expected.dbname, expected.port) != (
            address.dbname,
            address.port,
        ):
            raise SettingsError(
                "LL-ENV-OTHER-ADDRESS",
                f"env.py connects to {address!r}, but the environment says {expected!r}.",
                why="One of them is a mistake, and a migration of the wrong database can't be undone.",
                now="Make them agree: let env.py read the same variables, or unset DATABASE_URL and POSTGRES_….",
            )

    def _policy(self, flight: MigrationLock) -> RunLimits:
        return RunLimits(
            deadline=self.settings.deadline,
            budget=self.settings.lock_timeout,
            small_table_bytes=self.settings.small_table,
            allowed=self.settings.allow,
            throttle=BackfillThrottle(
                self.settings.backfill_share,
                self.settings.backfill_lag,
                self.settings.backfill_workers,
            ),
            signals=self.interrupts,
            lock=flight,
            standbys=Standbys(flight.address, self.settings.standbys, self.notify),
            notify=self.notify,
            isolate_statements=self.observer is not None,
        )

    def _ledger(self, working: ProjectConnection, version_table: str, *, atomic: bool) -> Ledger:
        ledger = Ledger(working.of_the_ledger, version_table)
        ledger.prepare()
        ledger.begin_run(self.command, self.settings.release)
        commit(working.connection, atomic=atomic)
        return ledger

    def _land(self) -> None:
        """What is done is committed, so the next runner may fly: of many tenants, each is locked in its turn."""
        with self._airborne:
            self._verify()
        self._flights.clear()
        self._flown.clear()

    def _verify(self) -> None:
        """Look from a second session: what is reported must be what is committed.

        Raises:
            StepFailed: it isn't.
        """
        for flight, report in self._flown.items():
            found = current_heads(flight.session, report.version_table)
            if found != report.after:
                raise StepFailed(
                    "LL-ENV-NOT-COMMITTED",
                    f"The run reported {_listed(report.after)}, but {report.version_table} holds {_listed(found)}.",
                    why="The project's env.py rolled back what was run, or never committed it.",
                    now="Look for a transaction that env.py begins and doesn't commit.",
                )


def _note_look(survey: FactCollector, seen: list[PlannedOperation], operation: Operation) -> None:
    facts, makes = survey.facts(operation), survey.makes(operation)
    seen.append(
        PlannedOperation(operation, plan(operation, facts), facts.tables.get(operation.relation))
    )
    if makes:
        survey.announced(operation.relation)


class _Looked(Exception):
    """A revision was looked at as far as it goes."""


_active: Guard | None = None


def active() -> Guard | None:
    """The guard that stands now."""
    return _active


@contextlib.contextmanager
def _patched(guard: Guard) -> Iterator[None]:
    global _active
    real = EnvironmentContext.configure

    @functools.wraps(real)
    def configure(environment: EnvironmentContext, *args: Any, **kwargs: Any) -> None:
        real(environment, *args, **kwargs)
        guard.attach(environment)

    before, _active = _active, guard
    EnvironmentContext.configure = configure  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        EnvironmentContext.configure = real  # type: ignore[method-assign]
        _active = before


def _listed(heads: frozenset[str]) -> str:
    return ", ".join(sorted(heads)) or "no revision"


def run_finished(reports: list[RunReport]) -> Event:
    """The end of a run as an event."""
    ran = [revision for report in reports for revision in report.ran]
    heads = sorted({head for report in reports for head in report.after})
    text = f"at {', '.join(heads) or 'base'}: " + (
        f"{len(ran)} revisions run" if ran else "nothing to do"
    )
    return Event("run.finished", text, {"heads": heads, "ran": ran})
