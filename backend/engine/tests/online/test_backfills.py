"""Updates in batches: no row twice, none missed, and what the application writes meanwhile is kept."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from helpers import Project, connected, make_project, rows
from online.storms import child, killer, nothing_is_left

from liftlock.postgres import batches
from liftlock.postgres.session import Session, connect, query
from liftlock.settings import Address

pytestmark = pytest.mark.storms
ROWS = 5_000
KEYS = {
    "integer": "id integer PRIMARY KEY",
    "composite": "id integer, part integer DEFAULT 1, PRIMARY KEY (part, id)",
    "text": "id integer, name text NOT NULL UNIQUE",
    "uuid": "id integer, key uuid PRIMARY KEY DEFAULT gen_random_uuid()",
    "none": "id integer",
    "moment": 'id integer, "At: 100%" timestamptz DEFAULT clock_timestamp(), PRIMARY KEY ("At: 100%", id)',
    "bytes": "id integer, key bytea PRIMARY KEY DEFAULT decode(md5(random()::text), 'hex')",
    "real": "id integer, key real, part double precision DEFAULT random(), PRIMARY KEY (part, id)",
    "padded": "id integer, key char(40) PRIMARY KEY DEFAULT md5(random()::text)",
    "enum": "id integer, key mood NOT NULL DEFAULT 'glad', part numeric(20, 10) DEFAULT random(), UNIQUE (key, part)",
    "inherited": "id integer PRIMARY KEY",
    "inherited without one": "id integer",
}
COUNTED = """
CREATE TABLE done (id integer);
CREATE FUNCTION count_it() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN IF OLD.token IS NULL AND NEW.token IS NOT NULL THEN INSERT INTO done VALUES (NEW.id); END IF; RETURN NEW; END $$;
"""


def _seed(address: Address, key: str) -> None:
    columns = "id, name" if "name" in KEYS[key] else "id"
    values = "i, 'it''s ' || i" if "name" in KEYS[key] else "i"
    with connected(address) as session:
        session.execute("CREATE TYPE mood AS ENUM ('sad', 'glad')")
        session.execute(f"CREATE TABLE item ({KEYS[key]})")
        many = ROWS
        if key.startswith("inherited"):
            many = ROWS // 10
            session.execute("CREATE TABLE special (more text) INHERITS (item)")
            session.execute(
                f"INSERT INTO special SELECT i, 'more' FROM generate_series({many + 1}, {ROWS}) AS i"
            )
        session.execute(
            f"INSERT INTO item ({columns}) SELECT {values} FROM generate_series(1, {many}) AS i ORDER BY random()"
        )
        session.execute(COUNTED)


class Database:
    """Runs statements on a session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def rows(self, statement: str, parameters: Mapping[str, object]) -> list[dict[str, object]]:
        """The rows of a query."""
        return query(self._session, "it", {"it": statement}, **parameters)

    def count(self, statement: str, parameters: Mapping[str, object]) -> int:
        """How many rows a statement changed."""
        counted = f"WITH changed AS ({statement} RETURNING 1) SELECT count(*) AS rows FROM changed"
        return int(str(self.rows(counted, parameters)[0]["rows"]))


@pytest.mark.parametrize("key", KEYS)
def test_every_row_once_whatever_the_key(database: Address, key: str) -> None:
    """An integer, two columns, text, uuid; and blocks where there is no key. It says how far it came."""
    _seed(database, key)
    with connected(database) as session:
        session.execute("ALTER TABLE item ADD COLUMN token integer")
        for table in ("item", "special") if key.startswith("inherited") else ("item",):
            session.execute(
                f"CREATE TRIGGER counted BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION count_it()"
            )
    with connect(database, "test") as session:
        seen = list(
            batches.run(
                Database(session),
                batches.BackfillTask("item", "token = 1", "token IS NULL"),
                None,
                lambda: 0.01,
            )
        )
    assert seen[-1].last
    assert seen[-1].rows == ROWS
    assert rows(database, "SELECT count(*) FROM item WHERE token IS NULL") == [0]
    assert rows(database, "SELECT count(*), count(DISTINCT id) FROM done") == [(ROWS, ROWS)]


