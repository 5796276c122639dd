"""Each operation in its online form: plain Alembic's schema, exactly once, whenever the runner is killed."""

from __future__ import annotations

import signal
from collections.abc import Callable

import psycopg
import pytest
from helpers import Project, rows
from online.operations import CASES
from online.storms import (
    at_each_boundary,
    child,
    end_sessions,
    expected,
    kill,
    nothing_is_left,
    state,
)

from liftlock.errors import NotNow

pytestmark = pytest.mark.storms
WAYS = {"upgrade": "head", "downgrade": "r0"}
MOMENTS = {"upgrade": ("before", "after"), "downgrade": ("after",)}
"""Of a commit: on the way back, whether what precedes it is rolled back isn't tried once more."""


@pytest.mark.parametrize("case", CASES)
def test_same_schema(fresh: Callable[[str], Project], case: str) -> None:
    """Up and down, the catalog and the rows are those of plain Alembic; and the online form was taken."""
    plain, ours, moved = fresh(case), fresh(case), CASES[case].moves
    for command, target in WAYS.items():
        wanted = expected(plain, command, target, moved=moved, gapless=True)
        assert child(ours, command) == 0
        assert state(ours.database, moved=moved, gapless=True) == wanted
        nothing_is_left(ours.database)
    parts = rows(ours.database, "SELECT DISTINCT does FROM liftlock.steps")
    assert CASES[case].part in ("", *parts)


@pytest.mark.parametrize("case", CASES)
def test_killed_at_every_boundary(fresh: Callable[[str], Project], case: str) -> None:
    """SIGKILL around the commit of each step and batch, up and down, each time of a run that resumes the last one."""
    plain, ours, moved = fresh(case), fresh(case), CASES[case].moves
    for command, target in WAYS.items():
        wanted = expected(plain, command, target, moved=moved)
        noted = ours.folder / command
        noted.touch()
        while (
            code := child(ours, command, at_each_boundary(noted, kill, *MOMENTS[command]))
        ) == -signal.SIGKILL:
            assert len(noted.read_text().splitlines()) < 200
        assert code == 0
        assert len(noted.read_text().splitlines()) > 1, "it was never killed"
        assert state(ours.database, moved=moved) == wanted
        nothing_is_left(ours.database)


@pytest.mark.parametrize("which", ["the one at work", "the others"])
@pytest.mark.parametrize("case", CASES)
def test_sessions_ended_at_every_boundary(
    fresh: Callable[[str], Project], case: str, which: str
) -> None:
    """pg_terminate_backend of each session by itself, after the commit of each step and batch: not now, and the next run goes on."""
    plain, ours, moved = fresh(case), fresh(case), CASES[case].moves
    wanted = expected(plain, "upgrade", "head", moved=moved)
    noted = ours.folder / "noted"
    noted.touch()
    while (
        code := child(
            ours, "upgrade", at_each_boundary(noted, end_sessions(ours.database, which), "after")
        )
    ) == NotNow.exit_code:
        assert len(noted.read_text().splitlines()) < 200
    assert code == 0
    assert len(noted.read_text().splitlines()) > 1, "nothing was ever ended"
    assert state(ours.database, moved=moved) == wanted
    nothing_is_left(ours.database)


@pytest.mark.parametrize("case", CASES)
def test_a_further_run_locks_nothing(fresh: Callable[[str], Project], case: str) -> None:
    """At head, a run gets through while another session holds locks that conflict with all but reading."""
    ours = fresh(case)
    assert child(ours, "upgrade") == 0
    tables = rows(
        ours.database,
        "SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'",
    )
    with psycopg.connect(**ours.database.keywords()) as session:  # type: ignore[arg-type]
        session.execute(f"LOCK TABLE {', '.join(tables)} IN EXCLUSIVE MODE")
        before = rows(ours.database, "SELECT count(*) FROM liftlock.runs")
        assert child(ours, "upgrade", LIFTLOCK_DEADLINE="5") == 0
        assert rows(ours.database, "SELECT count(*) FROM liftlock.runs") == before
