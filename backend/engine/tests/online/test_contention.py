"""Sessions that hold conflicting locks: every operation gets through, and what is finished isn't done again."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from helpers import Project, connected, rows
from online.operations import CASES
from online.storms import child, expected, nothing_is_left, noting, state

from liftlock.settings import Address

TAKE_NO_STRONG_LOCK = {"writes_in_an_autocommit_block"}
TABLES = '"Person", visit, country'


@contextlib.contextmanager
def holding(
    address: Address, seconds: float, pause: float, mode: str = "ROW EXCLUSIVE"
) -> Iterator[None]:
    """A session that reads and writes the tables, holds its locks for a time, lets go, and comes again."""
    stop, first = threading.Event(), threading.Event()

    def hold() -> None:
        with connected(address, application_name="the holder") as session:
            while not stop.is_set():
                # A table may be gone or renamed meanwhile.
                seeded = "'Person', 'visit', 'country', 'Account', 'entry', 'reading'"
                present = f"SELECT string_agg(oid::regclass::text, ', ') FROM pg_class WHERE relname IN ({seeded})"
                tables = session.execute(present).fetchone()
                with contextlib.suppress(Exception), session.transaction():
                    session.execute(f"LOCK TABLE {tables[0] if tables else TABLES} IN {mode} MODE")
                    first.set()
                    stop.wait(seconds)
                stop.wait(pause)

    thread = threading.Thread(target=hold)
    thread.start()
    first.wait(10)
    try:
        yield
    finally:
        stop.set()
        thread.join()


def long_statements(file: Path) -> list[str]:
    """Of what was noted, the builds and the proofs."""
    lines = file.read_text().splitlines() if file.exists() else []
    return [line for line in lines if "CONCURRENTLY" in line or "VALIDATE" in line]


@pytest.mark.storms
@pytest.mark.parametrize("case", CASES)
def test_a_lock_that_is_held_over_and_over(fresh: Callable[[str], Project], case: str) -> None:
    """For 300 ms each time: every operation gets through between two of them."""
    project = fresh(case)
    with holding(project.database, 0.3, 0.1):
        assert child(project, "upgrade") == 0
    nothing_is_left(project.database)


@pytest.mark.patience
@pytest.mark.parametrize("case", CASES)
def test_a_slow_reader_that_comes_back(
    fresh: Callable[[str], Project], tmp_path: Path, case: str
) -> None:
    """A transaction of 10 s after each second's pause: every operation gets through, and finished work isn't done again."""
    quiet, project = fresh(case), fresh(case)
    assert child(quiet, "upgrade", noting(tmp_path / "quiet")) == 0
    with holding(project.database, 10, 1, "ACCESS SHARE"):
        assert child(project, "upgrade", noting(tmp_path / "held"), LIFTLOCK_DEADLINE="120") == 0
    assert long_statements(tmp_path / "held") == long_statements(tmp_path / "quiet")
    nothing_is_left(project.database)


@pytest.mark.storms
@pytest.mark.parametrize(
    "case",
    [
        "create_unique_constraint",
        "alter_nullable",
        "create_foreign_key",
        "add_column_volatile_default",
    ],
)
def test_finished_work_is_not_done_again(
    fresh: Callable[[str], Project], tmp_path: Path, case: str
) -> None:
    """Long transactions with a short pause between: an index, a proof and a backfill are made once, whatever misses its lock later."""
    project, noted = fresh(case), tmp_path / "noted"
    with holding(project.database, 4, 0.5):
        assert child(project, "upgrade", noting(noted)) == 0
    lines = long_statements(noted)
    assert len(lines) == len(set(lines)) <= 1
    assert rows(project.database, "SELECT count(*) FROM liftlock.executions") == [2]
    with connected(project.database) as session:
        session.execute(
            "SELECT pg_stat_force_next_flush()"
            if session.info.server_version >= 150000
            else "SELECT 1"
        )
    updated = (
        [len(rows(project.database, 'SELECT FROM "Person"'))]
        if case == "add_column_volatile_default"
        else [0]
    )
    assert (
        rows(project.database, "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'Person'")
        == updated
    )
    nothing_is_left(project.database)


@pytest.mark.storms
def test_one_that_never_lets_go(fresh: Callable[[str], Project]) -> None:
    """Exit 4 at the deadline; who blocks is shown from the first miss on; what is done is in the ledger, and the next run goes on."""
    project = fresh("create_unique_constraint")
    with holding(project.database, 60, 1):
        index = "SELECT count(*) FROM pg_index WHERE indexrelid = to_regclass('\"Person_email_code_key\"') AND indisvalid"
        begun = time.monotonic()
        done = project.run("upgrade", LIFTLOCK_SMALL_TABLE="0", LIFTLOCK_DEADLINE="8")
        assert time.monotonic() - begun < 40
        assert done.returncode == 4, done.stderr
        assert "waiting for pid" in done.stderr
        assert done.stderr.count("'the holder', idle in transaction for") >= 2
    assert rows(project.database, index) in ([0], [1])
    assert child(project, "upgrade") == 0
    assert rows(project.database, index) == [1]
    nothing_is_left(project.database)


@pytest.mark.patience
@pytest.mark.parametrize("case", [case for case in CASES if case not in TAKE_NO_STRONG_LOCK])
def test_whatever_never_gets_its_lock_ends_at_the_deadline(
    fresh: Callable[[str], Project], case: str
) -> None:
    """Exit 4, and who blocks; what is half done is in the ledger, so that the next run ends with plain Alembic's schema."""
    plain, project = fresh(case), fresh(case)
    wanted = expected(plain, "upgrade", "head", moved=CASES[case].moves)
    with holding(project.database, 60, 1):
        done = project.run("upgrade", LIFTLOCK_SMALL_TABLE="0", LIFTLOCK_DEADLINE="3")
        assert done.returncode == 4, done.stderr
        assert "'the holder', idle in transaction for" in done.stderr
    assert child(project, "upgrade") == 0
    assert state(project.database, moved=CASES[case].moves) == wanted
    nothing_is_left(project.database)


