"""Unique indexes whose build a signal or the deadline ends: they must not go on to reject rows."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from helpers import (
    ALL_TABLES_LARGE,
    Project,
    assert_failed,
    assert_succeeded,
    begun_project,
    connected,
    ended,
    in_transaction,
    rows,
    until,
)

from liftlock.settings import Address

BY_ALEMBIC = 'op.create_index("ux_n", "item", ["n"], unique=True)'
BY_SQL = """
with op.get_context().autocommit_block():
    op.execute("CREATE UNIQUE INDEX CONCURRENTLY ux_n ON item (n)")
"""
UNFINISHED = "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid"
ENFORCED = "SELECT 1 FROM pg_index WHERE NOT indisvalid AND indisready"
STATEMENT = "DROP INDEX CONCURRENTLY IF EXISTS"
each_form = pytest.mark.parametrize("body", [BY_ALEMBIC, BY_SQL])


@pytest.fixture
def old_snapshot(database: Address) -> Iterator[psycopg.Connection[object]]:
    """Hold a snapshot in another session, for whose end each concurrent build waits."""
    with connected(database) as session:
        session.execute("CREATE TABLE item (id integer PRIMARY KEY, n integer)")
        session.execute("INSERT INTO item SELECT i, i FROM generate_series(1, 100) AS i")
        session.execute("CREATE TABLE other (a integer)")
    with in_transaction(database) as holder:
        holder.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        holder.execute("SELECT FROM other")
        yield holder


def insert_duplicate(database: Address) -> None:
    """Insert a row that the unique index would reject."""
    with connected(database) as session:
        session.execute("INSERT INTO item VALUES (1000, 1)")


@each_form
@pytest.mark.usefixtures("old_snapshot")
def test_sigterm_leaves_no_unfinished_index(tmp_path: Path, database: Address, body: str) -> None:
    """It is dropped before the process ends."""
    project = begun_project(tmp_path, database, body)
    running = project.start("upgrade", **ALL_TABLES_LARGE)
    until(lambda: rows(database, ENFORCED), 30, "the index rejects rows")
    running.send_signal(signal.SIGTERM)
    done = ended(running)
    assert_failed(done, "LL-STOPPED-BY-SIGNAL", 4)
    assert STATEMENT not in done.stderr
    assert rows(database, UNFINISHED) == []
    insert_duplicate(database)


@each_form
def test_deadline_leaves_no_unfinished_index(
    tmp_path: Path, database: Address, old_snapshot: psycopg.Connection[object], body: str
) -> None:
    """The next run builds it."""
    project = begun_project(tmp_path, database, body)
    done = project.run("upgrade", LIFTLOCK_DEADLINE="2", **ALL_TABLES_LARGE)
    assert_failed(done, "LL-DEADLINE-EXCEEDED", 4, mentions="blocked by")
    assert rows(database, UNFINISHED) == []
    old_snapshot.rollback()
    assert_succeeded(project.run("upgrade", **ALL_TABLES_LARGE))


def assert_left(project: Project, *, signalled: bool) -> None:
    """Assert that a blocked run leaves the index, and says how to drop it."""
    running = project.start("upgrade", LIFTLOCK_DEADLINE="4", **ALL_TABLES_LARGE)
    if signalled:
        until(lambda: rows(project.database, UNFINISHED), 30, "the build has begun")
        running.send_signal(signal.SIGTERM)
    code = "LL-STOPPED-BY-SIGNAL" if signalled else "LL-DEADLINE-EXCEEDED"
    assert_failed(ended(running), code, 4, mentions=f"{STATEMENT} ux_n")
    assert rows(project.database, UNFINISHED) == ["ux_n"]


@each_form
@pytest.mark.parametrize("signalled", [True, False])
def test_unfinished_index_that_cannot_be_dropped_in_time_is_named(
    tmp_path: Path, database: Address, body: str, *, signalled: bool
) -> None:
    """A transaction that writes to the table blocks its removal, too."""
    with connected(database) as session:
        session.execute("CREATE TABLE item (id integer PRIMARY KEY, n integer)")
    project = begun_project(tmp_path, database, body)
    with in_transaction(database) as holder:
        holder.execute("INSERT INTO item VALUES (1, 1)")
        assert_left(project, signalled=signalled)
    assert_succeeded(project.run("upgrade", **ALL_TABLES_LARGE))
    assert rows(database, UNFINISHED) == []


def test_invalid_index_of_the_project_survives_a_signal_during_its_repair(
    tmp_path: Path, database: Address, old_snapshot: psycopg.Connection[object]
) -> None:
    """REINDEX is the way to repair it; the next run does it."""
    reindex = """
with op.get_context().autocommit_block():
    op.execute("REINDEX INDEX CONCURRENTLY ux_n")
"""
    with connected(database) as session:
        session.execute("INSERT INTO item VALUES (1000, 1)")
        old_snapshot.rollback()
        with pytest.raises(psycopg.errors.UniqueViolation):
            session.execute("CREATE UNIQUE INDEX CONCURRENTLY ux_n ON item (n)")
        session.execute("DELETE FROM item WHERE id = 1000")
    project = begun_project(tmp_path, database, reindex)
    with in_transaction(database) as holder:
        holder.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        holder.execute("SELECT FROM other")
        running = project.start("upgrade", **ALL_TABLES_LARGE)
        until(lambda: len(rows(database, UNFINISHED)) > 1, 30, "the repair has begun")
        running.send_signal(signal.SIGTERM)
        assert_failed(ended(running), "LL-STOPPED-BY-SIGNAL", 4)
        assert "ux_n" in rows(database, UNFINISHED)
    assert_succeeded(project.run("upgrade", **ALL_TABLES_LARGE))
    assert rows(database, UNFINISHED) == []
    assert rows(database, "SELECT to_regclass('ux_n')::text") == ["ux_n"]
