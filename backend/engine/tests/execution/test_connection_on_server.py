"""The project's connection on a real server."""

from __future__ import annotations

import psycopg
import pytest
import sqlalchemy as sa
from execution.server_run import ServerRun, each_driver
from helpers import connected

CREATE_ITEM = "CREATE TABLE item (id integer PRIMARY KEY, n integer)"


@pytest.fixture
def item(run: ServerRun) -> str:
    """A table with one row, committed."""
    with connected(run.database) as session:
        session.execute(CREATE_ITEM)
        session.execute("INSERT INTO item VALUES (1, 1)")
    return "item"


def is_blocked(run: ServerRun, relation: str) -> bool:
    """Return whether another session has to wait for a table."""
    with connected(run.database, options="-c lock_timeout=50ms") as session:
        try:
            session.execute(f"SELECT * FROM {relation}")
        except psycopg.errors.LockNotAvailable:
            return True
    return False


@each_driver
def test_a_dry_run_is_rolled_back(run: ServerRun, item: str) -> None:
    """Statements before it in the same transaction stay."""
    run.connection.send(f"UPDATE {item} SET n = 2")
    assert not run.connection.in_dry_run
    with run.connection.dry_run():
        assert run.connection.in_dry_run
        run.connection.send(f"UPDATE {item} SET n = 3")
        run.connection.send(f"CREATE TEMPORARY TABLE copy (LIKE {item})")
    assert not run.connection.in_dry_run
    assert run.connection.rows(f"SELECT n, to_regclass('copy') AS copy FROM {item}") == [
        {"n": 2, "copy": None}
    ]


def test_a_dry_run_releases_its_locks(run: ServerRun, item: str) -> None:
    """The rest of the transaction would hold them otherwise."""
    with run.connection.dry_run():
        run.connection.send(f"LOCK TABLE {item} IN ACCESS EXCLUSIVE MODE")
        assert is_blocked(run, item)
    assert not is_blocked(run, item)


@each_driver
def test_a_failed_dry_run_leaves_the_transaction_usable(run: ServerRun, item: str) -> None:
    """The error is the server's, and the transaction isn't aborted."""
    run.connection.send(f"UPDATE {item} SET n = 2")
    with pytest.raises(Exception, match="missing"), run.connection.dry_run():
        run.connection.send("SELECT missing")
    assert not run.connection.in_dry_run
    assert run.connection.send(f"SELECT n FROM {item}") == [{"n": 2}]


@each_driver
def test_statements_are_sent_exactly_as_written(run: ServerRun) -> None:
    """Percent signs and colons mean nothing to the drivers."""
    text = "SELECT '%s %(a)s 100% :b' AS text, 5 % 3 AS rest"
    assert run.connection.send(text) == [{"text": "%s %(a)s 100% :b", "rest": 2}]


@each_driver
def test_rows_and_counts_of_statements_with_parameters(run: ServerRun, item: str) -> None:
    """Named parameters; a statement without a result set has no rows."""
    update = f"UPDATE {item} SET n = :n"
    assert run.connection.count(update, {"n": 5}) == 1
    assert run.connection.rows(update, {"n": 6}) == []
    assert run.connection.rows(f"SELECT n FROM {item} WHERE n = :n", {"n": 6}) == [{"n": 6}]
    assert run.connection.send(f"DELETE FROM {item}") == []


def test_settings_of_the_open_transaction_end_with_it(run: ServerRun) -> None:
    """As SET LOCAL does."""
    run.connection.set_local(lock_timeout="70ms", statement_timeout="80ms")
    assert run.setting("lock_timeout") == "70ms"
    assert run.setting("statement_timeout") == "80ms"
    run.connection.connection.rollback()
    assert run.setting("lock_timeout") == "0"


def test_statements_of_the_engine_are_marked_as_internal(run: ServerRun) -> None:
    """Listeners for the statements of the revision ignore them."""
    marks: list[bool] = []
    connection = run.connection.connection

    def listen(*_arguments: object) -> None:
        marks.append(run.connection.is_internal)

    sa.event.listen(connection, "before_cursor_execute", listen)
    try:
        run.connection.rows("SELECT 1")
        connection.execute(sa.text("SELECT 1"))
        run.connection.send("SELECT 1")
        with run.connection.as_internal(), run.connection.as_internal():
            connection.execute(sa.text("SELECT 1"))
        connection.execute(sa.text("SELECT 1"))
    finally:
        sa.event.remove(connection, "before_cursor_execute", listen)
    assert marks == [True, False, True, True, False]


def test_connections_of_one_session_are_the_same(run: ServerRun) -> None:
    """A revision may derive one with execution options, or open another one."""
    derived = run.connection.connection.execution_options(stream_results=False)
    assert run.connection.is_same_as(derived)
    with run.connection.connection.engine.connect() as another:
        assert not run.connection.is_same_as(another)
