"""Unfinished backfills, described for people."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from liftlock.commands.backfill import Unfinished

BACKFILL = Unfinished(
    execution=1,
    version_table="public.alembic_version",
    revision="r1",
    relation="person",
    sql="size = 0",
    rows=10,
    total=100,
    wish="run",
    since=dt.datetime(2026, 1, 2, 3, 4, tzinfo=dt.UTC),
    runner="pid 7, 'liftlock upgrade'",
)


@pytest.mark.parametrize(
    ("wish", "runner", "state"),
    [
        ("run", "pid 7, 'x'", "running, by pid 7, 'x'"),
        ("pause", "pid 7, 'x'", "paused, by pid 7, 'x'"),
        ("cancel", "pid 7, 'x'", "about to be cancelled, by pid 7, 'x'"),
        ("run", "", "not running; `liftlock upgrade` continues it"),
        ("pause", "", "not running; the next run waits for `liftlock backfill resume`"),
    ],
)
def test_state_of_a_backfill(wish: str, runner: str, state: str) -> None:
    """By the request in the ledger, and by the session that holds the migration lock."""
    text = replace(BACKFILL, wish=wish, runner=runner).describe()
    assert text.splitlines()[0].endswith(f"; {state}")


def test_progress_of_a_backfill() -> None:
    """The total is left out where it isn't known."""
    head = "person (revision r1): 10 rows of about 100, since 2026-01-02 03:04;"
    assert BACKFILL.describe().startswith(head)
    assert "10 rows, since" in replace(BACKFILL, total=0).describe()
    assert BACKFILL.describe().endswith("\n  SET size = 0")
