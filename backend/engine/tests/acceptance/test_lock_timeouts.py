"""Locks that are refused: short tries, other sessions that go on, and the deadline."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator

import pytest
from helpers import (
    ALL_TABLES_LARGE,
    Project,
    ProjectFactory,
    assert_failed,
    assert_refused,
    assert_succeeded,
    connected,
    ended,
    in_transaction,
    rows,
)

WAITING_FOR_A_TABLE = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'"


@pytest.fixture
def blocked_project(project: Project) -> Iterator[Project]:
    """Make a project whose second revision needs a lock that an idle transaction blocks."""
    project.revision("good", None, "op.create_table('good', sa.Column('a', sa.Integer))")
    assert_succeeded(project.run("upgrade"))
    project.revision("more", "good", "op.add_column('good', sa.Column('b', sa.Integer))")
    with connected(project.database, application_name="the blocker") as session:
        session.execute("BEGIN")
        session.execute("SELECT * FROM good")
        yield project


def test_lock_that_is_never_granted_ends_at_the_deadline(blocked_project: Project) -> None:
    """The run ends with exit code 4 and names the blocker from the first try on.

    Nothing is half done.
    """
    done = blocked_project.run("upgrade", "--deadline", "2")
    assert_failed(done, "LL-LOCK-REFUSED", 4, mentions="'the blocker', idle in transaction")
    first_try = next(line for line in done.stderr.splitlines() if "(try 1)" in line)
    assert "'the blocker'" in first_try
    version = rows(blocked_project.database, "SELECT version_num FROM alembic_version")
    assert version == ["good"]


def test_queries_wait_no_longer_than_the_lock_timeout(blocked_project: Project) -> None:
    """A reader that is blocked by the waiting ALTER TABLE goes on after one try."""
    running = blocked_project.start("upgrade", "--deadline", "4")
    end = time.monotonic() + 4
    with connected(blocked_project.database) as session:
        longest = longest_duration(
            lambda: session.execute("SELECT * FROM good"), lambda: time.monotonic() < end
        )
    assert "got no lock" in ended(running).stderr
    assert longest < 1.0, "the lock timeout is 100 ms; the limit is generous"


def longest_duration(
    act: Callable[[], object], goes_on: Callable[[], bool], pause: float = 0
) -> float:
    """Do something over and over, and return the seconds that it took at most."""
    longest = 0.0
    while goes_on():
        started = time.monotonic()
        act()
        longest = max(longest, time.monotonic() - started)
        time.sleep(pause)
    return longest


def longest_wait_for_a_table(project: Project, running: subprocess.Popen[str]) -> float:
    """Return the seconds that a session has waited for a table, at most, until a command ends."""
    longest = 0.0
    end = time.monotonic() + 30
    nobody_waited_at = time.monotonic()
    while running.poll() is None and time.monotonic() < end:
        if rows(project.database, WAITING_FOR_A_TABLE) == [0]:
            nobody_waited_at = time.monotonic()
        longest = max(longest, time.monotonic() - nobody_waited_at)
        time.sleep(0.02)
    return longest


@pytest.mark.every_major
@pytest.mark.kills
def test_lock_timeout_of_env_py_and_revision_is_ignored(item_project: ProjectFactory) -> None:
    """SET lock_timeout in env.py or in a revision does not make other sessions wait longer."""
    project = item_project(
        "op.execute(\"SET lock_timeout = '60s'\")\n"
        "op.add_column('item', sa.Column('x', sa.Integer))"
    )
    setting = "connection.exec_driver_sql(\"SET lock_timeout = '60s'\"); connection.commit()"
    project.before_configure(setting)
    with connected(project.database) as session, session.transaction():
        session.execute("SELECT FROM item LIMIT 1")
        running = project.start("upgrade", LIFTLOCK_DEADLINE="3", **ALL_TABLES_LARGE)
        waited = longest_wait_for_a_table(project, running)
    assert_failed(ended(running, 30), "LL-LOCK-REFUSED", 4)
    assert waited < 1


@pytest.mark.every_major
@pytest.mark.kills
def test_strong_lock_requested_after_a_long_update_is_refused(item_project: ProjectFactory) -> None:
    """A statement that locks only rows may be slow; it is stopped when it locks a table."""
    project = item_project(
        "op.execute('UPDATE item SET size = slow(size); ALTER TABLE item ADD COLUMN x integer')"
    )
    with connected(project.database) as session, session.transaction():
        session.execute("SELECT FROM item LIMIT 1")
        running = project.start("upgrade", LIFTLOCK_DEADLINE="3", **ALL_TABLES_LARGE)
        waited = longest_wait_for_a_table(project, running)
    assert_refused(ended(running, 30), "LL-UNKNOWN-LOCKS", mentions="AccessExclusiveLock")
    assert waited < 1
    assert rows(project.database, "SELECT max(size) FROM item") == [1000]
    allowed = {"LIFTLOCK_ALLOW": "LL-UNKNOWN-LOCKS"}
    assert_succeeded(project.run("upgrade", **allowed, **ALL_TABLES_LARGE))


ALTERED_AND_READ = {
    "VIEW": ("ALTER VIEW v RENAME size TO width", "SELECT count(*) FROM v"),
    "SEQUENCE": ("ALTER SEQUENCE s CACHE 5", "SELECT nextval('s')"),
}


@pytest.mark.every_major
@pytest.mark.kills
@pytest.mark.parametrize("kind", ALTERED_AND_READ)
def test_long_statement_runs_after_the_lock_on_a_view_or_sequence_is_released(
    item_project: ProjectFactory, kind: str
) -> None:
    """Readers of a view or sequence that was altered do not wait for a long statement after it."""
    alters, reads = ALTERED_AND_READ[kind]
    project = item_project(
        f"op.execute({alters!r})\nop.execute(\"UPDATE item SET label = 'y' FROM pg_sleep(5)\")"
    )
    with connected(project.database) as session, connected(project.database) as reader:
        session.execute("CREATE VIEW v AS SELECT size FROM item; CREATE SEQUENCE s")
        running = project.start("upgrade", LIFTLOCK_LOCK_TIMEOUT="500", **ALL_TABLES_LARGE)
        longest = longest_duration(
            lambda: reader.execute(reads), lambda: running.poll() is None, pause=0.02
        )
    assert_succeeded(ended(running))
    assert longest < 3, "the statement itself takes five seconds"


def test_lock_that_a_dry_run_misses_is_tried_again(project: Project) -> None:
    """The empty copy needs the definition of an index that is being rebuilt.

    Nothing is wrong with the revision, so the run waits until its deadline, and the next one works.
    """
    project.revision("r0", None, "pass")
    assert_succeeded(project.run("upgrade"))
    project.revision("r1", "r0", "op.alter_column('item', 'name', type_=sa.String(40))")
    with connected(project.database) as session:
        session.execute("CREATE TABLE item (id integer PRIMARY KEY, name varchar(20), n integer)")
        session.execute("CREATE INDEX ix ON item (n)")
    with in_transaction(project.database) as session:
        session.execute("REINDEX INDEX ix")
        done = project.run("upgrade", LIFTLOCK_DEADLINE="3", **ALL_TABLES_LARGE)
    assert_failed(done, "LL-LOCK-REFUSED", 4, mentions="REINDEX INDEX ix")
    assert_succeeded(project.run("upgrade", **ALL_TABLES_LARGE))
