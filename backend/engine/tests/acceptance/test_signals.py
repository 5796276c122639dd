"""Signals: SIGTERM and SIGINT cancel a run, SIGSTOP and SIGCONT do not."""

from __future__ import annotations

import signal
import time

import pytest
from acceptance.support.databases import sessions_of_liftlock
from acceptance.support.slow_revisions import SLEEPS, until_it_sleeps
from helpers import Project, assert_failed, ended, rows, until_it_says

SLEEPS_STILL = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(60)%'"


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_signal_cancels_the_statement_and_exits_4(project: Project, stop: signal.Signals) -> None:
    """SIGTERM and SIGINT roll back soon, and leave no table, session or lock."""
    project.revision("good", None, "op.create_table('good', sa.Column('a', sa.Integer))")
    project.revision("slow", "good", SLEEPS)
    running = project.start("upgrade")
    until_it_sleeps(project.database)
    started = time.monotonic()
    running.send_signal(stop)
    assert_failed(ended(running, 30), "LL-STOPPED-BY-SIGNAL", 4, mentions=stop.name)
    assert time.monotonic() - started < 10
    assert rows(project.database, "SELECT version_num FROM alembic_version") == ["good"]
    assert rows(project.database, "SELECT to_regclass('slow')::text") == [None]
    assert sessions_of_liftlock(project.database) == 0


def test_sigstop_and_sigcont_do_not_end_the_run(project: Project) -> None:
    """A process that was stopped and continued goes on, and still reacts to SIGTERM."""
    project.revision("slow", None, SLEEPS)
    running = project.start("upgrade")
    until_it_sleeps(project.database)
    for _ in range(20):
        running.send_signal(signal.SIGSTOP)
        time.sleep(0.1)
        running.send_signal(signal.SIGCONT)
        time.sleep(0.08)
    assert running.poll() is None, running.communicate()
    assert rows(project.database, SLEEPS_STILL) == [1]
    running.send_signal(signal.SIGTERM)
    assert_failed(ended(running, 20), "LL-STOPPED-BY-SIGNAL", 4, mentions="SIGTERM")


def test_sigterm_ends_the_wait_for_the_database(project: Project) -> None:
    """`liftlock wait` reacts to SIGTERM while it waits."""
    unreachable = {**project.database.environ(), "POSTGRES_PORT": "1"}
    running = project.start("wait", "--wait", "60", **unreachable)
    until_it_says(running, "waiting for the database")
    running.send_signal(signal.SIGTERM)
    assert ended(running, 20).returncode == 4
