"""Backfills in batches: each row once, with any key, after kills and beside writes."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg
import pytest
from acceptance.support.databases import assert_nothing_is_left
from acceptance.support.kill_points import kill_at_commit
from acceptance.support.processes import run_liftlock
from helpers import (
    ALL_TABLES_LARGE,
    PairFactory,
    Project,
    assert_succeeded,
    connected,
    ended,
    make_project,
    rows,
)

from liftlock.postgres import batches
from liftlock.postgres.session import Session, connect, query
from liftlock.settings import Address

pytestmark = pytest.mark.kills
ROWS = 5_000
KEYS = {
    "integer": "id integer PRIMARY KEY",
    "composite": "id integer, part integer DEFAULT 1, PRIMARY KEY (part, id)",
    "text": "id integer, name text NOT NULL UNIQUE",
    "uuid": "id integer, key uuid PRIMARY KEY DEFAULT gen_random_uuid()",
    "none": "id integer",
    "timestamptz": (
        'id integer, "At: 100%" timestamptz DEFAULT clock_timestamp(), PRIMARY KEY ("At: 100%", id)'
    ),
    "bytea": "id integer, key bytea PRIMARY KEY DEFAULT decode(md5(random()::text), 'hex')",
    "real": "id integer, key real, part double precision DEFAULT random(), PRIMARY KEY (part, id)",
    "char": "id integer, key char(40) PRIMARY KEY DEFAULT md5(random()::text)",
    "enum": (
        "id integer, key mood NOT NULL DEFAULT 'glad',"
        " part numeric(20, 10) DEFAULT random(), UNIQUE (key, part)"
    ),
    "inherited": "id integer PRIMARY KEY",
    "inherited without key": "id integer",
}
"""The columns of the table item."""
COUNT_UPDATES = """
CREATE TABLE updated (id integer);
CREATE FUNCTION count_it() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.token IS NULL AND NEW.token IS NOT NULL THEN INSERT INTO updated VALUES (NEW.id); END IF;
    RETURN NEW;
END $$;
"""
UPDATES = "SELECT count(*), count(DISTINCT id) FROM updated"


def create_item_table(address: Address, key: str) -> None:
    """Create the table item with this key and rows in random order, and a function to count."""
    is_inherited = key.startswith("inherited")
    rows_of_item = ROWS // 10 if is_inherited else ROWS
    if "name" in KEYS[key]:
        insert = "INSERT INTO item (id, name) SELECT i, 'it''s ' || i"
    else:
        insert = "INSERT INTO item (id) SELECT i"
    with connected(address) as session:
        session.execute("CREATE TYPE mood AS ENUM ('sad', 'glad')")
        session.execute(f"CREATE TABLE item ({KEYS[key]})")
        session.execute(f"{insert} FROM generate_series(1, {rows_of_item}) AS i ORDER BY random()")
        if is_inherited:
            session.execute("CREATE TABLE special (more text) INHERITS (item)")
            session.execute(
                "INSERT INTO special"
                f" SELECT i, 'more' FROM generate_series({rows_of_item + 1}, {ROWS}) AS i"
            )
        session.execute(COUNT_UPDATES)


class Database:
    """A database as `batches.run` uses it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def rows(self, statement: str, parameters: Mapping[str, object]) -> list[dict[str, object]]:
        """Return the rows of a query."""
        return query(self._session, "it", {"it": statement}, **parameters)

    def count(self, statement: str, parameters: Mapping[str, object]) -> int:
        """Return the number of rows that a statement changes."""
        counted = f"WITH changed AS ({statement} RETURNING 1) SELECT count(*) AS rows FROM changed"
        return int(str(self.rows(counted, parameters)[0]["rows"]))


def run_batches(
    session: Session, task: batches.BackfillTask, cursor: Mapping[str, object] | None = None
) -> Iterator[batches.Batch]:
    """Run a backfill in batches of about 10 ms."""
    return batches.run(Database(session), task, cursor, lambda: 0.01)


