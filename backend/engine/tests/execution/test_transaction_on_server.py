"""The transaction of a revision on a real server: commit, rollback and locks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from execution.fakes import operation
from execution.server_run import KEY, ServerAttempt, ServerRun, each_driver
from helpers import connected, rows, until

from liftlock.errors import NotNow, UnsafeRevision
from liftlock.execution import transaction as transaction_module
from liftlock.execution.transaction import commit_open, roll_back_open
from liftlock.postgres.signals import Signals
from liftlock.postgres.sqlstates import LOCK_NOT_AVAILABLE, RetryDifferently, sqlstate

CREATE_ITEM = "CREATE TABLE item (id integer PRIMARY KEY, n integer)"
CREATE_INDEX = operation("CREATE INDEX ix ON item (n)", kind="create_index")
DEFERRED = (
    "CREATE TABLE parent (id integer PRIMARY KEY)",
    "CREATE TABLE child (parent_id integer REFERENCES parent DEFERRABLE INITIALLY DEFERRED)",
)
ORPHAN = "INSERT INTO child VALUES (1)"
PARENT = "INSERT INTO parent VALUES (1)"


class Interrupt(Signals):
    """Signals whose check, right before a commit, does something else.

    Parameters:
        before_commit: is called instead.
    """

    def __init__(self, before_commit: Callable[[], object]) -> None:
        super().__init__()
        self.check = before_commit


def create(run: ServerRun, *statements: str) -> None:
    """Send statements over another session."""
    with connected(run.database) as session:
        for statement in statements:
            session.execute(statement)


# Commit.


@each_driver
def test_a_commit_includes_the_ledger_rows(run: ServerRun, attempt: ServerAttempt) -> None:
    """Before it, another session sees neither the table nor the row of its step."""
    attempt.send(CREATE_ITEM)
    attempt.record("create")
    assert not run.others_see("item")
    assert run.committed_steps() == []
    assert not attempt.transaction.has_committed
    attempt.transaction.commit()
    assert run.others_see("item")
    assert run.committed_steps() == ["create"]
    assert attempt.transaction.has_committed


@each_driver
def test_a_session_that_is_killed_before_the_commit_leaves_nothing(run: ServerRun) -> None:
    """The ledger rows are sent, and the commit isn't."""
    pid = run.pid()
    kill = Interrupt(lambda: rows(run.database, f"SELECT pg_terminate_backend({pid}, 5000)"))
    attempt = run.attempt(signals=kill)
    attempt.send(CREATE_ITEM)
    attempt.record("create")
    with pytest.raises(Exception, match=r"terminat|closed|network"):
        attempt.transaction.commit()
    run.connection.connection.invalidate()
    assert not run.others_see("item")
    assert run.committed_steps() == []
    assert rows(run.database, "SELECT count(*) FROM liftlock.executions") == [0]


def test_a_signal_prevents_the_commit(run: ServerRun) -> None:
    """The caller rolls back."""
    signals = Signals()
    signals.stopped = "SIGTERM"
    attempt = run.attempt(signals=signals)
    attempt.send(CREATE_ITEM)
    with pytest.raises(NotNow, match="SIGTERM"):
        attempt.transaction.commit()
    roll_back_open(run.connection.connection)
    assert not run.others_see("item")


def test_a_lost_single_flight_lock_prevents_the_commit(
    run: ServerRun, attempt: ServerAttempt
) -> None:
    """Another run may change the schema meanwhile."""
    rows(run.database, f"SELECT pg_terminate_backend({run.limits.lock.pid}, 5000)")
    attempt.send(CREATE_ITEM)
    with pytest.raises(NotNow) as caught:
        attempt.transaction.commit()
    assert caught.value.code == "LL-SINGLE-FLIGHT-LOST"
    assert not run.others_see("item")


@pytest.mark.parametrize("external", [False, True])
def test_an_atomic_transaction_is_not_committed(run: ServerRun, *, external: bool) -> None:
    """The mode forbids it, from the beginning or from one statement on."""
    attempt = run.attempt(external=external)
    attempt.transaction.require_atomic()
    attempt.send(CREATE_ITEM)
    attempt.record("create")
    attempt.transaction.window.open()
    attempt.transaction.commit()
    assert not run.others_see("item")
    assert attempt.transaction.window.is_open
    commit_open(run.connection.connection, external=True)
    assert not run.others_see("item")


def test_half_of_the_stall_budget_commits(run: ServerRun, attempt: ServerAttempt) -> None:
    """Once the transaction has held locks for more than 50 ms of the 100 ms."""
    attempt.send(CREATE_ITEM)
    attempt.transaction.commit_if_half_used()
    assert not run.others_see("item")
    attempt.transaction.window.open()
    time.sleep(0.06)
    attempt.transaction.commit_if_half_used()
    assert run.others_see("item")
    assert not attempt.transaction.window.is_open


def test_a_batch_is_committed_without_ledger_rows(run: ServerRun, attempt: ServerAttempt) -> None:
    """The backfill writes its cursor itself."""
    attempt.send(CREATE_ITEM)
    attempt.record("waits")
    attempt.transaction.commit_batch()
    assert run.others_see("item")
    assert run.committed_steps() == []


