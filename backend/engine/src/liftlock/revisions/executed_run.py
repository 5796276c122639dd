"""Executes the revisions of a migration context, under the single-flight lock of its database."""

from __future__ import annotations

import contextlib
from typing import Any

from alembic.runtime.migration import HeadMaintainer, MigrationContext
from sqlalchemy.engine import Connection

from liftlock.errors import SettingsError, StepFailed
from liftlock.events import Event, Notify
from liftlock.execution.connection import ProjectConnection, rows
from liftlock.execution.limits import BackfillThrottle, RunLimits
from liftlock.execution.session_settings import SessionSettings
from liftlock.execution.transaction import commit_open
from liftlock.model.revision import Chain, SchemaState, schema_state
from liftlock.postgres.advisory_lock import LockRequest, MigrationLock, hold_lock
from liftlock.postgres.applied import (
    applied,
    chain_of,
    current_heads,
    describe_applied,
    unfinished,
)
from liftlock.postgres.ledger import Ledger
from liftlock.postgres.queries import QUERIES
from liftlock.postgres.signals import Signals
from liftlock.postgres.standbys import Standbys
from liftlock.postgres.standing import unknown_revision
from liftlock.revisions.connections import Connections
from liftlock.revisions.fence import fence
from liftlock.revisions.migration_context import connection_of, script_of, version_table_of
from liftlock.revisions.observer import StatementObserver
from liftlock.revisions.project import revision_of
from liftlock.revisions.project_transaction import CustomSettings, take_over_transaction
from liftlock.revisions.runner import Runner, RunParts, RunReport
from liftlock.settings import Address, Settings


