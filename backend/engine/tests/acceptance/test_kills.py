"""Runs whose process is killed or whose sessions are terminated at every commit."""

from __future__ import annotations

import random
import subprocess
import time

import pytest
from acceptance.support.databases import (
    assert_nothing_is_left,
    database_state,
    state_by_plain_alembic,
)
from acceptance.support.kill_points import (
    run_again_at_each_commit,
    run_killed_at_each_commit,
    terminate_sessions,
)
from acceptance.support.operations import CASES
from acceptance.support.slow_revisions import SLEEPS, until_it_sleeps
from helpers import (
    ALL_TABLES_LARGE,
    Project,
    ProjectFactory,
    assert_failed,
    assert_succeeded,
    connected,
    ended,
    rows,
    until,
)

from liftlock.errors import NotNow

TARGETS = {"upgrade": "head", "downgrade": "r0"}
MOMENTS = {"upgrade": ("before", "after"), "downgrade": ("after",)}
"""The sides of a commit. A downgrade is killed only after it: what precedes it is rolled back."""


@pytest.mark.kills
@pytest.mark.parametrize("case", CASES)
def test_operation_killed_at_each_commit_is_resumed(
    case_project: ProjectFactory, case: str
) -> None:
    """SIGKILL before and after each commit, up and down.

    Each run resumes the last, and the schema is plain Alembic's.
    """
    plain = case_project(case)
    ours = case_project(case)
    any_column_order = CASES[case].reorders_columns
    for command, target in TARGETS.items():
        expected = state_by_plain_alembic(plain, command, target, any_column_order=any_column_order)
        run_killed_at_each_commit(ours, command, *MOMENTS[command])
        assert database_state(ours.database, any_column_order=any_column_order) == expected
        assert_nothing_is_left(ours.database)


@pytest.mark.kills
@pytest.mark.parametrize("which", ["the working session", "the other sessions"])
@pytest.mark.parametrize("case", CASES)
def test_operation_is_resumed_after_its_sessions_are_terminated(
    case_project: ProjectFactory, case: str, which: str
) -> None:
    """pg_terminate_backend after each commit ends the run with exit code 4.

    The next run resumes it.
    """
    plain = case_project(case)
    ours = case_project(case)
    any_column_order = CASES[case].reorders_columns
    expected = state_by_plain_alembic(plain, "upgrade", "head", any_column_order=any_column_order)
    terminate = terminate_sessions(ours.database, which)
    run_again_at_each_commit(ours, "upgrade", terminate, "after", ends_with=NotNow.exit_code)
    assert database_state(ours.database, any_column_order=any_column_order) == expected
    assert_nothing_is_left(ours.database)


LONG_STEPS = {
    "index": 'op.create_index("ix_long", "long", [sa.text("md5(note)"), "a"], unique=True)',
    "validation": 'op.create_check_constraint("ck_long", "long", "md5(md5(note)) <> \'x\'")',
    "backfill": (
        'token = sa.Column("token", sa.Uuid, server_default=sa.text("gen_random_uuid()"),'
        ' nullable=False)\nop.add_column("long", token)'
    ),
    "replacement column": 'op.alter_column("long", "a", type_=sa.BigInteger())',
    "update": 'op.execute("UPDATE long SET b = a")',
}
LONG_TABLE = """
op.execute('''
CREATE TABLE long AS SELECT i AS a, 0 AS b, 'n' || i AS note FROM generate_series(1, 150000) AS i
''')
op.execute("CREATE INDEX ix_long_a ON long (a)")
"""
WORKS_ON_LONG_TABLE = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'liftlock upgrade%'
    AND state = 'active' AND query ~ 'long' AND pid <> pg_backend_pid()
"""
TERMINATE_LIFTLOCK = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'liftlock%'
"""


@pytest.mark.every_major
@pytest.mark.kills
@pytest.mark.parametrize("way", ["killed", "terminated"])
@pytest.mark.parametrize("name", LONG_STEPS)
def test_long_step_interrupted_midway_is_resumed(project: Project, name: str, way: str) -> None:
    """A run killed or terminated at any time within a long step is resumed, and repeats nothing."""
    project.revision("r0", None, LONG_TABLE.strip())
    assert_succeeded(project.run("upgrade"))
    project.revision("r1", "r0", LONG_STEPS[name])
    chance = random.Random(f"{name} {way}")  # noqa: S311 - the moments of a test
    for _ in range(3):
        running = project.start("upgrade", **ALL_TABLES_LARGE)
        _let_it_work(running, project, chance.random() * 0.3)
        if way == "killed":
            running.kill()
        else:
            rows(project.database, TERMINATE_LIFTLOCK)
        ended(running)
    assert_succeeded(project.run("upgrade", **ALL_TABLES_LARGE))
    assert rows(project.database, "SELECT count(*) FROM pg_index WHERE NOT indisvalid") == [0]
    not_valid = "SELECT count(*) FROM pg_constraint WHERE NOT convalidated"
    assert rows(project.database, not_valid) == [0]
    if name == "update":
        assert rows(project.database, "SELECT count(*) FROM long WHERE b = a") == [150000]
    if name == "backfill":
        counts = "SELECT count(*), count(DISTINCT token) FROM long"
        assert rows(project.database, counts) == [(150000, 150000)]
    if name == "replacement column":
        values = "SELECT count(DISTINCT a), sum(a), max(pg_typeof(a)::text) FROM long"
        assert rows(project.database, values) == [(150000, 11250075000, "bigint")]
    assert_nothing_is_left(project.database)


def _let_it_work(running: subprocess.Popen[str], project: Project, seconds: float) -> None:
    """Wait until a statement on the table runs, or the command ends; and then some time."""
    until(
        lambda: running.poll() is not None or rows(project.database, WORKS_ON_LONG_TABLE) != [0],
        20,
        "a statement on the table runs",
        pause=0.01,
    )
    time.sleep(seconds)


def test_terminated_session_exits_4(project: Project) -> None:
    """A terminated session may mean that the server restarts: exit code 4, to run again."""
    project.revision("slow", None, SLEEPS)
    running = project.start("upgrade")
    until_it_sleeps(project.database)
    with connected(project.database) as session:
        session.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE query LIKE 'SELECT pg_sleep%'"
        )
    assert_failed(ended(running), "LL-CONNECTION-LOST", 4)
