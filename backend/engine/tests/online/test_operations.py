"""Each operation in its online form: plain Alembic's schema, exactly once, whenever the runner is killed."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from helpers import Project, rows
from online.operations import CASES
from online.storms import catalog, child, contents, expected, killer, nothing_is_left, terminator

pytestmark = pytest.mark.storms


@pytest.mark.parametrize("case", CASES)
def test_same_schema(fresh: Callable[[str], Project], case: str) -> None:
    """Up and down, the catalog and the rows are those of plain Alembic; and the online form was taken."""
    plain, ours = fresh(case), fresh(case)
    wanted = expected(plain, "upgrade", "head")
    assert child(ours, "upgrade") == 0
    assert (*catalog(ours.database), contents(ours.database)) == wanted
    parts = rows(ours.database, "SELECT DISTINCT does FROM liftlock.steps")
    assert CASES[case].part in ("", *parts)
    nothing_is_left(ours.database)
    wanted = expected(plain, "downgrade", "r0")
    assert child(ours, "downgrade") == 0
    assert (*catalog(ours.database), contents(ours.database)) == wanted
    nothing_is_left(ours.database)


@pytest.mark.parametrize("case", CASES)
def test_killed_at_every_boundary(fresh: Callable[[str], Project], case: str) -> None:
    """SIGKILL before the first commit, after the second and so on, each time of a run that resumes the last one."""
    plain, ours = fresh(case), fresh(case)
    wanted = expected(plain, "upgrade", "head")
    code, number = -9, 0
    while code == -9:
        number += 1
        assert number < 60
        code = child(ours, "upgrade", killer(number, before=bool(number % 2)))
    assert code == 0
    assert number > 3, "it was never killed"
    assert (*catalog(ours.database), contents(ours.database)) == wanted
    nothing_is_left(ours.database)


@pytest.mark.parametrize("case", CASES)
def test_sessions_ended_at_every_boundary(fresh: Callable[[str], Project], case: str) -> None:
    """pg_terminate_backend of each session, after the first commit, the second and so on: not now, and the next run goes on."""
    plain, ours = fresh(case), fresh(case)
    wanted = expected(plain, "upgrade", "head")
    code, number = 4, 0
    while code == 4:
        number += 1
        assert number < 60
        code = child(ours, "upgrade", terminator(number, ours.database))
    assert code == 0
    assert number > 3, "nothing was ever ended"
    assert (*catalog(ours.database), contents(ours.database)) == wanted
    nothing_is_left(ours.database)


@pytest.mark.parametrize("case", CASES)
def test_a_further_run_locks_nothing(fresh: Callable[[str], Project], case: str) -> None:
    """At head, a run gets through while another session holds locks that conflict with any change of a table."""
    ours = fresh(case)
    assert child(ours, "upgrade") == 0
    tables = rows(ours.database, "SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'")
    user = [table for table in tables if table != "alembic_version"]
    with psycopg.connect(**ours.database.keywords()) as session:  # type: ignore[arg-type]
        session.execute(f"LOCK TABLE {', '.join(user)} IN SHARE UPDATE EXCLUSIVE MODE")
        before = rows(ours.database, "SELECT count(*) FROM liftlock.runs")
        assert child(ours, "upgrade", LIFTLOCK_DEADLINE="5") == 0
        assert rows(ours.database, "SELECT count(*) FROM liftlock.runs") == before
