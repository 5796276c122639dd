"""Backfills beside others: pause, resume, cancel, workers, locked rows and rows that fail."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import subprocess
import time
from collections.abc import Iterator

import pytest
from acceptance.support.databases import assert_nothing_is_left
from helpers import (
    ALL_TABLES_LARGE,
    Project,
    assert_failed,
    assert_succeeded,
    connected,
    ended,
    in_transaction,
    killed,
    rows,
    until,
)

pytestmark = pytest.mark.kills
ROWS = 20_000
SLOW = {"LIFTLOCK_LOCK_TIMEOUT": "10", "LIFTLOCK_BACKFILL_SHARE": "0.01", **ALL_TABLES_LARGE}
FAILS_AT_ONE_ROW = 'op.backfill("item", set="half = 100 / (size - 12345)", where="half IS NULL")'


def count_filled(project: Project) -> int:
    """Return the number of rows that are filled."""
    return int(rows(project.database, "SELECT count(half) FROM item")[0])


def until_filled(project: Project, running: subprocess.Popen[str], at_least: int = 1) -> None:
    """Wait until so many rows are filled."""
    until(lambda: count_filled(project) >= at_least, 30, f"{at_least} rows filled", running=running)


@contextlib.contextmanager
def slow_backfill(project: Project) -> Iterator[subprocess.Popen[str]]:
    """Start a slow backfill, and wait until it has filled some rows."""
    running = project.start("upgrade", **SLOW)
    try:
        until_filled(project, running)
        yield running
    finally:
        running.kill()
        running.communicate()


def test_backfill_is_paused_and_resumed(backfill_project: Project) -> None:
    """While it is paused no row is updated; both commands say so."""
    project = backfill_project
    with slow_backfill(project) as running:
        paused = project.run("backfill", "pause")
        assert_succeeded(paused)
        assert "paused, by pid" in paused.stdout
        time.sleep(1.5)
        before = count_filled(project)
        time.sleep(1.5)
        assert count_filled(project) == before < ROWS
        assert running.poll() is None
        assert_succeeded(project.run("backfill", "resume"))
        done = ended(running)
    assert_succeeded(done)
    assert "paused; `liftlock backfill resume`" in done.stderr
    assert count_filled(project) == ROWS
    assert_nothing_is_left(project.database)
    assert project.run("backfill").returncode == 1


def test_cancelled_backfill_is_resumed_by_the_next_run(backfill_project: Project) -> None:
    """Exit code 4; the finished rows stay, are shown, and are not updated again."""
    project = backfill_project
    with slow_backfill(project) as running:
        assert_succeeded(project.run("backfill", "cancel"))
        done = ended(running)
    assert_failed(done, "LL-BACKFILL-CANCELLED", 4)
    filled = count_filled(project)
    assert 0 < filled < ROWS
    assert "not running; the next run waits for" in project.run("backfill", "pause").stdout
    assert "not running; `liftlock upgrade`" in project.run("backfill", "resume").stdout
    assert "not running" in project.run("backfill", "cancel").stdout
    (shown,) = json.loads(project.run("--format", "json", "backfill").stdout)
    fields = [shown[name] for name in ("relation", "rows", "total", "wish", "runner")]
    assert fields == ["item", filled, ROWS, "run", ""]
    assert_succeeded(project.run("upgrade", **ALL_TABLES_LARGE))
    assert count_filled(project) == ROWS
    assert_nothing_is_left(project.database)


def test_locked_rows_are_updated_last(backfill_project: Project) -> None:
    """Other rows are updated while some are locked; these follow when they are unlocked."""
    project = backfill_project
    with in_transaction(project.database) as blocker:
        blocker.execute("UPDATE item SET size = 2000 WHERE id IN (500, 15000)")
        running = project.start("upgrade", **ALL_TABLES_LARGE)
        until_filled(project, running, ROWS - 2)
        blocker.commit()
    assert_succeeded(ended(running))
    locked = "SELECT half FROM item WHERE id IN (500, 15000)"
    assert rows(project.database, locked) == [1000, 1000]
    assert count_filled(project) == ROWS


def test_locked_rows_without_condition_are_updated_once_after_a_kill(
    backfill_project: Project,
) -> None:
    """The keys of skipped rows are in the ledger, so that a killed run can be resumed."""
    project = backfill_project
    project.revision("r1", None, 'op.backfill("item", set="half = coalesce(half, 0) + size")')
    with in_transaction(project.database) as blocker:
        blocker.execute("UPDATE item SET size = -1 WHERE id IN (500, 15000)")
        running = project.start("upgrade", **ALL_TABLES_LARGE)
        until_filled(project, running, ROWS - 2)
        killed(running)
        blocked = project.run("upgrade", LIFTLOCK_DEADLINE="2", **ALL_TABLES_LARGE)
        assert blocked.returncode == 4, blocked.stderr
        assert count_filled(project) == ROWS - 2
        blocker.commit()
    assert_succeeded(project.run("upgrade", **ALL_TABLES_LARGE))
    locked = "SELECT half FROM item WHERE id IN (500, 15000)"
    assert rows(project.database, locked) == [-1, -1]
    assert rows(project.database, "SELECT count(*) FROM item WHERE half <> size") == [0]
    assert count_filled(project) == ROWS


def test_backfill_continues_between_table_locks(backfill_project: Project) -> None:
    """A table locked over and over: the backfill goes on from where it was."""
    project = backfill_project
    with slow_backfill(project) as running, in_transaction(project.database) as blocker:
        before = count_filled(project)
        while running.poll() is None and count_filled(project) < ROWS / 2:
            blocker.execute("LOCK TABLE item IN ACCESS EXCLUSIVE MODE")
            time.sleep(0.2)
            blocker.commit()
            time.sleep(0.3)
        assert before < count_filled(project)
        blocker.commit()
        assert_succeeded(ended(running))
    assert count_filled(project) == ROWS
    assert_nothing_is_left(project.database)


def test_rows_that_stay_locked_end_the_run_at_the_deadline(backfill_project: Project) -> None:
    """Exit code 4, and the blocker is named."""
    project = backfill_project
    with in_transaction(project.database, application_name="the holder") as blocker:
        blocker.execute("UPDATE item SET size = 2000 WHERE id = 500")
        done = project.run("upgrade", LIFTLOCK_DEADLINE="3", **ALL_TABLES_LARGE)
        blocker.rollback()
    assert_failed(done, "LL-ROWS-STAY-LOCKED", 4, mentions="'the holder'")
    assert count_filled(project) == ROWS - 1
    assert_succeeded(project.run("upgrade", **ALL_TABLES_LARGE))
    assert count_filled(project) == ROWS


def test_failing_row_is_named(backfill_project: Project) -> None:
    """The error names the row's key; the rows of earlier batches stay updated."""
    project = backfill_project
    project.revision("r1", None, FAILS_AT_ONE_ROW)
    done = project.run("upgrade", LIFTLOCK_LOCK_TIMEOUT="10", **ALL_TABLES_LARGE)
    mentions = ('"id"=12345', "division by zero")
    assert_failed(done, "LL-ROW-NOT-UPDATABLE", 5, mentions=mentions)
    assert 0 < count_filled(project) < ROWS


