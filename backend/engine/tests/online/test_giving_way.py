"""Backfills beside others: paused, resumed and cancelled from another session; rows that are locked; rows that fail."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from helpers import Project, connected, make_project, rows
from online.storms import nothing_is_left

from liftlock.settings import Address

pytestmark = pytest.mark.storms
ROWS = 20_000
SLOW = {
    "LIFTLOCK_SMALL_TABLE": "0",
    "LIFTLOCK_LOCK_TIMEOUT": "10",
    "LIFTLOCK_BACKFILL_SHARE": "0.01",
}


@pytest.fixture
def item(tmp_path: Path, database: Address) -> Project:
    """A project with a backfill to run."""
    with connected(database) as session:
        session.execute(
            "CREATE TABLE item (id integer PRIMARY KEY, size integer NOT NULL, half integer)"
        )
        session.execute("INSERT INTO item SELECT i, i FROM generate_series(1, %s) AS i", [ROWS])
        session.execute("ANALYZE item")
    project = make_project(tmp_path, database)
    project.revision("r1", None, 'op.backfill("item", set="half = size / 2", where="half IS NULL")')
    return project


def filled(project: Project) -> int:
    """How many rows are done."""
    return int(rows(project.database, "SELECT count(half) FROM item")[0])


def until_it_runs(project: Project, running: subprocess.Popen[str]) -> None:
    """Wait until some rows are done."""
    end = time.monotonic() + 30
    while not filled(project):
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)


@contextlib.contextmanager
def started(project: Project) -> Iterator[subprocess.Popen[str]]:
    """A slow backfill."""
    running = project.start("upgrade", **SLOW)
    try:
        until_it_runs(project, running)
        yield running
    finally:
        running.kill()
        running.communicate()


def test_it_is_paused_and_resumed_from_another_session(item: Project) -> None:
    """While it is paused no row is updated; both sides say so."""
    with started(item) as running:
        paused = item.run("backfill", "pause")
        assert paused.returncode == 0, paused.stderr
        assert "paused, by pid" in paused.stdout
        time.sleep(1.5)
        before = filled(item)
        time.sleep(1.5)
        assert filled(item) == before < ROWS
        assert running.poll() is None
        assert item.run("backfill", "resume").returncode == 0
        _, errors = running.communicate(timeout=60)
    assert running.returncode == 0, errors
    assert "paused; `liftlock backfill resume` lets it go on" in errors
    assert filled(item) == ROWS
    nothing_is_left(item.database)
    assert item.run("backfill").returncode == 1


def test_it_is_cancelled_and_the_next_run_goes_on(item: Project) -> None:
    """Exit 4; what is done stays, is shown, and isn't done again."""
    with started(item) as running:
        assert item.run("backfill", "cancel").returncode == 0
        _, errors = running.communicate(timeout=60)
    assert running.returncode == 4, errors
    assert "LL-BACKFILL-CANCELLED" in errors
    done = filled(item)
    assert 0 < done < ROWS
    assert "not running; the next run waits for" in item.run("backfill", "pause").stdout
    assert "not running; `liftlock upgrade` goes on" in item.run("backfill", "resume").stdout
    assert "not running" in item.run("backfill", "cancel").stdout
    shown = item.run("--format", "json", "backfill")
    (one,) = json.loads(shown.stdout)
    assert (one["relation"], one["rows"], one["total"], one["wish"], one["runner"]) == (
        "item",
        done,
        ROWS,
        "run",
        "",
    )
    assert item.run("upgrade", LIFTLOCK_SMALL_TABLE="0").returncode == 0
    assert filled(item) == ROWS
    nothing_is_left(item.database)


def wait_for_all_but(locked: int, item: Project, running: subprocess.Popen[str]) -> None:
    """Until all other rows are filled."""
    end = time.monotonic() + 30
    while filled(item) < ROWS - locked:
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)


def test_rows_that_are_locked_are_left_for_later(item: Project) -> None:
    """All others are done while somebody holds some of them; these are done when they are free."""
    with psycopg.connect(**item.database.keywords()) as holder:  # type: ignore[arg-type]
        holder.execute("UPDATE item SET size = 2000 WHERE id IN (500, 15000)")
        running = item.start("upgrade", LIFTLOCK_SMALL_TABLE="0")
        wait_for_all_but(2, item, running)
        holder.commit()
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 0, errors
    assert rows(item.database, "SELECT half FROM item WHERE id IN (500, 15000)") == [1000, 1000]
    assert filled(item) == ROWS


