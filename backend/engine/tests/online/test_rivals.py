"""Runners and applications that get in each other's way at the worst moment."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from helpers import Project, connected, rows
from online.storms import (
    at_each_boundary,
    child,
    end_sessions,
    expected,
    nothing_is_left,
    noting,
    state,
)

pytestmark = pytest.mark.storms
OURS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'liftlock%'"


@pytest.mark.parametrize("number", range(1, 5))
def test_a_rival_begins_right_before_a_commit(fresh: Callable[[str], Project], number: int) -> None:
    """The lock's session is lost after the last look at it, and another runner begins: no row is updated twice."""
    plain, ours = fresh("create_index"), fresh("create_index")
    for project in (plain, ours):
        project.revision("r1", "r0", """op.backfill("Person", set="code = code + 1000")""")
    wanted = expected(plain, "upgrade", "head")
    noted, end_the_others = ours.folder / "noted", end_sessions(ours.database, "the others")
    noted.touch()

    def rival(session: psycopg.Connection[object]) -> None:
        if len(noted.read_text().splitlines()) != number:
            return
        end_the_others(session)
        with (ours.folder / "rival").open("w") as out:
            command = ["liftlock", "-c", ours.ini, "upgrade"]
            variables = ours.variables(LIFTLOCK_SMALL_TABLE="0", LIFTLOCK_LOCK_TIMEOUT="20000")
            subprocess.Popen(command, cwd=ours.folder, env=variables, stdout=out, stderr=out)
        end = time.monotonic() + 30
        while (
            rows(ours.database, OURS)[0] < 3 and time.monotonic() < end
        ):  # the one at work, and two of the rival's
            time.sleep(0.05)
        time.sleep(1)  # without the fence it would be at work by now

    assert child(ours, "upgrade", at_each_boundary(noted, rival, "before")) in (0, 4)
    assert (ours.folder / "rival").exists(), "there are fewer commits"
    end = time.monotonic() + 60
    while rows(ours.database, OURS) != [0]:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert child(ours, "upgrade") == 0
    assert state(ours.database) == wanted, (ours.folder / "rival").read_text()
    nothing_is_left(ours.database)


def test_the_victim_of_a_deadlock_tries_again(fresh: Callable[[str], Project]) -> None:
    """PostgreSQL ends liftlock's transaction, not the application's; the next try gets through."""
    ours = fresh("create_index")
    ours.revision(
        "r1",
        "r0",
        'op.add_column("visit", sa.Column("a", sa.Integer))\nop.add_column("country", sa.Column("a", sa.Integer))',
    )
    with connected(ours.database) as session:
        session.execute(f"ALTER DATABASE {ours.database.dbname} SET deadlock_timeout = '2s'")
    with psycopg.connect(**ours.database.keywords()) as application:  # type: ignore[arg-type]
        application.execute("SET deadlock_timeout = '1min'")
        application.execute("LOCK TABLE country IN ROW EXCLUSIVE MODE")
        running = ours.start("upgrade", LIFTLOCK_SMALL_TABLE="0", LIFTLOCK_LOCK_TIMEOUT="20000")
        waiting = (
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'country'::regclass"
        )
        end = time.monotonic() + 30
        while rows(ours.database, waiting) == [0]:
            assert running.poll() is None, running.communicate()
            assert time.monotonic() < end
            time.sleep(0.02)
        application.execute(
            "LOCK TABLE visit IN ROW EXCLUSIVE MODE"
        )  # it waits for liftlock, which waits for it
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 0, errors
    assert rows(
        ours.database,
        "SELECT deadlocks > 0 FROM pg_stat_database WHERE datname = current_database()",
    ) == [True]
    assert rows(ours.database, "SELECT count(a) FROM visit") == [0]
    nothing_is_left(ours.database)


def test_tables_are_locked_in_a_fixed_order(
    fresh: Callable[[str], Project], tmp_path: Path
) -> None:
    """What is referred to before what refers to it: an application writes a parent before its children."""
    ours = fresh("create_index")
    ours.revision(
        "r1",
        "r0",
        "op.execute('CREATE TABLE one (id integer PRIMARY KEY); CREATE TABLE two (id integer PRIMARY KEY)')",
    )
    assert child(ours, "upgrade") == 0
    ours.revision("r2", "r1", 'op.create_foreign_key("there", "one", "two", ["id"], ["id"])')
    ours.revision("r3", "r2", 'op.create_foreign_key("back", "two", "one", ["id"], ["id"])')
    assert child(ours, "upgrade", noting(tmp_path / "noted")) == 0
    locked = [
        line.split()[2]
        for line in (tmp_path / "noted").read_text().splitlines()
        if line.startswith("LOCK TABLE")
    ]
    assert locked == ["two", "one", "one", "two"]