@pytest.mark.every_major
@pytest.mark.parametrize("key", KEYS)
def test_each_row_is_updated_once_with_any_key(database: Address, key: str) -> None:
    """Integers, several columns, text, uuid and others; blocks where there is no key.

    The last batch reports the number of all rows.
    """
    create_item_table(database, key)
    tables = ["item", "special"] if key.startswith("inherited") else ["item"]
    with connected(database) as session:
        session.execute("ALTER TABLE item ADD COLUMN token integer")
        for table in tables:
            session.execute(
                f"CREATE TRIGGER counted BEFORE UPDATE ON {table}"
                " FOR EACH ROW EXECUTE FUNCTION count_it()"
            )
    task = batches.BackfillTask("item", "token = 1", "token IS NULL")
    with connect(database, "test") as session:
        *_, last = run_batches(session, task)
    assert last.last
    assert last.rows == ROWS
    assert rows(database, "SELECT count(*) FROM item WHERE token IS NULL") == [0]
    assert rows(database, UPDATES) == [(ROWS, ROWS)]


@pytest.mark.every_major
def test_backfill_resumes_at_its_cursor(database: Address) -> None:
    """A backfill goes on from the cursor of any batch."""
    create_item_table(database, "integer")
    with connected(database) as session:
        session.execute("ALTER TABLE item ADD COLUMN token integer")
    task = batches.BackfillTask("item", "token = 1", "token IS NULL")
    with connect(database, "test") as session:
        first = next(run_batches(session, task))
        assert 0 < first.rows < ROWS
        *_, last = run_batches(session, task, first.cursor)
    assert last.rows == ROWS


@pytest.mark.every_major
def test_backfill_without_condition_updates_each_row_once(database: Address) -> None:
    """Also when it was interrupted right after its last batch."""
    create_item_table(database, "text")
    with connected(database) as session:
        session.execute("ALTER TABLE item ADD COLUMN token integer NOT NULL DEFAULT 0")
    task = batches.BackfillTask("item", "token = token + 1", "")
    with connect(database, "test") as session:
        *_, last = run_batches(session, task)
        assert list(run_batches(session, task, last.cursor)) == []
    assert rows(database, "SELECT min(token), max(token) FROM item") == [(1, 1)]


@pytest.mark.every_major
def test_backfill_that_leaves_its_condition_true_is_stopped(database: Address) -> None:
    """An UPDATE that does not make its WHERE condition false would never finish."""
    create_item_table(database, "integer")
    task = batches.BackfillTask("item", "id = id", "id > 10")
    with connect(database, "test") as session, pytest.raises(batches.NeverFinishes):
        list(run_batches(session, task))