class ExecutedRun:
    """Executes revisions.

    Parameters:
        settings: the settings of liftlock.
        command: the command, for the ledger and for other runners.
        signals: SIGTERM and SIGINT.
        notify: receives the events of the run.
        connections: know the addresses of the project's connections.
        custom: the parameters of two-part names that env.py sets.
        expected: the address that env.py is to connect to; None where the environment names none.
        observer: observes the statements that are sent.
    """

    def __init__(  # noqa: PLR0913 - the parts of a run
        self,
        settings: Settings,
        command: str,
        signals: Signals,
        notify: Notify,
        connections: Connections,
        custom: CustomSettings,
        *,
        expected: Address | None,
        observer: StatementObserver | None,
    ) -> None:
        self.reports: list[RunReport] = []
        self._settings = settings
        self._command = command
        self._signals = signals
        self._notify = notify
        self._connections = connections
        self._custom = custom
        self._expected = expected
        self._observer = observer
        self._has_external = False
        self._lock_stack = contextlib.ExitStack()
        self._locks: dict[tuple[str, str], MigrationLock] = {}
        self._unverified: dict[MigrationLock, RunReport] = {}

    def run(self, context: MigrationContext, **arguments: Any) -> None:  # noqa: ANN401 - the project's
        """Take the place of the context's ``run_migrations``."""
        with take_over_transaction(context, self._custom) as external:
            self._has_external = self._has_external or external
            self._run_locked(context, arguments, external=external)
        if not self._has_external:
            self._release_locks()

    def finish(self) -> None:
        """Verify in another session that what is reported is what is committed.

        Raises:
            StepFailed: it isn't.
        """
        for lock, report in self._unverified.items():
            found = current_heads(lock.session, report.version_table)
            if found != report.after:
                raise StepFailed(
                    "LL-ENV-NOT-COMMITTED",
                    f"The run reported {_listed(report.after)}, but {report.version_table} holds"
                    f" {_listed(found)}.",
                    why="The project's env.py rolled back the run, or never committed it.",
                    now="Find the transaction that env.py begins and doesn't commit, such as"
                    " connection.begin() without `with`.",
                )

    def close(self) -> None:
        """Release the locks that are still held."""
        self._lock_stack.close()

    def _release_locks(self) -> None:
        """Let the next runner work: of many tenants, each database is locked in its turn."""
        with self._lock_stack:
            self.finish()
        self._locks.clear()
        self._unverified.clear()

    def _run_locked(
        self, context: MigrationContext, arguments: dict[str, Any], *, external: bool
    ) -> None:
        connection = connection_of(context)
        version_table = version_table_of(context)
        self._begin_waiting(connection, external=external)
        lock = self._lock(connection, version_table)
        with fence(connection, lock, self._settings.deadline, external=external):
            context.impl.start_migrations()
            heads = context.get_current_heads()
            if self._is_newer(context, lock, version_table, frozenset(heads)):
                return
            if not heads and not context.opts.get("dont_mutate"):
                context._ensure_version_table()  # noqa: SLF001 - patches.PATCHES
                commit_open(connection, external=external)
            maintainer = HeadMaintainer(context, heads)
            report = RunReport(version_table, frozenset(heads))
            self._add_report(report, lock)
            steps = list(context._migrations_fn(heads, context))  # type: ignore[misc] # noqa: SLF001 - patches.PATCHES
            if steps or unfinished(lock.session, version_table):
                parts = self._parts(context, lock, version_table, external=external)
                marked = self._observer.marked(steps) if self._observer is not None else steps
                report.ran += Runner(parts, maintainer, arguments).run(marked)
            report.after = frozenset(maintainer.heads)
            commit_open(connection, external=external)

    def _begin_waiting(self, connection: Connection, *, external: bool) -> None:
        """Set the lock timeout, and hold no snapshot while another run has the lock.

        That run may build an index concurrently, which waits for the end of older snapshots:
        https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY.
        A transaction keeps the snapshot of its last query until its next statement, and ``SET``
        takes none.
        """
        statement = f"SET lock_timeout = {self._settings.lock_timeout}"
        ProjectConnection(connection).send(statement)
        commit_open(connection, external=external)

    def _parts(
        self, context: MigrationContext, lock: MigrationLock, version_table: str, *, external: bool
    ) -> RunParts:
        """Prepare what runs revisions; this writes the ledger's row of the run."""
        connection = ProjectConnection(connection_of(context))
        settings = SessionSettings(connection)
        (backend,) = connection.rows(QUERIES["backend"])
        ledger = Ledger(settings.ledger_rows, version_table)
        ledger.prepare()
        ledger.begin_run(self._command, self._settings.release)
        commit_open(connection.connection, external=external)
        return RunParts(
            context=context,
            connection=connection,
            settings=settings,
            ledger=ledger,
            limits=self._limits(lock),
            pid=backend["pid"],
            external=external,
            observer=self._observer,
        )

    def _is_newer(
        self,
        context: MigrationContext,
        lock: MigrationLock,
        version_table: str,
        heads: frozenset[str],
    ) -> bool:
        """Return whether the database is newer than this build and has all that it needs.

        Raises:
            SettingsError: it has revisions that this build doesn't know, and the ledger doesn't say
                how they relate; or they would have to be reverted.
        """
        chain = Chain.of(revision_of(script) for script in script_of(context).walk_revisions())
        if heads <= set(chain.revisions):
            return False
        recorded = applied(lock.session, version_table)
        newer = [row for row in recorded if row.revision.id not in chain.revisions]
        state = schema_state(chain, chain.heads, heads, chain_of(recorded))
        if state is not SchemaState.NEWER:
            raise unknown_revision(heads, chain.heads)
        described = describe_applied(newer)
        if self._command == "downgrade":
            raise SettingsError(
                "LL-DATABASE-NEWER",
                f"The database is newer than this build: it also has {described}.",
                why="Only the build that has these revisions can revert them.",
                now="Run the downgrade with that build.",
            )
        text = f"the database is newer than this build and has all that it needs; also {described}"
        self._notify(Event("schema.accepted", text))
        self._add_report(RunReport(version_table, heads, heads), lock)
        return True

    def _add_report(self, report: RunReport, lock: MigrationLock) -> None:
        self.reports.append(report)
        self._unverified[lock] = report

    def _lock(self, connection: Connection, version_table: str) -> MigrationLock:
        """Return the single-flight lock of a database and version table, held until the commit.

        Raises:
            SettingsError: the connection of env.py leads to another server than its address.
            NotNow: another run holds the lock until the deadline.
        """
        address = self._connections.address_of(connection)
        self._require_expected(address)
        key = (repr(address), version_table)
        if key not in self._locks:
            lock = self._lock_stack.enter_context(
                hold_lock(
                    LockRequest(
                        address,
                        version_table,
                        self._command,
                        self._settings.deadline,
                        self._settings.cancel,
                    ),
                    self._signals,
                    self._notify,
                )
            )
            _assume_role(connection, lock)
            self._locks[key] = lock
        lock = self._locks[key]
        holders = rows(connection, QUERIES["lock_holder"], {"key": lock.key})
        if lock.pid not in [row["pid"] for row in holders]:
            raise SettingsError(
                "LL-ENV-OTHER-SERVER",
                f"The connection that env.py opened isn't to the server that {address!r} leads to.",
                why="The single-flight lock would guard another database than the one that is"
                " changed.",
                now="Give env.py the address of the server itself, not of a proxy or a pooler.",
            )
        return lock

    def _require_expected(self, address: Address) -> None:
        """Compare the address of env.py with the one of the environment.

        Raises:
            SettingsError: they differ.
        """
        expected = self._expected
        if expected is None:
            return
        if (expected.dbname, expected.port) != (address.dbname, address.port):
            raise SettingsError(
                "LL-ENV-OTHER-ADDRESS",
                f"env.py connects to {address!r}, but the environment says {expected!r}.",
                why="One of them is a mistake, and a migration of the wrong database can't be"
                " undone.",
                now="Make them agree: let env.py read the same variables, or unset DATABASE_URL and"
                " POSTGRES_….",
            )

    def _limits(self, lock: MigrationLock) -> RunLimits:
        settings = self._settings
        return RunLimits(
            deadline=settings.deadline,
            budget=settings.lock_timeout,
            small_table_bytes=settings.small_table,
            allowed=settings.allow,
            throttle=BackfillThrottle(
                settings.backfill_share, settings.backfill_lag, settings.backfill_workers
            ),
            signals=self._signals,
            lock=lock,
            standbys=Standbys(lock.address, settings.standbys, self._notify),
            notify=self._notify,
            isolate_statements=self._observer is not None,
        )


def _assume_role(connection: Connection, lock: MigrationLock) -> None:
    """Follow a ``SET ROLE`` of env.py, so that the second session may read what the first owns."""
    (found,) = rows(connection, QUERIES["role"], {})
    if not found["logged_in"]:
        lock.assume_role(found["role"])


def _listed(heads: frozenset[str]) -> str:
    return ", ".join(sorted(heads)) or "no revision"
