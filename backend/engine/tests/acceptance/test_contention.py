"""Sessions that hold conflicting locks: operations get through, and finished work is kept."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from acceptance.support.databases import (
    assert_nothing_is_left,
    database_state,
    state_by_plain_alembic,
)
from acceptance.support.kill_points import record_statements
from acceptance.support.operations import CASES
from acceptance.support.processes import run_liftlock
from helpers import (
    ALL_TABLES_LARGE,
    ProjectFactory,
    assert_failed,
    assert_succeeded,
    connected,
    ended,
    in_transaction,
    rows,
    until,
)

from liftlock.settings import Address

TABLES_THAT_EXIST = """
SELECT string_agg(oid::regclass::text, ', ') FROM pg_class
WHERE relname IN ('Person', 'visit', 'country', 'Account', 'entry', 'reading')
"""


@contextlib.contextmanager
def transactions_that_hold_locks(
    address: Address, seconds: float, pause: float, mode: str = "ROW EXCLUSIVE"
) -> Iterator[None]:
    """Lock the seeded tables over and over in another session, "the holder".

    Parameters:
        address: the database.
        seconds: the duration of each transaction.
        pause: the seconds between two transactions.
        mode: the mode of the locks.
    """
    stop = threading.Event()
    first_lock_is_held = threading.Event()

    def hold() -> None:
        with connected(address, application_name="the holder") as session:
            while not stop.is_set():
                # The operation may drop or rename a table in the meantime.
                (tables,) = session.execute(TABLES_THAT_EXIST).fetchone() or ("",)
                with contextlib.suppress(psycopg.Error), session.transaction():
                    session.execute(f"LOCK TABLE {tables} IN {mode} MODE")
                    first_lock_is_held.set()
                    stop.wait(seconds)
                stop.wait(pause)

    thread = threading.Thread(target=hold)
    thread.start()
    first_lock_is_held.wait(10)
    try:
        yield
    finally:
        stop.set()
        thread.join()


def long_statements(recorded: Path) -> list[str]:
    """Return the recorded statements that build an index or validate a constraint."""
    lines = recorded.read_text().splitlines() if recorded.exists() else []
    return [line for line in lines if "CONCURRENTLY" in line or "VALIDATE" in line]


@pytest.mark.kills
@pytest.mark.parametrize("case", CASES)
def test_operation_succeeds_between_short_transactions(
    case_project: ProjectFactory, case: str
) -> None:
    """Transactions of 300 ms hold conflicting locks over and over.

    Each operation gets through between them.
    """
    project = case_project(case)
    with transactions_that_hold_locks(project.database, 0.3, 0.1):
        assert run_liftlock(project, "upgrade") == 0
    assert_nothing_is_left(project.database)


@pytest.mark.slow_readers
@pytest.mark.parametrize("case", CASES)
def test_operation_succeeds_between_slow_readers(
    case_project: ProjectFactory, tmp_path: Path, case: str
) -> None:
    """Transactions of 10 s with a pause of 1 s.

    Each operation gets through without repeating finished work.
    """
    undisturbed = case_project(case)
    project = case_project(case)
    record_undisturbed = record_statements(tmp_path / "undisturbed")
    record_blocked = record_statements(tmp_path / "blocked")
    assert run_liftlock(undisturbed, "upgrade", record_undisturbed) == 0
    with transactions_that_hold_locks(project.database, 10, 1, "ACCESS SHARE"):
        assert run_liftlock(project, "upgrade", record_blocked, LIFTLOCK_DEADLINE="120") == 0
    assert long_statements(tmp_path / "blocked") == long_statements(tmp_path / "undisturbed")
    assert_nothing_is_left(project.database)


@pytest.mark.kills
@pytest.mark.parametrize(
    "case",
    [
        "create_unique_constraint",
        "alter_nullable",
        "create_foreign_key",
        "add_column_with_volatile_default",
    ],
)
def test_finished_work_is_not_repeated_after_a_lock_timeout(
    case_project: ProjectFactory, tmp_path: Path, case: str
) -> None:
    """An index build, a validation and a backfill run once, though later steps time out."""
    project = case_project(case)
    recorded = tmp_path / "recorded"
    with transactions_that_hold_locks(project.database, 4, 0.5):
        assert run_liftlock(project, "upgrade", record_statements(recorded)) == 0
    statements = long_statements(recorded)
    assert len(statements) == len(set(statements)) <= 1
    assert rows(project.database, "SELECT count(*) FROM liftlock.executions") == [2]
    with connected(project.database) as session:
        if session.info.server_version >= 150000:
            session.execute("SELECT pg_stat_force_next_flush()")
    backfilled = 0
    if case == "add_column_with_volatile_default":
        backfilled = len(rows(project.database, 'SELECT FROM "Person"'))
    updates = "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'Person'"
    assert rows(project.database, updates) == [backfilled]
    assert_nothing_is_left(project.database)


@pytest.mark.kills
def test_blocker_is_named_until_the_deadline(case_project: ProjectFactory) -> None:
    """At the deadline the run exits with 4; the blocker was named, and the next run resumes."""
    project = case_project("create_unique_constraint")
    valid_index = (
        "SELECT count(*) FROM pg_index"
        " WHERE indexrelid = to_regclass('\"Person_email_code_key\"') AND indisvalid"
    )
    with transactions_that_hold_locks(project.database, 60, 1):
        started = time.monotonic()
        done = project.run("upgrade", LIFTLOCK_DEADLINE="8", **ALL_TABLES_LARGE)
        assert time.monotonic() - started < 40
        # The deadline may come while the index is built, or between two attempts.
        code = "(?:LL-LOCK-REFUSED|LL-DEADLINE-EXCEEDED)"
        assert_failed(done, code, 4, mentions="waiting for pid")
        assert done.stderr.count("'the holder', idle in transaction for") >= 2
    assert rows(project.database, valid_index) in ([0], [1])
    assert run_liftlock(project, "upgrade") == 0
    assert rows(project.database, valid_index) == [1]
    assert_nothing_is_left(project.database)


TAKE_NO_STRONG_LOCK = {"autocommit_block_with_writes"}


@pytest.mark.slow_readers
@pytest.mark.parametrize("case", [case for case in CASES if case not in TAKE_NO_STRONG_LOCK])
def test_operation_that_is_always_blocked_is_resumed_later(
    case_project: ProjectFactory, case: str
) -> None:
    """Each blocked operation exits with 4 and names the blocker.

    The next run ends with plain Alembic's schema.
    """
    plain = case_project(case)
    project = case_project(case)
    any_column_order = CASES[case].reorders_columns
    expected = state_by_plain_alembic(plain, "upgrade", "head", any_column_order=any_column_order)
    with transactions_that_hold_locks(project.database, 60, 1):
        done = project.run("upgrade", LIFTLOCK_DEADLINE="3", **ALL_TABLES_LARGE)
        assert done.returncode == 4, done.stderr
        assert "'the holder', idle in transaction for" in done.stderr
    assert run_liftlock(project, "upgrade") == 0
    assert database_state(project.database, any_column_order=any_column_order) == expected
    assert_nothing_is_left(project.database)


def test_prepared_transaction_that_blocks_is_named(case_project: ProjectFactory) -> None:
    """A prepared transaction has no session; the message shows ROLLBACK PREPARED."""
    project = case_project("alter_default_comment_and_name")
    limits = {"LIFTLOCK_DEADLINE": "2", "LIFTLOCK_CANCEL_BLOCKERS": "*"}
    with connected(project.database) as session:
        session.execute('BEGIN; LOCK TABLE "Person" IN ROW EXCLUSIVE MODE')
        session.execute("PREPARE TRANSACTION 'left by the coordinator'")
        try:
            done = project.run("upgrade", **limits, **ALL_TABLES_LARGE)
        finally:
            session.execute("ROLLBACK PREPARED 'left by the coordinator'")
    remedy = "ROLLBACK PREPARED 'left by the coordinator'"
    blocker = "'left by the coordinator', prepared for"
    assert_failed(done, "LL-LOCK-REFUSED", 4, mentions=(blocker, remedy))


@pytest.mark.parametrize("state", ["idle", "active"])
def test_named_blockers_are_cancelled(case_project: ProjectFactory, state: str) -> None:
    """Blockers whose application_name the operator lists are cancelled; others are not."""
    project = case_project("alter_default_comment_and_name")
    keywords = project.database.keywords()
    with contextlib.closing(psycopg.connect(**keywords, application_name="report 7")) as blocker:
        blocker.execute('LOCK TABLE "Person" IN ROW EXCLUSIVE MODE')
        thread = threading.Thread(target=_sleep, args=(blocker,))
        if state == "active":
            thread.start()
        others = {"LIFTLOCK_DEADLINE": "2", "LIFTLOCK_CANCEL_BLOCKERS": "other,report"}
        blocked = project.run("upgrade", **others, **ALL_TABLES_LARGE)
        assert_failed(blocked, "LL-LOCK-REFUSED", 4)
        assert "cancelled" not in blocked.stderr
        named = {"LIFTLOCK_DEADLINE": "10", "LIFTLOCK_CANCEL_BLOCKERS": "other, report*"}
        done = project.run("upgrade", **named, **ALL_TABLES_LARGE)
        assert_succeeded(done)
        assert "cancelled pid" in done.stderr
        if state == "active":
            thread.join()


def _sleep(session: psycopg.Connection[object]) -> None:
    with contextlib.suppress(psycopg.Error):
        session.execute("SELECT pg_sleep(60)")


@pytest.mark.kills
def test_deadlock_victim_retries(case_project: ProjectFactory) -> None:
    """PostgreSQL ends liftlock's transaction in a deadlock, not the application's.

    The next try succeeds.
    """
    project = case_project("create_index")
    body = 'op.add_column("{}", sa.Column("a", sa.Integer))'
    project.revision("r1", "r0", f"{body.format('visit')}\n{body.format('country')}")
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'country'::regclass"
    with connected(project.database) as session:
        session.execute(f"ALTER DATABASE {project.database.dbname} SET deadlock_timeout = '2s'")
    with in_transaction(project.database) as application:
        application.execute("SET deadlock_timeout = '1min'")
        application.execute("LOCK TABLE country IN ROW EXCLUSIVE MODE")
        running = project.start("upgrade", LIFTLOCK_LOCK_TIMEOUT="20000", **ALL_TABLES_LARGE)
        until(
            lambda: rows(project.database, waits) != [0], 30, "liftlock is blocked", running=running
        )
        # The application waits for liftlock, which waits for the application.
        application.execute("LOCK TABLE visit IN ROW EXCLUSIVE MODE")
    assert_succeeded(ended(running))
    deadlocks = "SELECT deadlocks > 0 FROM pg_stat_database WHERE datname = current_database()"
    assert rows(project.database, deadlocks) == [True]
    assert rows(project.database, "SELECT count(a) FROM visit") == [0]
    assert_nothing_is_left(project.database)


@pytest.mark.kills
def test_referenced_table_is_locked_before_the_referencing_table(
    case_project: ProjectFactory, tmp_path: Path
) -> None:
    """Applications write parents before children, so foreign keys lock in that order."""
    project = case_project("create_index")
    tables = "CREATE TABLE one (id integer PRIMARY KEY); CREATE TABLE two (id integer PRIMARY KEY)"
    project.revision("r1", "r0", f"op.execute({tables!r})")
    assert run_liftlock(project, "upgrade") == 0
    project.revision("r2", "r1", 'op.create_foreign_key("there", "one", "two", ["id"], ["id"])')
    project.revision("r3", "r2", 'op.create_foreign_key("back", "two", "one", ["id"], ["id"])')
    recorded = tmp_path / "recorded"
    assert run_liftlock(project, "upgrade", record_statements(recorded)) == 0
    statements = recorded.read_text().splitlines()
    locked = [sql.split()[2] for sql in statements if sql.startswith("LOCK TABLE")]
    assert locked == ["two", "one", "one", "two"]


@pytest.mark.kills
@pytest.mark.parametrize("case", CASES)
def test_upgrade_at_head_takes_no_locks(case_project: ProjectFactory, case: str) -> None:
    """At head, a run succeeds while another session holds EXCLUSIVE locks on all tables."""
    project = case_project(case)
    assert run_liftlock(project, "upgrade") == 0
    tables = rows(
        project.database,
        "SELECT oid::regclass::text FROM pg_class"
        " WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'",
    )
    with in_transaction(project.database) as session:
        session.execute(f"LOCK TABLE {', '.join(tables)} IN EXCLUSIVE MODE")
        before = rows(project.database, "SELECT count(*) FROM liftlock.runs")
        assert run_liftlock(project, "upgrade", LIFTLOCK_DEADLINE="5") == 0
        assert rows(project.database, "SELECT count(*) FROM liftlock.runs") == before


AUTOVACUUM_WITHOUT_PAUSE = """
ALTER TABLE item SET (
    autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1
)
"""
AUTOVACUUM_WORKS = """
SELECT pid FROM pg_stat_activity
WHERE backend_type = 'autovacuum worker' AND query LIKE '%.item%'
"""


@pytest.mark.every_major
@pytest.mark.kills
def test_autovacuum_is_cancelled_in_favor_of_the_operation(item_project: ProjectFactory) -> None:
    """PostgreSQL cancels an autovacuum only after deadlock_timeout, longer than a try.

    No other session waits in the meantime.
    """
    project = item_project("op.add_column('item', sa.Column('x', sa.Integer))")
    with connected(project.database) as session:
        session.execute("ALTER SYSTEM SET autovacuum = on")
        session.execute("ALTER SYSTEM SET autovacuum_naptime = 1")
        session.execute("SELECT pg_reload_conf()")
        session.execute(AUTOVACUUM_WITHOUT_PAUSE)
        session.execute(
            "INSERT INTO item SELECT i, repeat('x', 500), i FROM generate_series(2000, 20000) AS i"
        )
        try:
            until(lambda: _autovacuum_works(session), 120, "an autovacuum of item works")
            done = project.run("upgrade", LIFTLOCK_DEADLINE="20", **ALL_TABLES_LARGE)
        finally:
            session.execute("ALTER SYSTEM RESET autovacuum")
            session.execute("ALTER SYSTEM RESET autovacuum_naptime")
            session.execute("SELECT pg_reload_conf()")
    assert_succeeded(done)
    assert "autovacuum" in done.stderr


def _autovacuum_works(session: psycopg.Connection[object]) -> bool:
    """Update all rows, because a server may lose count of them, and look for the autovacuum."""
    if session.execute(AUTOVACUUM_WORKS).fetchall():
        return True
    session.execute("UPDATE item SET size = size + 1")
    end = time.monotonic() + 5
    while time.monotonic() < end:
        if session.execute(AUTOVACUUM_WORKS).fetchall():
            return True
        time.sleep(0.1)
    return False