def test_it_goes_on_where_it_was(database: Address) -> None:
    """From the cursor of any batch."""
    _seed(database, "integer")
    with connected(database) as session:
        session.execute("ALTER TABLE item ADD COLUMN token integer")
    with connect(database, "test") as session:
        database_, job = (
            Database(session),
            batches.BackfillTask("item", "token = 1", "token IS NULL"),
        )
        first = next(batches.run(database_, job, None, lambda: 0.01))
        assert 0 < first.rows < ROWS
        rest = list(batches.run(database_, job, first.cursor, lambda: 0.01))
    assert rest[-1].rows == ROWS


def test_without_a_condition_every_row_is_updated_once(database: Address) -> None:
    """Also when it was interrupted right after its last batch."""
    _seed(database, "text")
    with connected(database) as session:
        session.execute("ALTER TABLE item ADD COLUMN token integer NOT NULL DEFAULT 0")
    with connect(database, "test") as session:
        database_, job = Database(session), batches.BackfillTask("item", "token = token + 1", "")
        *_, last = batches.run(database_, job, None, lambda: 0.01)
        assert list(batches.run(database_, job, last.cursor, lambda: 0.01)) == []
    assert rows(database, "SELECT min(token), max(token) FROM item") == [(1, 1)]


def test_one_that_would_never_end_is_noticed(database: Address) -> None:
    """At its first rows, which leave the condition true."""
    _seed(database, "integer")
    with connect(database, "test") as session, pytest.raises(batches.NeverFinishes):
        list(
            batches.run(
                Database(session),
                batches.BackfillTask("item", "id = id", "id > 10"),
                None,
                lambda: 0.01,
            )
        )


def test_rows_that_leave_the_condition_true_are_left(database: Address) -> None:
    """Some of them, as by one UPDATE: a value that can't be told stays null, and it ends all the same."""
    _seed(database, "integer")
    with connected(database) as session:
        session.execute("ALTER TABLE item ADD COLUMN token integer")
    with connect(database, "test") as session:
        job = batches.BackfillTask(
            "item", "token = CASE WHEN id % 2 = 0 THEN id END", "token IS NULL"
        )
        *_, last = batches.run(Database(session), job, None, lambda: 0.01)
    assert last.last
    assert rows(database, "SELECT count(token) FROM item") == [ROWS // 2]


@pytest.fixture
def item(tmp_path: Path, database: Address) -> Project:
    """A project whose first revision adds a column that is filled in batches, on a table that counts what is done to it."""
    _seed(database, "integer")
    with connected(database) as session:
        # The trigger's column is made by the revision; until then the function isn't called.
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


def test_killed_at_every_batch(item: Project) -> None:
    """SIGKILL at each commit in turn: no row is done twice, none is missed."""
    code, number = -9, 0
    while code == -9:
        number += 1
        assert number < 400
        code = child(
            item, "upgrade", killer(number, before=bool(number % 2)), LIFTLOCK_LOCK_TIMEOUT="2"
        )
    assert code == 0
    assert number > 8, "there was only one batch"
    assert rows(item.database, "SELECT count(*) FROM item WHERE token IS NULL") == [0]
    assert rows(item.database, "SELECT count(*), count(DISTINCT id) FROM done") == [(ROWS, ROWS)]
    nothing_is_left(item.database)


def test_what_the_application_writes_is_kept(item: Project) -> None:
    """Rows that are inserted or changed while the backfill runs keep their values."""
    running = item.start("upgrade", LIFTLOCK_SMALL_TABLE="0", LIFTLOCK_LOCK_TIMEOUT="4")
    chance, mine = random.Random(1), {}
    end = time.monotonic() + 60
    with connected(item.database) as session:
        while running.poll() is None and time.monotonic() < end:
            key = chance.randint(1, ROWS)
            try:
                session.execute("UPDATE item SET token = -1 WHERE id = %s", [key])
                mine[key] = -1.0
            except Exception:
                continue
    _, errors = running.communicate()
    assert running.returncode == 0, errors
    assert mine, "the application wrote nothing meanwhile"
    kept = dict(rows(item.database, "SELECT id, token FROM item WHERE token = -1"))
    assert kept == mine