@pytest.mark.every_major
def test_rows_that_leave_the_condition_true_are_skipped(database: Address) -> None:
    """If only some rows leave the condition true, the backfill ends like one UPDATE."""
    create_item_table(database, "integer")
    with connected(database) as session:
        session.execute("ALTER TABLE item ADD COLUMN token integer")
    task = batches.BackfillTask("item", "token = CASE WHEN id % 2 = 0 THEN id END", "token IS NULL")
    with connect(database, "test") as session:
        *_, last = run_batches(session, task)
    assert last.last
    assert rows(database, "SELECT count(token) FROM item") == [ROWS // 2]


@pytest.fixture
def counting_project(tmp_path: Path, database: Address) -> Project:
    """Make a project that adds a column and fills it, on a table that counts its updates.

    The trigger calls its function first when the revision has added the column.
    """
    create_item_table(database, "integer")
    with connected(database) as session:
        session.execute(
            "CREATE TRIGGER counted BEFORE UPDATE ON item FOR EACH ROW EXECUTE FUNCTION count_it()"
        )
    project = make_project(tmp_path, database)
    body = """
op.add_column("item", sa.Column("token", sa.Float))
op.alter_column("item", "token", server_default=sa.text("random()"))
op.backfill("item", set="token = random()", where="token IS NULL")
op.alter_column("item", "token", nullable=False)"""
    project.revision("r1", None, body.strip())
    return project


@pytest.mark.every_major
def test_backfill_killed_at_each_commit_updates_each_row_once(counting_project: Project) -> None:
    """SIGKILL at each commit: no row is updated twice, none is missed."""
    code = -signal.SIGKILL
    number = 0
    while code == -signal.SIGKILL:
        number += 1
        assert number < 400
        kill = kill_at_commit(number, before=bool(number % 2))
        code = run_liftlock(counting_project, "upgrade", kill, LIFTLOCK_LOCK_TIMEOUT="2")
    assert code == 0
    assert number > 8, "there was only one batch"
    address = counting_project.database
    assert rows(address, "SELECT count(*) FROM item WHERE token IS NULL") == [0]
    assert rows(address, UPDATES) == [(ROWS, ROWS)]
    assert_nothing_is_left(address)


@pytest.mark.every_major
def test_concurrent_writes_are_kept(counting_project: Project) -> None:
    """Rows changed while the backfill runs keep their values."""
    running = counting_project.start("upgrade", LIFTLOCK_LOCK_TIMEOUT="4", **ALL_TABLES_LARGE)
    chance = random.Random(1)  # noqa: S311 - the writes of a test
    written = {}
    end = time.monotonic() + 60
    with connected(counting_project.database) as session:
        while running.poll() is None and time.monotonic() < end:
            key = chance.randint(1, ROWS)
            # The column does not exist yet at first.
            try:
                session.execute("UPDATE item SET token = -1 WHERE id = %s", [key])
            except psycopg.Error:
                continue
            written[key] = -1.0
    assert_succeeded(ended(running))
    assert written, "the application wrote nothing during the run"
    kept = rows(counting_project.database, "SELECT id, token FROM item WHERE token = -1")
    assert dict(kept) == written


UNUSABLE_KEYS = {
    "deferrable": (
        "CREATE TABLE counted (id integer PRIMARY KEY DEFERRABLE, n integer, pad text)",
        "counted",
    ),
    "of the parent only": (
        (
            "CREATE TABLE counted (id integer PRIMARY KEY, n integer, pad text);"
            " CREATE TABLE counted_heir () INHERITS (counted)"
        ),
        "counted_heir",
    ),
}


@pytest.mark.every_major
@pytest.mark.parametrize("name", UNUSABLE_KEYS)
def test_rows_without_a_usable_key_are_updated_once(uncommon_pair: PairFactory, name: str) -> None:
    """With a deferrable key, or a key of the parent only, no batch updates moved rows again."""
    tables, filled = UNUSABLE_KEYS[name]
    _, ours = uncommon_pair('op.backfill("counted", set="n = n + 1")')
    with connected(ours.database) as session:
        session.execute(tables)
        session.execute(
            f"INSERT INTO {filled} SELECT i, 0, repeat('x', 500) FROM generate_series(1, 5000) AS i"
        )
    assert run_liftlock(ours, "upgrade", LIFTLOCK_LOCK_TIMEOUT="4") == 0
    assert rows(ours.database, "SELECT DISTINCT n FROM counted") == [1]


TABLES_WHOSE_ROWS_MOVE = """
CREATE TABLE thing (id integer PRIMARY KEY, times integer NOT NULL DEFAULT 0, kept integer);
INSERT INTO thing (id) SELECT i * 10 FROM generate_series(1, 20000) AS i;
CREATE TABLE log (
    part integer, id integer, times integer NOT NULL DEFAULT 0, kept integer, PRIMARY KEY (part, id)
) PARTITION BY RANGE (part);
CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM (0) TO (10);
CREATE TABLE log_2 PARTITION OF log FOR VALUES FROM (10) TO (20);
INSERT INTO log (part, id) SELECT i % 10, i FROM generate_series(1, 20000) AS i;
ANALYZE thing, log;
"""


@pytest.mark.parametrize("where", ["", "kept IS NULL"])
def test_backfill_that_changes_keys_or_partitions_is_one_statement(
    project: Project, where: str
) -> None:
    """In batches some rows would be updated twice."""
    with connected(project.database) as session:
        session.execute(TABLES_WHOSE_ROWS_MOVE)
    assignments = "part = part + 5, times = times + 1, kept = 1"
    body = f'op.backfill("log", set="{assignments}", where="{where}")'
    if not where:
        body += '\nop.backfill("thing", set="id = id + 5, times = times + 1")'
    project.revision("r1", None, body)
    assert_succeeded(project.run("upgrade", timeout=60, **ALL_TABLES_LARGE))
    times = rows(project.database, "SELECT count(*), min(times), max(times) FROM log")
    assert times == [(20000, 1, 1)]
    assert rows(project.database, "SELECT max(times) FROM thing") == [0 if where else 1]