def test_failing_row_is_named_with_several_workers(backfill_project: Project) -> None:
    """As with one worker."""
    project = backfill_project
    project.revision("r1", None, FAILS_AT_ONE_ROW)
    done = project.run("upgrade", LIFTLOCK_BACKFILL_WORKERS="2", **ALL_TABLES_LARGE)
    mentions = ('"id"=12345', "division by zero")
    assert_failed(done, "LL-ROW-NOT-UPDATABLE", 5, mentions=mentions)


COUNT_UPDATES_OF_WORKERS = """
CREATE TABLE updated (id integer, by integer);
CREATE FUNCTION count_it() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.half IS NULL AND NEW.half IS NOT NULL THEN
        INSERT INTO updated VALUES (NEW.id, pg_backend_pid());
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER counted BEFORE UPDATE ON item FOR EACH ROW EXECUTE FUNCTION count_it();
"""


def test_workers_share_a_backfill(backfill_project: Project) -> None:
    """Each worker has a session of its own, and each row is updated once."""
    project = backfill_project
    with connected(project.database) as session:
        session.execute(COUNT_UPDATES_OF_WORKERS)
    assignment = "half = size / 2 + length('100% :x') * 0"
    condition = "half IS NULL AND ':y' <> '%'"
    project.revision("r1", None, f'op.backfill("item", set="{assignment}", where="{condition}")')
    workers = {"LIFTLOCK_BACKFILL_WORKERS": "3", "LIFTLOCK_LOCK_TIMEOUT": "4"}
    running = project.start("upgrade", **workers, **ALL_TABLES_LARGE)
    try:
        until_filled(project, running)
        assert_succeeded(ended(running))
    finally:
        running.kill()
    updates = "SELECT count(*), count(DISTINCT id), count(DISTINCT by) >= 3 FROM updated"
    assert rows(project.database, updates) == [(ROWS, ROWS, True)]
    assert_nothing_is_left(project.database)


def test_terminal_shows_a_progress_bar(backfill_project: Project) -> None:
    """With rows and rows per second."""
    project = backfill_project
    command = ["liftlock", "-c", project.ini, "upgrade"]
    terminal = {"LIFTLOCK_BACKFILL_SHARE": "0.05", "COLUMNS": "120", "TERM": "xterm"}
    variables = project.variables(**SLOW | terminal)
    main, other = pty.openpty()
    with subprocess.Popen(
        command, cwd=project.folder, env=variables, stdout=other, stderr=other
    ) as running:
        os.close(other)
        shown = b""
        with contextlib.suppress(OSError):  # the other side is closed when the command ends
            while part := os.read(main, 4096):
                shown += part
    os.close(main)
    assert running.returncode == 0, shown
    assert re.search(rb"backfill of item +\[#+-+\] +\d+/20000 .*\d+ rows a second", shown)