@each_driver
def test_the_transaction_object_of_sqlalchemy_survives_a_commit(
    run: ServerRun, attempt: ServerAttempt
) -> None:
    """A revision may hold it: the commit goes to the driver."""
    attempt.send(CREATE_ITEM)
    before = run.connection.connection.get_transaction()
    attempt.transaction.commit()
    attempt.send("INSERT INTO item VALUES (1, 1)")
    assert run.connection.connection.get_transaction() is before
    commit_open(run.connection.connection)
    assert rows(run.database, "SELECT n FROM item") == [1]


def test_the_commit_of_the_revision_includes_the_ledger_rows(
    run: ServerRun, attempt: ServerAttempt
) -> None:
    """It calls connection.commit() itself."""
    attempt.send(CREATE_ITEM)
    attempt.record("create")
    attempt.transaction.before_commit_of_revision()
    assert run.committed_steps() == []
    run.connection.connection.commit()
    assert run.committed_steps() == ["create"]
    assert attempt.transaction.has_committed
    assert attempt.transaction.ended_by_revision


def test_the_end_of_an_external_transaction_is_left_to_the_project(run: ServerRun) -> None:
    """The open transaction stays open."""
    run.connection.send(CREATE_ITEM)
    commit_open(run.connection.connection, external=True)
    assert not run.others_see("item")
    commit_open(run.connection.connection)
    assert run.others_see("item")


def test_rolling_back_without_a_transaction_does_nothing(run: ServerRun) -> None:
    """As after a lost connection."""
    commit_open(run.connection.connection)
    roll_back_open(run.connection.connection)
    run.connection.send(CREATE_ITEM)
    roll_back_open(run.connection.connection)
    assert not run.others_see("item")


# Removed objects.


def test_a_commit_between_removal_and_restoration_is_refused(
    run: ServerRun, attempt: ServerAttempt
) -> None:
    """The other session still sees the view."""
    create(run, "CREATE VIEW v AS SELECT 1 AS n")
    drop, restore = operation("DROP VIEW v"), operation("CREATE VIEW v AS SELECT 2 AS n")
    attempt.send(drop.sql)
    attempt.transaction.removed.passed(drop, ran=True)
    attempt.transaction.removed.look_ahead([restore])
    attempt.transaction.window.open()
    time.sleep(0.06)
    attempt.transaction.commit_if_half_used()
    with attempt.transaction.running(CREATE_INDEX), pytest.raises(UnsafeRevision) as caught:
        attempt.transaction.commit()
    assert caught.value.code == "LL-NON-ATOMIC-REPLACE"
    assert run.others_see("v")


def test_an_object_of_the_open_transaction_may_be_removed(
    run: ServerRun, attempt: ServerAttempt
) -> None:
    """No other session has ever seen it, so the commit is allowed."""
    drop = operation("DROP VIEW v")
    attempt.send(CREATE_ITEM, "CREATE VIEW v AS SELECT 1 AS n", drop.sql)
    attempt.transaction.removed.passed(drop, ran=True)
    attempt.transaction.removed.look_ahead([operation("CREATE VIEW v AS SELECT 2 AS n")])
    with attempt.transaction.running(CREATE_INDEX):
        attempt.transaction.commit()
    assert run.others_see("item")


# Deferred constraints.


@each_driver
def test_a_deferred_constraint_defers_the_commits_of_the_next_attempt(run: ServerRun) -> None:
    """That one commits only before steps that need it, and is refused there."""
    create(run, *DEFERRED)
    attempt = run.attempt()
    attempt.send(ORPHAN)
    attempt.record("insert")
    with pytest.raises(RetryDifferently):
        attempt.transaction.commit()
    assert run.memory.commits_late("a1")
    assert run.committed_steps() == []

    attempt = run.attempt()
    attempt.send(ORPHAN)
    attempt.transaction.window.open()
    time.sleep(0.06)
    attempt.transaction.commit_if_half_used()
    attempt.send(PARENT)
    attempt.transaction.commit()
    assert rows(run.database, "SELECT parent_id FROM child") == [1]


def test_a_step_that_needs_a_commit_before_a_deferred_constraint_holds_is_refused(
    run: ServerRun,
) -> None:
    """The message names the constraint and the step."""
    create(run, *DEFERRED)
    run.memory.commit_late("a1")
    attempt = run.attempt()
    attempt.send(ORPHAN)
    with attempt.transaction.running(CREATE_INDEX), pytest.raises(UnsafeRevision) as caught:
        attempt.transaction.commit()
    assert caught.value.code == "LL-DEFERRED-CONSTRAINT"
    assert 'violates foreign key constraint "child_parent_id_fkey"' in caught.value.what
    assert caught.value.what.endswith(f"A commit is needed before\n{CREATE_INDEX.sql}")
    assert rows(run.database, "SELECT * FROM child") == []


# Rollback and undo.


