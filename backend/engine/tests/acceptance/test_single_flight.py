"""One run at a time: concurrent runs wait, and take over from a run that was killed."""

from __future__ import annotations

import subprocess
import time

import psycopg
import pytest
from acceptance.support.databases import (
    assert_nothing_is_left,
    database_state,
    state_by_plain_alembic,
)
from acceptance.support.kill_points import Progress, at_each_new_commit, terminate_sessions
from acceptance.support.processes import run_liftlock
from acceptance.support.slow_revisions import (
    WAITS_FOR_THE_TEST,
    held,
    sleeping_sessions,
    until_it_sleeps,
    until_it_waits,
)
from helpers import (
    ALL_TABLES_LARGE,
    Project,
    ProjectFactory,
    assert_failed,
    assert_succeeded,
    at,
    connected,
    ended,
    killed,
    rows,
    until,
    until_it_says,
    url_of,
)

GOOD = "op.create_table('good', sa.Column('a', sa.Integer))"
SLEEPS_AS_LONG_AS_THE_TABLE_SAYS = (
    "op.create_table('slow', sa.Column('a', sa.Integer))\n"
    "op.execute('SELECT pg_sleep(a) FROM seconds')"
)
BEGINS_ITS_OWN_TRANSACTION = """
from alembic import context
from sqlalchemy import create_engine
with create_engine(context.config.get_main_option("sqlalchemy.url")).begin() as connection:
    context.configure(connection=connection)
    context.run_migrations()
"""
SNAPSHOTS_OF_IDLE_SESSIONS = """
SELECT state, query FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'liftlock%'
  AND state <> 'active' AND backend_xmin IS NOT NULL
"""
SESSIONS_OF_LIFTLOCK = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'liftlock%'
"""


def test_waiting_run_takes_over_5_seconds_after_a_kill(project: Project) -> None:
    """The session of a killed process ends soon, and the waiting run does the work once."""
    project.revision("good", None, GOOD)
    project.revision("slow", "good", SLEEPS_AS_LONG_AS_THE_TABLE_SAYS)
    with connected(project.database) as session:
        session.execute("CREATE TABLE seconds AS SELECT 60 AS a")
        first = project.start("upgrade")
        until_it_sleeps(project.database)
        second = project.start("upgrade")
        until_it_says(second, "waiting for another run")
        session.execute("UPDATE seconds SET a = 2")
    killed(first)
    of_first = set(sleeping_sessions(project.database))
    until(lambda: set(sleeping_sessions(project.database)) - of_first, 5, "the second run works")
    assert_succeeded(ended(second))
    applied = "SELECT revision FROM liftlock.revisions ORDER BY revision"
    assert rows(project.database, applied) == ["good", "slow"]


def test_eight_concurrent_upgrades_run_each_revision_once(shop: Project) -> None:
    """One of eight runs works, the others wait and exit 0; none logs an error."""
    started = [shop.start("upgrade") for _ in range(8)]
    finished = [ended(running, 120) for running in started]
    for done in finished:
        assert_succeeded(done)
    assert sum("applying a1" in done.stderr for done in finished) == 1
    assert not any("error" in done.stderr.lower() for done in finished)
    counts = (
        "SELECT count(*), count(DISTINCT revision), (SELECT count(*) FROM liftlock.runs)"
        " FROM liftlock.revisions"
    )
    assert rows(shop.database, counts) == [(4, 4, 1)]


@pytest.mark.parametrize("own_transaction", [False, True])
def test_waiting_run_holds_no_snapshot(project: Project, *, own_transaction: bool) -> None:
    """CREATE INDEX CONCURRENTLY of the other run would wait for the end of the snapshot."""
    project.revision("slow", None, WAITS_FOR_THE_TEST)
    with held(project.database):
        first = project.start("upgrade")
        until_it_waits(project.database)
        if own_transaction:
            project.env(BEGINS_ITS_OWN_TRANSACTION)
        second = project.start("upgrade")
        until_it_says(second, "waiting for another run")
        assert rows(project.database, SNAPSHOTS_OF_IDLE_SESSIONS) == []
    assert_succeeded(ended(first))
    assert_succeeded(ended(second))


def test_waiting_runs_have_no_sessions_most_of_the_time(project: Project) -> None:
    """Ten of them look at the lock in turn; each has one session at most while it does."""
    project.revision("slow", None, WAITS_FOR_THE_TEST)
    seen = []
    with held(project.database):
        first = project.start("upgrade")
        until_it_waits(project.database)
        waiting = [project.start("upgrade") for _ in range(10)]
        for run in waiting:
            until_it_says(run, "waiting for another run")
        time.sleep(5)  # the pauses have become longer than the looks
        for _ in range(100):
            seen += rows(project.database, SESSIONS_OF_LIFTLOCK)
            time.sleep(0.03)
    of_first = 2
    assert seen.count(of_first) > len(seen) / 2
    assert max(seen) <= of_first + len(waiting)
    for run in (first, *waiting):
        assert_succeeded(ended(run))
    assert rows(project.database, "SELECT count(*) FROM liftlock.runs") == [1]


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_waiting_run_blocks_no_index_under_any_isolation_level(
    project: Project, level: str
) -> None:
    """A transaction of the waiting run would keep its snapshot, for which the index waits."""
    project.revision("table", None, "op.create_table('t', sa.Column('a', sa.Integer))")
    assert_succeeded(project.run("upgrade"))
    body = f"{WAITS_FOR_THE_TEST}\nop.create_index('t_a', 't', ['a'])"
    project.revision("index", "table", body)
    with connected(project.database) as session:
        session.execute(
            f"ALTER DATABASE {project.database.dbname}"
            f" SET default_transaction_isolation = '{level}'"
        )
    limits = {"LIFTLOCK_DEADLINE": "30", **ALL_TABLES_LARGE}
    with held(project.database):
        first = project.start("upgrade", **limits)
        until_it_waits(project.database)
        second = project.start("upgrade", **limits)
        until_it_says(second, "waiting for another run")
    for run in (first, second):
        assert_succeeded(ended(run))


def test_runs_wait_for_connections_that_the_server_refuses(project: Project) -> None:
    """A role with three connections is enough for eight runs; none of them fails."""
    project.revision("slow", None, WAITS_FOR_THE_TEST)
    role = f"crowd_{project.database.dbname}"
    with connected(project.database) as session:
        session.execute("GRANT ALL ON SCHEMA public TO PUBLIC")
        session.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'crowd' CONNECTION LIMIT 3")
        session.execute(f"GRANT CREATE ON DATABASE {project.database.dbname} TO {role}")
    crowd = at(project.database, project.database.dbname, user=role, password="crowd")
    project.set_url(url_of(crowd, "psycopg"))
    with held(project.database):
        runs = [project.start("upgrade", LIFTLOCK_WAIT="120") for _ in range(8)]
        until_it_waits(project.database)
        time.sleep(5)
    for run in runs:
        assert_succeeded(ended(run, 120))
    assert rows(project.database, "SELECT count(*) FROM liftlock.runs") == [1]


def test_role_with_one_connection_is_refused_after_the_wait(project: Project) -> None:
    """env.py has the only one; the lock needs a second session."""
    project.revision("r1", None, "pass")
    role = f"alone_{project.database.dbname}"
    with connected(project.database) as session:
        session.execute("GRANT ALL ON SCHEMA public TO PUBLIC")
        session.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'alone' CONNECTION LIMIT 1")
        session.execute(f"GRANT CREATE ON DATABASE {project.database.dbname} TO {role}")
    alone = at(project.database, project.database.dbname, user=role, password="alone")
    project.set_url(url_of(alone, "psycopg"))
    done = project.run("upgrade", LIFTLOCK_WAIT="3")
    assert_failed(done, "LL-TOO-MANY-CONNECTIONS", 4, mentions="waiting for a second connection")
    assert done.stderr.count("waiting for a second connection") < 20


@pytest.mark.parametrize("handles", ["pass", "raise SystemExit(1)"])
def test_env_py_that_handles_every_exception_waits_too(project: Project, handles: str) -> None:
    """The wait ends env.py by an exception, which a bare `except` would keep or replace."""
    project.revision("slow", None, WAITS_FOR_THE_TEST)
    with held(project.database):
        first = project.start("upgrade")
        until_it_waits(project.database)
        env = project.folder / "migrations" / "env.py"
        body = "".join(f"    {line}\n" for line in env.read_text().splitlines())
        project.env(f"try:\n{body}except BaseException:\n    {handles}\n")
        second = project.start("upgrade")
        until_it_says(second, "waiting for another run")
    assert_succeeded(ended(first))
    assert_succeeded(ended(second))


@pytest.mark.kills
@pytest.mark.parametrize("number", range(1, 5))
def test_run_that_lost_the_lock_commits_nothing_beside_its_rival(
    case_project: ProjectFactory, number: int
) -> None:
    """The lock's session ends after its last check, and a rival run begins.

    No row is updated twice: the rival waits for the fence, a lock of the working session.
    """
    plain = case_project("create_index")
    ours = case_project("create_index")
    for project in (plain, ours):
        project.revision("r1", "r0", 'op.backfill("Person", set="code = code + 1000")')
    expected = state_by_plain_alembic(plain, "upgrade", "head")
    progress = Progress(ours.folder / "progress")
    terminate_the_others = terminate_sessions(ours.database, "the other sessions")
    output = ours.folder / "rival"

    def start_a_rival(session: psycopg.Connection[object]) -> None:
        if len(progress) != number:
            return
        terminate_the_others(session)
        variables = ours.variables(LIFTLOCK_SMALL_TABLE="0", LIFTLOCK_LOCK_TIMEOUT="20000")
        with output.open("w") as out:
            command = ["liftlock", "-c", ours.ini, "upgrade"]
            subprocess.Popen(command, cwd=ours.folder, env=variables, stdout=out, stderr=out)
        end = time.monotonic() + 30
        # The working session, and two of the rival.
        while rows(ours.database, SESSIONS_OF_LIFTLOCK)[0] < 3 and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(1)  # without the fence the rival would be at work by now

    disturb = at_each_new_commit(progress, start_a_rival, "before")
    assert run_liftlock(ours, "upgrade", disturb) in {0, 4}
    assert output.exists(), "there are fewer commits"
    until(lambda: rows(ours.database, SESSIONS_OF_LIFTLOCK) == [0], 60, "the rival has ended")
    assert run_liftlock(ours, "upgrade") == 0
    assert database_state(ours.database) == expected, output.read_text()
    assert_nothing_is_left(ours.database)