def test_without_a_condition_too_locked_rows_are_left_for_later_and_done_once(
    item: Project,
) -> None:
    """Also when the run is killed while it waits for them; the keys of those that are left are in the ledger."""
    item.revision("r1", None, 'op.backfill("item", set="half = coalesce(half, 0) + size")')
    with psycopg.connect(**item.database.keywords()) as holder:  # type: ignore[arg-type]
        holder.execute("UPDATE item SET size = -1 WHERE id IN (500, 15000)")
        running = item.start("upgrade", LIFTLOCK_SMALL_TABLE="0")
        wait_for_all_but(2, item, running)
        running.kill()
        running.communicate()
        given_up = item.run("upgrade", LIFTLOCK_SMALL_TABLE="0", LIFTLOCK_DEADLINE="2")
        assert (given_up.returncode, filled(item)) == (4, ROWS - 2), given_up.stderr
        holder.commit()
    assert item.run("upgrade", LIFTLOCK_SMALL_TABLE="0").returncode == 0
    assert rows(item.database, "SELECT half FROM item WHERE id IN (500, 15000)") == [-1, -1]
    assert rows(item.database, "SELECT count(*) FROM item WHERE half <> size") == [0]
    assert filled(item) == ROWS


@pytest.mark.parametrize("where", ["", "kept IS NULL"])
def test_one_that_moves_its_rows_is_done_in_one_statement(project: Project, where: str) -> None:
    """In batches some would be met twice: a key that changes, without a condition; or they would leave their partition."""
    tables = """
        CREATE TABLE thing (id integer PRIMARY KEY, times integer NOT NULL DEFAULT 0, kept integer);
        INSERT INTO thing (id) SELECT i * 10 FROM generate_series(1, 20000) AS i;
        CREATE TABLE log (part integer, id integer, times integer NOT NULL DEFAULT 0, kept integer, PRIMARY KEY (part, id))
        PARTITION BY RANGE (part);
        CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM (0) TO (10);
        CREATE TABLE log_2 PARTITION OF log FOR VALUES FROM (10) TO (20);
        INSERT INTO log (part, id) SELECT i % 10, i FROM generate_series(1, 20000) AS i;
        ANALYZE thing, log;
    """
    with connected(project.database) as session:
        session.execute(tables)
    body = [
        f'op.backfill("log", set="part = part + 5, times = times + 1, kept = 1", where="{where}")'
    ]
    if not where:
        body.append('op.backfill("thing", set="id = id + 5, times = times + 1")')
    project.revision("r1", None, "\n".join(body))
    done = project.run("upgrade", LIFTLOCK_SMALL_TABLE="0", timeout=60)
    assert done.returncode == 0, done.stderr
    assert rows(project.database, "SELECT count(*), min(times), max(times) FROM log") == [
        (20000, 1, 1)
    ]
    assert rows(project.database, "SELECT max(times) FROM thing") == [0 if where else 1]


def test_a_table_that_is_locked_as_a_whole_is_waited_for(item: Project) -> None:
    """Over and over, while it runs: it goes on from where it was."""
    with started(item) as running, psycopg.connect(**item.database.keywords()) as holder:  # type: ignore[arg-type]
        before = filled(item)
        while running.poll() is None and filled(item) < ROWS / 2:
            holder.execute("LOCK TABLE item IN ACCESS EXCLUSIVE MODE")
            time.sleep(0.2)
            holder.commit()
            time.sleep(0.3)
        assert before < filled(item)
        running.communicate(timeout=60)
    assert running.returncode == 0
    assert filled(item) == ROWS
    nothing_is_left(item.database)


def test_rows_that_stay_locked_end_it_at_the_deadline(item: Project) -> None:
    """Exit 4, and who holds them."""
    with psycopg.connect(**item.database.keywords(), application_name="the holder") as holder:  # type: ignore[arg-type]
        holder.execute("UPDATE item SET size = 2000 WHERE id = 500")
        done = item.run("upgrade", LIFTLOCK_SMALL_TABLE="0", LIFTLOCK_DEADLINE="3")
        holder.rollback()
    assert done.returncode == 4, done.stderr
    assert "'the holder'" in done.stderr
    assert filled(item) == ROWS - 1
    assert item.run("upgrade", LIFTLOCK_SMALL_TABLE="0").returncode == 0
    assert filled(item) == ROWS