def test_a_prepared_transaction_is_named(fresh: Callable[[str], Project]) -> None:
    """It has no session; how to end it is said."""
    project = fresh("alter_default_comment_name")
    with connected(project.database) as session:
        session.execute('BEGIN; LOCK TABLE "Person" IN ROW EXCLUSIVE MODE')
        session.execute("PREPARE TRANSACTION 'left by the coordinator'")
        try:
            done = project.run(
                "upgrade",
                LIFTLOCK_SMALL_TABLE="0",
                LIFTLOCK_DEADLINE="2",
                LIFTLOCK_CANCEL_BLOCKERS="*",
            )
        finally:
            session.execute("ROLLBACK PREPARED 'left by the coordinator'")
    assert done.returncode == 4, done.stderr
    assert "blocked by no session, 'left by the coordinator', prepared for" in done.stderr
    assert "ROLLBACK PREPARED 'left by the coordinator' ends it" in done.stderr


@pytest.mark.parametrize("state", ["idle", "active"])
def test_blockers_that_the_operator_names_are_cancelled(
    fresh: Callable[[str], Project], state: str
) -> None:
    """By their application's name; others are left alone."""
    project = fresh("alter_default_comment_name")
    blocker = psycopg.connect(**project.database.keywords(), application_name="report 7")  # type: ignore[arg-type]
    with contextlib.closing(blocker) as session:
        session.execute('LOCK TABLE "Person" IN ROW EXCLUSIVE MODE')
        if state == "active":
            thread = threading.Thread(target=_sleep, args=(session,))
            thread.start()
        refused = project.run(
            "upgrade",
            LIFTLOCK_SMALL_TABLE="0",
            LIFTLOCK_DEADLINE="2",
            LIFTLOCK_CANCEL_BLOCKERS="other,report",
        )
        assert refused.returncode == 4, refused.stderr
        assert "cancelled" not in refused.stderr
        done = project.run(
            "upgrade",
            LIFTLOCK_SMALL_TABLE="0",
            LIFTLOCK_DEADLINE="10",
            LIFTLOCK_CANCEL_BLOCKERS="other, report*",
        )
        assert done.returncode == 0, done.stderr
        assert "cancelled pid" in done.stderr
        if state == "active":
            thread.join()


def _sleep(session: psycopg.Connection[object]) -> None:
    with contextlib.suppress(psycopg.Error):
        session.execute("SELECT pg_sleep(60)")