def test_undoing_an_operation_deletes_its_ledger_rows(
    run: ServerRun, attempt: ServerAttempt
) -> None:
    """Its committed steps are undone, and what isn't committed is rolled back."""
    check = "ALTER TABLE item ADD CONSTRAINT ck CHECK (n > 0) NOT VALID"
    attempt.send(CREATE_ITEM, "INSERT INTO item VALUES (1, -1)", check)
    attempt.record("add")
    attempt.transaction.commit()
    attempt.send("INSERT INTO item VALUES (2, 2)")
    attempt.transaction.undo(KEY, ["ALTER TABLE item DROP CONSTRAINT ck"])
    assert rows(run.database, "SELECT id FROM item") == [1]
    assert rows(run.database, "SELECT conname FROM pg_constraint WHERE conname = 'ck'") == []
    assert run.committed_steps() == []


@each_driver
def test_undoing_works_in_a_failed_transaction(run: ServerRun, attempt: ServerAttempt) -> None:
    """The validation of the constraint failed."""
    attempt.send(CREATE_ITEM)
    attempt.transaction.commit()
    with pytest.raises(Exception, match="missing"):
        attempt.send("SELECT missing")
    attempt.transaction.undo(KEY, ["DROP TABLE item"])
    assert not run.others_see("item")


# Locks.


@each_driver
def test_a_lock_wait_is_limited_by_the_rest_of_the_stall_budget(
    run: ServerRun, attempt: ServerAttempt
) -> None:
    """Another session holds the table."""
    create(run, CREATE_ITEM)
    with connected(run.database) as session, session.transaction():
        session.execute("LOCK TABLE item")
        attempt.transaction.limit_lock_wait()
        assert run.setting("lock_timeout") == "100ms"
        started = time.monotonic()
        with pytest.raises(Exception, match="lock timeout") as caught:
            attempt.send("LOCK TABLE item")
        assert sqlstate(caught.value) == LOCK_NOT_AVAILABLE
        assert time.monotonic() - started < 5


def test_the_wait_for_a_later_lock_is_shorter(run: ServerRun, attempt: ServerAttempt) -> None:
    """The application waits for the first lock all the time."""
    attempt.transaction.limit_lock_wait()
    time.sleep(0.03)
    attempt.transaction.limit_lock_wait()
    assert 10 <= int(run.setting("lock_timeout").removesuffix("ms")) <= 70


def test_the_first_lock_timeout_of_an_atomic_transaction_stays(run: ServerRun) -> None:
    """It can't commit, so each later lock may take as long."""
    attempt = run.attempt(external=True)
    attempt.transaction.limit_lock_wait()
    time.sleep(0.03)
    attempt.transaction.limit_lock_wait()
    assert run.setting("lock_timeout") == "100ms"


def test_maintenance_that_refused_a_lock_is_waited_for(
    run: ServerRun, attempt: ServerAttempt
) -> None:
    """Earlier steps are committed first, and the lock is one that VACUUM conflicts with."""
    create(run, CREATE_ITEM)
    attempt.send("CREATE TABLE earlier ()")
    run.memory.note_maintained(["item", "missing"])
    pid = run.pid()
    waiting = f"SELECT mode FROM pg_locks WHERE pid = {pid} AND NOT granted"
    with connected(run.database) as session:
        with session.transaction():
            session.execute("LOCK TABLE item IN SHARE UPDATE EXCLUSIVE MODE")
            thread = threading.Thread(target=attempt.transaction.wait_for_maintenance)
            thread.start()
            until(lambda: rows(run.database, waiting) == ["ShareUpdateExclusiveLock"])
            assert run.others_see("earlier")
        thread.join(30)
    assert not thread.is_alive()
    assert run.setting("lock_timeout") == "5s"
    assert run.memory.take_maintained() == ()


def test_maintenance_that_does_not_end_refuses_the_lock_again(
    run: ServerRun, attempt: ServerAttempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attempt ends then, and the next one waits again."""
    monkeypatch.setattr(transaction_module, "_MAINTENANCE_MILLISECONDS", 50)
    create(run, CREATE_ITEM)
    run.memory.note_maintained(["item"])
    with connected(run.database) as session, session.transaction():
        session.execute("LOCK TABLE item IN SHARE UPDATE EXCLUSIVE MODE")
        with pytest.raises(Exception, match="lock timeout"):
            attempt.transaction.wait_for_maintenance()


def test_an_atomic_transaction_does_not_wait_for_maintenance(run: ServerRun) -> None:
    """It would hold its locks meanwhile."""
    create(run, CREATE_ITEM)
    attempt = run.attempt(external=True)
    run.memory.note_maintained(["item"])
    with connected(run.database) as session, session.transaction():
        session.execute("LOCK TABLE item IN SHARE UPDATE EXCLUSIVE MODE")
        attempt.transaction.wait_for_maintenance()
    assert run.setting("lock_timeout") == "0"


# The activity, for observers and messages.


def test_the_running_operation_is_known_while_it_runs(attempt: ServerAttempt) -> None:
    """Also after an error, nothing runs any more."""
    transaction = attempt.transaction
    with transaction.running(CREATE_INDEX):
        assert transaction.activity.operation is CREATE_INDEX
        assert transaction.activity.step is None
    assert transaction.activity.operation is None