def test_a_row_that_fails_is_named(item: Project) -> None:
    """By its key; the rows of the batches before it stay done."""
    item.revision(
        "r1", None, 'op.backfill("item", set="half = 100 / (size - 12345)", where="half IS NULL")'
    )
    done = item.run("upgrade", LIFTLOCK_SMALL_TABLE="0", LIFTLOCK_LOCK_TIMEOUT="10")
    assert done.returncode == 5, done.stderr
    assert "LL-ROWS-VIOLATE" in done.stderr
    assert '"id"=12345' in done.stderr
    assert "division by zero" in done.stderr
    assert 0 < filled(item) < ROWS


def test_a_terminal_shows_a_bar(item: Project) -> None:
    """With rows and rate."""
    main, other = pty.openpty()
    command = ["liftlock", "-c", item.ini, "upgrade"]
    slow = item.variables(
        **SLOW | {"LIFTLOCK_BACKFILL_SHARE": "0.05", "COLUMNS": "120", "TERM": "xterm"}
    )
    with subprocess.Popen(
        command, cwd=item.folder, env=slow, stdout=other, stderr=other
    ) as running:
        os.close(other)
        shown = b""
        with contextlib.suppress(OSError):  # the other side is closed at its end
            while part := os.read(main, 4096):
                shown += part
    os.close(main)
    assert running.returncode == 0, shown
    assert re.search(rb"backfill of item +\[#+-+\] +\d+/20000 .*\d+ rows a second", shown)


def test_a_ledger_of_the_first_format_is_brought_up(item: Project) -> None:
    """With what it remembers."""
    item.revision("r0", None, "pass")
    item.revision("r1", "r0", 'op.backfill("item", set="half = size / 2", where="half IS NULL")')
    assert item.run("upgrade", "r0").returncode == 0
    with connected(item.database) as session:
        session.execute("ALTER TABLE liftlock.executions DROP COLUMN wish")
        session.execute("UPDATE liftlock.ledger SET version = 1")
    looked = item.run("backfill")
    assert (looked.returncode, "LL-LEDGER-OLDER" in looked.stderr) == (2, True), looked.stderr
    done = item.run("upgrade", LIFTLOCK_SMALL_TABLE="0")
    assert done.returncode == 0, done.stderr
    assert rows(item.database, "SELECT revision FROM liftlock.revisions ORDER BY 1") == ["r0", "r1"]
    assert rows(item.database, "SELECT max(version) FROM liftlock.ledger") == [2]


def test_several_workers_share_it(item: Project) -> None:
    """Each over a session of its own; they are paused together, and each row is done once."""
    with connected(item.database) as session:
        session.execute("CREATE TABLE done (id integer, by integer)")
        noted = "INSERT INTO done VALUES (NEW.id, pg_backend_pid())"
        body = f"BEGIN IF OLD.half IS NULL AND NEW.half IS NOT NULL THEN {noted}; END IF; RETURN NEW; END"
        session.execute(
            f"CREATE FUNCTION count_it() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$"
        )
        session.execute(
            "CREATE TRIGGER counted BEFORE UPDATE ON item FOR EACH ROW EXECUTE FUNCTION count_it()"
        )
    item.revision(
        "r1",
        None,
        """op.backfill("item", set="half = size / 2 + length('100% :x') * 0", where="half IS NULL AND ':y' <> '%'")""",
    )
    running = item.start(
        "upgrade",
        LIFTLOCK_SMALL_TABLE="0",
        LIFTLOCK_BACKFILL_WORKERS="3",
        LIFTLOCK_LOCK_TIMEOUT="4",
    )
    try:
        until_it_runs(item, running)
        _, errors = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode == 0, errors
    assert rows(item.database, "SELECT count(*), count(DISTINCT id) FROM done") == [(ROWS, ROWS)]
    assert rows(item.database, "SELECT count(DISTINCT by) >= 3 FROM done") == [True]
    nothing_is_left(item.database)


def test_workers_leave_a_row_that_fails_to_be_named(item: Project) -> None:
    """As one worker does."""
    item.revision(
        "r1", None, 'op.backfill("item", set="half = 100 / (size - 12345)", where="half IS NULL")'
    )
    done = item.run("upgrade", LIFTLOCK_SMALL_TABLE="0", LIFTLOCK_BACKFILL_WORKERS="2")
    assert done.returncode == 5, done.stderr
    assert "division by zero" in done.stderr
    assert '"id"=12345' in done.stderr
