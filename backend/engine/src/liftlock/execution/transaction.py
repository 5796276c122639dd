"""The transaction of a revision: the only place that commits or rolls back.

Every reason that forbids a commit is kept here:

- the mode (``transaction_mode``): the project's own transaction is open around the run, or the
  revision sent a statement that needs the rest of its transaction, such as a savepoint;
- removed objects (``removed_objects``): the revision dropped a view and re-creates it later, so a
  commit in between would leave the application without it;
- unrecorded writes: the ledger doesn't record them, so a later attempt would repeat them;
- deferred constraints: the rows don't satisfy them before the revision's end.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from liftlock.execution.connection import ProjectConnection, driver_of
from liftlock.execution.journal import Journal
from liftlock.execution.limits import RunLimits
from liftlock.execution.lock_window import LockWindow
from liftlock.execution.memory import RunMemory
from liftlock.execution.removed_objects import RemovedObjects
from liftlock.execution.revision_errors import deferred_constraint_violated
from liftlock.execution.session_settings import SessionSettings
from liftlock.execution.session_timeouts import Holds, SessionTimeouts
from liftlock.execution.transaction_mode import TRANSITIONS, Mode, ModeEvent
from liftlock.model.operation import Operation
from liftlock.model.step import Step
from liftlock.postgres.ledger import OperationKey
from liftlock.postgres.queries import CATALOG
from liftlock.postgres.sqlstates import DATA_BREAKS, RetryDifferently, sqlstate

_MAINTENANCE_MILLISECONDS = 5_000
"""The wait for an autovacuum; longer than any usual ``deadlock_timeout``."""


@dataclass(frozen=True, slots=True)
class Activity:
    """The operation that is being run, and the step of it; None between operations."""

    operation: Operation | None = None
    step: Step | None = None


class Transaction:
    """The transaction of one attempt at a revision.

    Parameters:
        connection: the project's connection.
        settings: the settings that the revision makes.
        journal: the ledger rows that belong to the next commit.
        limits: the stall budget, the deadline, and the allowances.
        memory: what earlier attempts learned.
        external: a transaction of the project's own is open around the run, so nothing is committed
            here; or the revision is to run as plain Alembic runs it.
    """

    def __init__(  # noqa: PLR0913 - the state that this class owns
        self,
        connection: ProjectConnection,
        settings: SessionSettings,
        journal: Journal,
        limits: RunLimits,
        memory: RunMemory,
        *,
        external: bool,
    ) -> None:
        self.connection = connection
        self.settings = settings
        self.window = LockWindow(limits.budget)
        self.removed = RemovedObjects(limits.lock.monitor)
        self.timeouts = SessionTimeouts(
            connection, limits.budget, lambda: memory.losses(journal.revision), off=external
        )
        self._journal = journal
        self._limits = limits
        self._memory = memory
        self._external = external
        self._mode = Mode.ATOMIC if external else Mode.STEPWISE
        self._activity = Activity()
        self._has_committed = journal.is_begun
        self._ended_by_revision = False
        self._has_unrecorded_writes = False
        self._keeps_unrecorded_writes = False
        settings.forget_local()

    # The state.

    @property
    def mode(self) -> Mode:
        """When the transaction is committed."""
        return self._mode

    @property
    def is_atomic(self) -> bool:
        """Return whether nothing may be committed before the end of the revision."""
        return self._mode.is_atomic

    @property
    def in_block(self) -> bool:
        """Return whether the revision is in an autocommit block, or sent COMMIT without BEGIN."""
        return self._mode.is_block

    @property
    def is_external(self) -> bool:
        """Return whether a transaction of the project's own is open around the run."""
        return self._external

    @property
    def activity(self) -> Activity:
        """The operation that is being run, for observers and messages."""
        return self._activity

    @property
    def has_committed(self) -> bool:
        """Return whether a part of the revision is committed."""
        return self._has_committed or self._ended_by_revision

    @property
    def ended_by_revision(self) -> bool:
        """Return whether the revision committed by ``connection.commit()``."""
        return self._ended_by_revision

    @property
    def keeps_unrecorded_writes(self) -> bool:
        """Return whether an autocommit block found unrecorded writes, and didn't commit them."""
        return self._keeps_unrecorded_writes

    @contextlib.contextmanager
    def running(self, operation: Operation) -> Iterator[None]:
        """Note the operation that is being run in this context."""
        self._activity = Activity(operation)
        try:
            yield
        finally:
            self._activity = Activity()

    def note_step(self, step: Step) -> None:
        """Note the step of the running operation."""
        self._activity = Activity(self._activity.operation, step)

    # Events.

    def require_atomic(self) -> None:
        """Keep everything that follows in one transaction, up to the end of the revision."""
        self._change_mode(ModeEvent.REQUIRE_ATOMIC)

    def note_unrecorded_write(self) -> None:
        """Note a write that the ledger doesn't record: a later attempt would repeat it."""
        self._has_unrecorded_writes = True

    def enter_autocommit(self) -> None:
        """Commit, as the revision asks; from now on each statement is committed.

        Nothing is committed inside a transaction of the project's own. Unrecorded writes aren't
        either, unless the next statement can't run inside a transaction: a retry would repeat them.

        Raises:
            NotNow: a signal came, or single flight is lost.
        """
        unrecorded = self._has_unrecorded_writes
        self._keeps_unrecorded_writes = unrecorded and not self._memory.may_commit_unrecorded(
            self._journal.revision
        )
        if self._external or self._keeps_unrecorded_writes:
            self._change_mode(ModeEvent.REFUSE_AUTOCOMMIT)
            return
        if unrecorded:
            self._journal.mark_unrecorded()
        self._journal.write()
        self._limits.check()
        self.settings.forget_local()
        self._commit()
        self._has_unrecorded_writes = False
        self.removed.clear()
        self._change_mode(ModeEvent.ENTER_AUTOCOMMIT)

    def leave_autocommit(self) -> None:
        """Begin a transaction again: the block ended, or the revision sent BEGIN."""
        self._change_mode(ModeEvent.LEAVE_AUTOCOMMIT)

    def before_commit_of_revision(self) -> None:
        """Write the ledger rows that a ``connection.commit()`` of the revision will commit."""
        self._journal.write()
        self._ended_by_revision = True
        self.window.close()
        self.timeouts.transaction_ended()

    def _change_mode(self, event: ModeEvent) -> None:
        was_atomic = self.is_atomic
        self._mode = TRANSITIONS[self._mode, event]
        if self.is_atomic and not was_atomic:
            self.timeouts.lift_duration()

    # Commit and rollback.

    def commit(self) -> None:
        """Commit what is done together with its ledger rows, unless nothing may be committed.

        Raises:
            UnsafeRevision: the application would see the state between a removal and its
                restoration, and no allowance permits that.
            RetryDifferently: rows violate a deferred constraint; the next attempt commits later.
            NotNow: a signal came, or single flight is lost.
        """
        if self.is_atomic:
            return
        self.removed.refuse_commit_between(self._activity.operation, self._limits.allowed)
        self._journal.write()
        self._limits.check()
        try:
            self._commit()
        except Exception as error:
            if sqlstate(error) not in DATA_BREAKS:
                raise
            raise self._deferred_constraint(error) from error

    def commit_batch(self) -> None:
        """Commit one batch of a backfill; ``commit`` was called before the first one.

        Raises:
            NotNow: a signal came, or single flight is lost.
        """
        self._limits.check()
        self._commit_driver()

    def commit_if_half_used(self) -> None:
        """Commit when the locks that are held have used up half of the stall budget.

        A removal is committed later, since the next operation may be refused.
        """
        if self._waits_for_restoration() or not self.window.is_half_used:
            return
        if self.window.is_used_twice or not self.removed.exposes:
            self.commit()

    def commit_after_loss(self) -> None:
        """Commit a strong lock at once, in a revision that has lost a session while it held one."""
        has_lost = self._memory.losses(self._journal.revision) > 0
        holds = has_lost and self.window.is_exclusive
        if holds and not self._waits_for_restoration() and not self.removed.exposes:
            self.commit()

    def rollback(self) -> None:
        """Roll back what isn't committed, and go on in a new transaction."""
        driver_of(self.connection.connection).rollback()
        self.timeouts.transaction_ended()
        self.settings.repeat_local()

    def undo(self, key: OperationKey, statements: Sequence[str]) -> None:
        """Undo the committed steps of an operation.

        Rows violate the constraint that the operation adds. As long as it exists without being
        validated, the application could not update those rows.

        Parameters:
            key: the operation's.
            statements: the statements that undo it.
        """
        self.rollback()
        self.timeouts.limit(Holds.TABLES)
        for statement in statements:
            self.connection.send(statement)
        self._journal.forget(key)
        self._commit_driver()

    @contextlib.contextmanager
    def outside_transaction(self) -> Iterator[None]:
        """Let the driver commit each statement, without a lock timeout; call ``commit`` before."""
        connection = self.connection.connection
        driver = driver_of(connection)
        with self.connection.as_internal():
            isolation_level = connection.get_isolation_level()
        before = self.connection.setting("lock_timeout")
        driver.commit()  # drivers refuse to change the level in the query's transaction
        connection.dialect.set_isolation_level(driver, "AUTOCOMMIT")
        try:
            self.connection.set("lock_timeout", "0")
            with self.settings.local_as_session():
                yield
        finally:
            with contextlib.suppress(Exception):  # a lost connection has no settings
                self.connection.set("lock_timeout", before)
            with contextlib.suppress(Exception):
                connection.dialect.set_isolation_level(driver, isolation_level)
                self.settings.repeat_local()

    def _commit(self) -> None:
        self._commit_driver()
        self._has_committed = self._journal.is_begun
        self.window.close()

    def _commit_driver(self) -> None:
        driver_of(self.connection.connection).commit()
        self.timeouts.transaction_ended()
        self.settings.repeat_local()

    def _deferred_constraint(self, error: Exception) -> Exception:
        """Return what follows from a constraint that the rows don't satisfy yet."""
        revision = self._journal.revision
        if self._memory.commits_late(revision):
            return deferred_constraint_violated(error, revision, self._activity.operation)
        self._memory.commit_late(revision)
        return RetryDifferently()

    def _waits_for_restoration(self) -> bool:
        deferred = self._memory.commits_late(self._journal.revision)
        return deferred or self.removed.awaits_restoration

    # Locks.

    def limit_lock_wait(self, *, exclusive: bool = False) -> None:
        """Set the lock timeout so that all waits of this transaction fit in the stall budget.

        Parameters:
            exclusive: whether the lock conflicts with row changes; then the session gets timeouts.
        """
        settings = {}
        if not self.window.is_open or not self.is_atomic:
            # also where env.py or the revision has set another lock_timeout
            settings["lock_timeout"] = f"{self.window.remaining:.0f}ms"
        if exclusive:
            settings |= self.timeouts.due(Holds.TABLES, brief=not self.is_atomic)
        if settings:
            self.connection.set_local(**settings)
        self.window.open()

    def wait_for_maintenance(self) -> None:
        """Wait for maintenance, such as an autovacuum, that refused the last attempt its lock.

        The wait is for SHARE UPDATE EXCLUSIVE, which doesn't conflict with reads and writes. An
        autovacuum gives up when a session has waited for it for ``deadlock_timeout`` (a second),
        which is longer than the stall budget:
        https://www.postgresql.org/docs/current/routine-vacuuming.html#AUTOVACUUM
        """
        tables = self._memory.take_maintained()
        if not tables or self.is_atomic or self.removed.awaits_restoration:
            return
        self.commit()
        self.connection.set_local(lock_timeout=str(_MAINTENANCE_MILLISECONDS))
        for row in self.connection.rows(CATALOG["may_lock"], {"relations": list(tables)}):
            self.connection.send(f"LOCK TABLE {row['relation']} IN SHARE UPDATE EXCLUSIVE MODE")


def commit_open(connection: Connection, *, external: bool = False) -> None:
    """Commit the open transaction of a SQLAlchemy connection, outside of a revision.

    Parameters:
        connection: the project's connection.
        external: the transaction is the project's own, so it stays open.
    """
    if external:
        return
    transaction = connection.get_transaction()
    if transaction is not None:
        transaction.commit()
    else:
        commit_driver(driver_of(connection))  # SQLAlchemy 1.4 begins none for the driver's


def roll_back_open(connection: Connection) -> None:
    """Roll back the open transaction of a SQLAlchemy connection; a lost connection has none.

    After a commit of the revision's own, the open transaction isn't Alembic's any more.
    """
    transaction = connection.get_transaction()
    if transaction is not None:
        with contextlib.suppress(Exception):
            transaction.rollback()


def commit_driver(driver: Any) -> None:  # noqa: ANN401 - any driver's connection
    """Commit the open transaction of a driver's connection."""
    driver.commit()
