"""Processes and servers that do not respond: the application and the container go on."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from acceptance.support.slow_revisions import SLEEPS, sleeping_sessions, until_it_sleeps
from helpers import (
    ALL_TABLES_LARGE,
    PASSWORD,
    Project,
    assert_failed,
    assert_succeeded,
    at,
    begun_project,
    connected,
    ended,
    in_transaction,
    make_project,
    rows,
    until,
    until_it_says,
)

from liftlock.settings import Address
from liftlock.shadow import embedded

DRIVERS = ["asyncpg", "pg8000", "psycopg", "psycopg2"]
ADDS_MANY_COLUMNS = """
for number in range(200):
    op.add_column("item", sa.Column(f"c{number}", sa.Integer))
"""
COMPUTES_UNDER_A_LOCK = """
op.add_column("item", sa.Column("a", sa.Integer))
op.get_bind().execute(sa.text("SELECT 1"))
time.sleep(1.5)
op.add_column("item", sa.Column("b", sa.Integer))
"""
FILLS_SLOWLY = """
op.backfill("item", set="n = (SELECT id FROM pg_sleep(0.3 + id * 0))", where="n IS NULL")
"""
STRONG_LOCKS = """
SELECT pid FROM pg_locks WHERE relation = 'item'::regclass AND granted
AND mode = 'AccessExclusiveLock'
"""
WORKING_SESSIONS = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'liftlock%'
"""
CHANGES_A_ROW = "UPDATE item SET n = 0 WHERE id = 1"


def project_with_items(tmp_path: Path, database: Address, body: str, driver: str) -> Project:
    """Make a project with a table of five rows and a revision."""
    with connected(database) as session:
        session.execute("CREATE TABLE item (id integer PRIMARY KEY, n integer)")
        session.execute("INSERT INTO item SELECT generate_series(1, 5)")
    return begun_project(tmp_path, database, body, driver=driver)


def stopped_when(running: subprocess.Popen[str], holds: Callable[[], object]) -> None:
    """Stop a process by SIGSTOP as soon as a condition holds."""
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        assert running.poll() is None, running.communicate()
    running.send_signal(signal.SIGSTOP)


def is_locked(session: psycopg.Connection[object]) -> bool:
    """Return whether another session has the first row locked."""
    try:
        session.execute("SELECT FROM item WHERE id = 1 FOR UPDATE NOWAIT")
    except psycopg.errors.LockNotAvailable:
        return True
    return False


# Stopped processes.


@pytest.mark.parametrize("driver", DRIVERS)
def test_stopped_process_keeps_no_strong_lock(
    tmp_path: Path, database: Address, driver: str
) -> None:
    """The server ends its session; continued, the process opens another one and finishes."""
    project = project_with_items(tmp_path, database, ADDS_MANY_COLUMNS, driver)
    running = project.start("upgrade", LIFTLOCK_LOCK_TIMEOUT="500", **ALL_TABLES_LARGE)
    with connected(database, options="-c lock_timeout=20s") as application:
        stopped_when(running, lambda: application.execute(STRONG_LOCKS).fetchall())
        application.execute("SELECT count(*) FROM item")
    running.send_signal(signal.SIGCONT)
    done = ended(running)
    assert_succeeded(done)
    assert "the session was lost and is replaced" in done.stderr
    columns = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'item'::regclass AND attnum > 0"
    assert rows(database, columns) == [202]


def test_stopped_process_keeps_no_row_locks(tmp_path: Path, database: Address) -> None:
    """The batch of a backfill ends with its session, and is repeated."""
    project = project_with_items(tmp_path, database, FILLS_SLOWLY, "psycopg")
    running = project.start("upgrade", **ALL_TABLES_LARGE)
    with connected(database, options="-c lock_timeout=20s") as application:
        stopped_when(running, lambda: is_locked(application))
        application.execute(CHANGES_A_ROW)
    running.send_signal(signal.SIGCONT)
    done = ended(running)
    assert_succeeded(done)
    assert "the session was lost and is replaced" in done.stderr
    assert rows(database, "SELECT n FROM item ORDER BY id") == [0, 2, 3, 4, 5]


def test_revision_may_compute_for_long_in_one_transaction(
    tmp_path: Path, database: Address
) -> None:
    """Each lost session doubles the time that it may take."""
    body = f"op.execute('SAVEPOINT a')\n{COMPUTES_UNDER_A_LOCK}"
    project = project_with_items(tmp_path, database, body, "psycopg")
    done = project.run("upgrade", LIFTLOCK_LOCK_TIMEOUT="300", **ALL_TABLES_LARGE)
    assert_succeeded(done)
    assert 1 <= done.stderr.count("the session was lost and is replaced") <= 4


