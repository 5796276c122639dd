"""Executes the revisions of a migration context, under the single-flight lock of its database."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterable
from typing import Any

import psycopg
from alembic.runtime.migration import HeadMaintainer, MigrationContext
from sqlalchemy.engine import Connection

from liftlock.errors import SettingsError, StepFailed
from liftlock.events import Event, Notify
from liftlock.execution.connection import ProjectConnection, rows
from liftlock.execution.limits import BackfillThrottle, RunLimits
from liftlock.execution.session_settings import SessionSettings
from liftlock.execution.transaction import commit_open
from liftlock.postgres.advisory_lock import (
    LockHeldError,
    LockRequest,
    MigrationLock,
    claim_key,
    hold_lock,
    wait_for_lock,
)
from liftlock.postgres.applied import (
    current_heads,
    unfinished,
)
from liftlock.postgres.ledger import Ledger
from liftlock.postgres.probe import is_connection_refused, refused
from liftlock.postgres.queries import LEDGER, QUERIES
from liftlock.postgres.signals import Signals
from liftlock.postgres.standbys import Standbys
from liftlock.revisions.alembic_step import AlembicStep
from liftlock.revisions.connections import Connections
from liftlock.revisions.fence import fence
from liftlock.revisions.migration_context import (
    connection_of,
    require_distinct,
    script_of,
    steps_of,
    version_table_of,
)
from liftlock.revisions.newer_database import describe_newer
from liftlock.revisions.observer import StatementObserver
from liftlock.revisions.project_transaction import CustomSettings, take_over_transaction
from liftlock.revisions.repetition import RunAgain, RunHistory, RunKey, RunReport
from liftlock.revisions.runner import Runner, RunParts, SessionLostError
from liftlock.settings import Address, Settings

_PAUSE_SECONDS = 0.2
"""Before a lost session is replaced, and at least before a refused one is asked for again."""
_LONGEST_PAUSE = 5.0


class ExecutedRun:
    """Executes revisions.

    Parameters:
        settings: the settings of liftlock.
        command: the command, for the ledger and for other runners.
        signals: SIGTERM and SIGINT.
        notify: receives the events of the run.
        connections: know the addresses of the project's connections.
        custom: the parameters of two-part names that env.py sets.
        history: what earlier runs of env.py left.
        expected: the address that env.py is to connect to; None where the environment names none.
        observer: observes the statements that are sent.

    ``postponed`` is the exception that ended env.py in order to run it again, else None.
    """

    def __init__(  # noqa: PLR0913 - the parts of a run
        self,
        settings: Settings,
        command: str,
        signals: Signals,
        notify: Notify,
        connections: Connections,
        custom: CustomSettings,
        history: RunHistory,
        *,
        expected: Address | None,
        observer: StatementObserver | None,
    ) -> None:
        self.reports: list[RunReport] = []
        self.postponed: RunAgain | None = None
        self._settings = settings
        self._command = command
        self._signals = signals
        self._notify = notify
        self._connections = connections
        self._custom = custom
        self._history = history
        self._expected = expected
        self._observer = observer
        self._has_external = False
        self._lock_stack = contextlib.ExitStack()
        self._locks: dict[RunKey, MigrationLock] = {}
        self._unverified: dict[RunKey, RunReport] = {}

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
        for key, report in self._unverified.items():
            found = current_heads(self._locks[key].session, report.version_table)
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
        for key, report in self._unverified.items():
            self._history.keep(key, report)
        self._locks.clear()
        self._unverified.clear()

    def _run_locked(
        self, context: MigrationContext, arguments: dict[str, Any], *, external: bool
    ) -> None:
        connection = connection_of(context)
        version_table = version_table_of(context)
        address = self._connections.address_of(connection)
        self._require_expected(address)
        key = (repr(address), version_table)
        self._set_lock_timeout(connection)
        if self._is_done(context, key):
            commit_open(connection, external=external)
            return
        lock = self._lock(connection, address, version_table)
        deadline = self._settings.deadline
        with fence(connection, lock, deadline, self._signals, external=external):
            context.impl.start_migrations()
            heads = context.get_current_heads()
            newer = describe_newer(context, lock, version_table, heads, self._command)
            if newer:
                self._notify(Event("schema.accepted", newer))
                self._add_report(RunReport(version_table, frozenset(heads), frozenset(heads)), key)
                return
            if not heads and not context.opts.get("dont_mutate"):
                context._ensure_version_table()  # noqa: SLF001 - patches.PATCHES
                commit_open(connection, external=external)
            maintainer = HeadMaintainer(context, heads)
            report = self._history.continued(key, RunReport(version_table, frozenset(heads)))
            self._add_report(report, key)
            steps = steps_of(context, heads)
            if steps:
                require_distinct(heads, version_table)
            if steps or unfinished(lock.session, version_table):
                parts = self._parts(context, lock, key, external=external)
                marked = self._observer.marked(steps) if self._observer is not None else steps
                self._run_steps(Runner(parts, maintainer, arguments), marked, report, key)
            report.after = frozenset(maintainer.heads)
            commit_open(connection, external=external)

    def _run_steps(
        self, runner: Runner, steps: Iterable[AlembicStep], report: RunReport, key: RunKey
    ) -> None:
        """Run steps, and report each revision when it is committed.

        Raises:
            RunAgain: the session is lost; env.py is to open another one.
        """
        try:
            for revision in runner.run(steps):
                report.ran.append(revision)
        except SessionLostError as error:
            self._history.keep(key, report)
            self._history.has_lost_session = True
            pause = self._signals.sleep
            raise self._postponed(lambda: pause(_PAUSE_SECONDS)) from error

    def _set_lock_timeout(self, connection: Connection) -> None:
        statement = f"SET lock_timeout = {self._settings.lock_timeout}"
        ProjectConnection(connection).send(statement)

    def _is_done(self, context: MigrationContext, key: RunKey) -> bool:
        """Return whether nothing is to be run, and report that; this takes no lock.

        Containers that start together, or that waited for another run, don't wait for each other.
        """
        heads = context.get_current_heads()
        known = {script.revision for script in script_of(context).walk_revisions()}
        if not heads or not known.issuperset(heads):
            return False
        if steps_of(context, heads):
            return False
        connection = connection_of(context)
        (ledger,) = rows(connection, LEDGER["readable"], {})
        version_table = key[1]
        if ledger["readable"] and rows(
            connection, LEDGER["unfinished"], {"version_table": version_table}
        ):
            return False
        report = RunReport(version_table, frozenset(heads), frozenset(heads))
        report = self._history.continued(key, report)
        self._history.keep(key, report)
        self.reports.append(report)
        return True

    def _parts(
        self, context: MigrationContext, lock: MigrationLock, key: RunKey, *, external: bool
    ) -> RunParts:
        """Prepare what runs revisions; this writes the ledger's row of the run."""
        connection = ProjectConnection(connection_of(context))
        settings = SessionSettings(connection)
        (backend,) = connection.rows(QUERIES["backend"])
        ledger = Ledger(settings.ledger_rows, key[1])
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
            memory=self._history.memory(key),
        )

    def _add_report(self, report: RunReport, key: RunKey) -> None:
        self.reports.append(report)
        self._unverified[key] = report

    def _lock(self, connection: Connection, address: Address, version_table: str) -> MigrationLock:
        """Return the single-flight lock of a database and version table, held until the commit.

        Raises:
            SettingsError: the connection of env.py leads to another server than its address.
            RunAgain: another run holds the lock, or the server has no connection to spare.
        """
        key = (repr(address), version_table)
        if key not in self._locks:
            request = LockRequest(
                address,
                version_table,
                self._command,
                self._settings.deadline,
                self._settings.cancel,
            )
            self._locks[key] = self._acquire(connection, request, key)
        lock = self._locks[key]
        holders = rows(connection, QUERIES["lock_pids"], {"key": lock.key})
        if lock.pid not in [row["pid"] for row in holders]:
            raise SettingsError(
                "LL-ENV-OTHER-SERVER",
                f"The connection that env.py opened isn't to the server that {address!r} leads to.",
                why="The single-flight lock would guard another database than the one that is"
                " changed.",
                now="Give env.py the address of the server itself, not of a proxy or a pooler.",
            )
        return lock

    def _acquire(self, connection: Connection, request: LockRequest, key: RunKey) -> MigrationLock:
        """Take the lock if it is free; else end env.py until it is.

        Of several runs that find the lock free, only one at a time asks for it over a second
        session.

        Raises:
            RunAgain: another run holds the lock, or the server has no connection to spare.
        """
        (claim,) = rows(connection, QUERIES["claim"], {"key": claim_key(request.version_table)})
        if claim["got"]:
            try:
                lock = self._lock_stack.enter_context(
                    hold_lock(request, self._signals, self._notify)
                )
            except LockHeldError:
                pass
            except psycopg.OperationalError as error:
                if is_connection_refused(error):
                    raise self._postponed(self._wait_for_second(error, key)) from error
            else:
                _assume_role(connection, lock)
                self._history.end_wait(key)
                return lock
        since = self._history.waiting_since(key)
        wait = functools.partial(wait_for_lock, request, since, self._signals, self._notify)
        raise self._postponed(wait)

    def _wait_for_second(self, error: Exception, key: RunKey) -> Callable[[], None]:
        """Return a wait for a server that had a connection for env.py, and none for the lock."""
        waited = time.monotonic() - self._history.waiting_since(key)

        def wait() -> None:
            self._signals.check()
            if waited > self._settings.wait:
                raise refused(error, waited) from error
            text = f"waiting for a second connection: {error}"
            self._notify(Event("database.awaited", text, {"waited": round(waited, 1)}))
            self._signals.sleep(min(max(waited, _PAUSE_SECONDS), _LONGEST_PAUSE))

        return wait

    def _postponed(self, wait: Callable[[], None]) -> RunAgain:
        self.postponed = RunAgain(wait)
        return self.postponed

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