@pytest.mark.parametrize(("target", "code"), [("-2", 5), ("r0", 0)])
def test_relative_target_is_not_counted_again_after_a_lost_session(
    tmp_path: Path, database: Address, target: str, code: int
) -> None:
    """From the revision that is present then, it would revert one revision too many."""
    computes = f"op.execute('SAVEPOINT a')\n{COMPUTES_UNDER_A_LOCK}"
    project = project_with_items(tmp_path, database, "pass", "psycopg")
    project.revision("r2", "r1", "pass", computes)
    project.revision("r3", "r2", "pass")
    assert_succeeded(project.run("upgrade"))
    done = project.run("downgrade", target, LIFTLOCK_LOCK_TIMEOUT="300", **ALL_TABLES_LARGE)
    if code:
        assert_failed(done, "LL-RELATIVE-TARGET", code, mentions="its target -2 is relative")
        assert rows(database, "SELECT version_num FROM alembic_version") == ["r2"]
    else:
        assert_succeeded(done)
        assert rows(database, "SELECT version_num FROM alembic_version") == ["r0"]


# Signals, in every state.


@pytest.fixture
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """A server that waits at each commit for a synchronous standby that doesn't exist."""
    folder = tmp_path_factory.mktemp("strict") / "data"
    with embedded.serve(folder, PASSWORD, settings={"fsync": "off"}) as address:
        with connected(address) as session:
            session.execute("CREATE DATABASE strict")
            session.execute("ALTER DATABASE strict SET synchronous_commit = remote_apply")
        yield at(address, "strict")


def stopped_in_time(running: subprocess.Popen[str]) -> None:
    """Send SIGTERM, and assert that the process ends soon, with exit code 4."""
    started = time.monotonic()
    running.send_signal(signal.SIGTERM)
    assert_failed(ended(running, 60), "LL-STOPPED-BY-SIGNAL", 4, mentions="SIGTERM")
    assert time.monotonic() - started < 8  # two seconds, and time for a busy machine


def test_sigterm_ends_the_wait_for_another_run(project: Project) -> None:
    """Also in the longest pause between two looks at the lock."""
    project.revision("slow", None, SLEEPS)
    first = project.start("upgrade")
    until_it_sleeps(project.database)
    second = project.start("upgrade")
    until_it_says(second, "waiting for another run")
    time.sleep(6)
    stopped_in_time(second)
    stopped_in_time(first)


def test_sigterm_ends_the_wait_for_a_lock(tmp_path: Path, database: Address) -> None:
    """Between two attempts, too."""
    project = project_with_items(tmp_path, database, ADDS_MANY_COLUMNS, "psycopg")
    with in_transaction(database) as holder:
        holder.execute("LOCK TABLE item")
        running = project.start("upgrade", **ALL_TABLES_LARGE)
        until_it_says(running, "got no lock")
        stopped_in_time(running)


def test_sigterm_ends_a_revision_that_computes(project: Project) -> None:
    """Code of the revision runs in the main thread, where Python receives no signal."""
    project.revision("slow", None, "op.execute('SELECT 1')\ntime.sleep(60)")
    running = project.start("upgrade")
    until_it_says(running, "applying slow")
    time.sleep(1)
    stopped_in_time(running)


def test_sigterm_ends_a_commit_without_its_synchronous_standby(
    tmp_path: Path, strict: Address
) -> None:
    """The commit waits for the standby for ever; the session is cancelled or left."""
    project = make_project(tmp_path, strict)
    project.revision("table", None, "op.create_table('t', sa.Column('a', sa.Integer))")
    with connected(strict) as session:
        session.execute("ALTER SYSTEM SET synchronous_standby_names = 'missing'")
        session.execute("SELECT pg_reload_conf()")
    running = project.start("upgrade")
    waits = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    until(lambda: rows(strict, waits), 30, "a commit waits")
    stopped_in_time(running)


def test_sigterm_is_obeyed_without_the_monitoring_session(project: Project) -> None:
    """The statement can't be cancelled, so the process ends without its end."""
    project.revision("slow", None, SLEEPS)
    running = project.start("upgrade")
    until_it_sleeps(project.database)
    (working,) = sleeping_sessions(project.database)
    with connected(project.database) as session:
        for pid in set(rows(project.database, WORKING_SESSIONS)) - {working}:
            session.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
    stopped_in_time(running)
    until(lambda: not sleeping_sessions(project.database), 30, "the statement has ended")


# Silent servers.


def test_run_ends_when_the_server_is_silent(project: Project) -> None:
    """Its backends are stopped; the process doesn't wait for them for ever."""
    project.revision("slow", None, SLEEPS)
    running = project.start("upgrade")
    until_it_sleeps(project.database)
    backends = rows(project.database, WORKING_SESSIONS)
    for pid in backends:
        os.kill(pid, signal.SIGSTOP)
    try:
        done = ended(running, 60)
    finally:
        for pid in backends:
            os.kill(pid, signal.SIGCONT)
    assert_failed(done, "LL-SERVER-SILENT", 4, mentions="has not answered")
