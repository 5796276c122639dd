"""What isn't in a statement and decides what it does: settings of the transaction, keys, values of Python, what somebody else holds."""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Callable

import pytest
from helpers import Project, connected, rows
from online.storms import child, expected, nothing_is_left, state
from online.varieties import TABLES

from liftlock.execution.connection import ProjectConnection

pytestmark = pytest.mark.storms
LOCAL = 'op.execute("SET LOCAL search_path TO other, public")\n'
SAME_NAME = (
    'CREATE TABLE public.thing (id integer PRIMARY KEY, label text, "Odd col" integer DEFAULT 3); '
)
SAME_NAME += "INSERT INTO public.thing SELECT i, 'p' || i FROM generate_series(1, 30) AS i"
BODIES = {
    "backfill": LOCAL
    + """op.backfill("thing", set="label = label || '!'", where="label NOT LIKE '%!'")""",
    "index": LOCAL + 'op.create_index("ix_here", "thing", ["label"])',
    "check": LOCAL + 'op.create_check_constraint("ck_here", "thing", "id > 0")',
    "twin": LOCAL + 'op.alter_column("thing", "Odd col", type_=sa.BigInteger())',
    "enum": """op.execute("CREATE TYPE public.state AS ENUM ('on', 'off')")\nop.execute("SET search_path TO other, public")\n"""
    """op.create_table("letter", sa.Column("id", sa.Integer), sa.Column("s", sa.Enum("on", "off", name="state")))""",
    "temporary table": 'op.create_table("tmp", sa.Column("i", sa.Integer), prefixes=["TEMPORARY"], postgresql_on_commit="DELETE ROWS")\n'
    'op.execute("INSERT INTO tmp SELECT 1")\nop.create_index("ix_v", "visit", ["person_id"])\n'
    'op.execute("UPDATE visit SET person_id = person_id FROM tmp")\nop.execute("INSERT INTO other.thing (id) SELECT 100 + i FROM tmp")',
}


@pytest.fixture
def both(
    pair: Callable[[str, str], tuple[Project, Project]],
) -> Callable[[str], tuple[Project, Project]]:
    """Makes a project to run with plain Alembic, and one to run with liftlock, with tables of one name in two schemas."""
    return functools.partial(pair, TABLES + SAME_NAME)


@pytest.mark.parametrize("name", BODIES)
def test_same_schema_where_names_mean_another(
    both: Callable[[str], tuple[Project, Project]], name: str
) -> None:
    """What a transaction settles holds through all that liftlock makes of it."""
    plain, ours = both(BODIES[name])
    wanted = expected(plain, "upgrade", "head", moved=True)
    assert child(ours, "upgrade") == 0
    assert state(ours.database, moved=True) == wanted
    nothing_is_left(ours.database)


KEYS = {
    "deferrable": (
        "CREATE TABLE counted (id integer PRIMARY KEY DEFERRABLE, n integer, pad text)",
        "counted",
    ),
    "of the parent alone": (
        "CREATE TABLE counted (id integer PRIMARY KEY, n integer, pad text); CREATE TABLE counted_heir () INHERITS (counted)",
        "counted_heir",
    ),
}


@pytest.mark.parametrize("name", KEYS)
def test_rows_that_no_key_tells_apart_are_updated_once(
    both: Callable[[str], tuple[Project, Project]], name: str
) -> None:
    """Without a condition, a batch would find those again that another has moved."""
    made, filled = KEYS[name]
    _, ours = both('op.backfill("counted", set="n = n + 1")')
    with connected(ours.database) as session:
        session.execute(made.encode())
        session.execute(
            f"INSERT INTO {filled} SELECT i, 0, repeat('x', 500) FROM generate_series(1, 5000) AS i".encode()
        )
    assert child(ours, "upgrade", LIFTLOCK_LOCK_TIMEOUT="4") == 0
    assert rows(ours.database, "SELECT DISTINCT n FROM counted") == [1]


VALUES = {
    "values of a construct": "op.execute(made.insert().values(id=key))",
    "bound parameters": 'op.execute(sa.text("INSERT INTO made VALUES (:key)").bindparams(key=key))',
}


@pytest.mark.parametrize("name", VALUES)
def test_values_of_python_are_not_mixed(
    both: Callable[[str], tuple[Project, Project]], name: str
) -> None:
    """Those that an interrupted run has written stay; others don't follow them."""
    write = VALUES[name]
    _, ours = both(
        f"import uuid\nkey = str(uuid.uuid4())\nmade = sa.table('made', sa.column('id'))\n{write}\n"
        f'op.create_index("ix_v", "visit", ["person_id"])\nop.add_column("country", sa.Column("x", sa.Integer))\n{write}'
    )
    with connected(ours.database) as session:
        session.execute("CREATE TABLE made (id text)")
        with session.transaction():
            session.execute("SELECT FROM country")
            assert child(ours, "upgrade", LIFTLOCK_DEADLINE="2") in {3, 4}
    assert child(ours, "upgrade") == 3
    assert len(set(rows(ours.database, "SELECT id FROM made"))) == 1


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_twin_converts_as_the_revision_does(
    both: Callable[[str], tuple[Project, Project]], workers: str
) -> None:
    """Whatever time zone the application's sessions are in, and however many work on it."""
    body = (
        "op.execute(\"SET timezone = 'Asia/Tokyo'\")\n"
        + 'op.alter_column("wide", "ts", type_=sa.DateTime(timezone=True))'
    )
    plain, ours = both(body)
    wanted = expected(plain, "upgrade", "head", moved=True)
    assert child(ours, "upgrade", LIFTLOCK_BACKFILL_WORKERS=workers) == 0
    assert state(ours.database, moved=True) == wanted
    nothing_is_left(ours.database)


def test_what_an_application_writes_is_converted_as_the_revision_does(
    both: Callable[[str], tuple[Project, Project]],
) -> None:
    """By the trigger, which takes over the settings."""
    _, ours = both(
        "op.execute(\"SET timezone = 'Asia/Tokyo'\")\n"
        + 'op.alter_column("wide", "ts", type_=sa.DateTime(timezone=True))'
    )
    with connected(ours.database) as session:
        session.execute("SET timezone = 'America/New_York'")
        session.execute(
            "INSERT INTO wide (id, ts) SELECT i, '2020-01-01 10:00' FROM generate_series(100, 30000) AS i"
        )
        running = ours.start(
            "upgrade",
            LIFTLOCK_SMALL_TABLE="0",
            LIFTLOCK_BACKFILL_SHARE="0.2",
            LIFTLOCK_LOCK_TIMEOUT="20",
        )
        twin = "SELECT 1 FROM pg_attribute WHERE attrelid = 'wide'::regclass AND attname LIKE 'liftlock%'"
        while running.poll() is None and not rows(ours.database, twin):
            pass
        session.execute("UPDATE wide SET v = 'w' WHERE id = 5")
        _, errors = running.communicate(timeout=60)
    assert running.returncode == 0, errors
    assert rows(
        ours.database,
        "SELECT DISTINCT CAST(ts AT TIME ZONE 'UTC' AS text) FROM wide WHERE ts IS NOT NULL",
    ) == ["2020-01-01 01:00:00"]


def test_an_unproven_not_null_is_proven(both: Callable[[str], tuple[Project, Project]]) -> None:
    """From PostgreSQL 18 on a column may be not null without a proof."""
    _, ours = both('op.alter_column("stop", "n", nullable=False)')
    with connected(ours.database) as session:
        if session.info.server_version < 180000:
            pytest.skip("this major has none")
        session.execute("INSERT INTO stop (city) VALUES (1)")
        session.execute("ALTER TABLE stop ADD CONSTRAINT c NOT NULL n NOT VALID")
    assert child(ours, "upgrade") == 5
    with connected(ours.database) as session:
        session.execute("DELETE FROM stop WHERE n IS NULL")
    assert child(ours, "upgrade") == 0
    assert rows(ours.database, "SELECT convalidated FROM pg_constraint WHERE conname = 'c'") == [
        True
    ]
    nothing_is_left(ours.database)


def test_rows_that_are_locked_for_update_stay_so(
    both: Callable[[str], tuple[Project, Project]],
) -> None:
    """What a revision reads for update isn't let go before it has written."""
    _, ours = both(
        "bind = op.get_bind()\nn = bind.execute(sa.text('SELECT n FROM stop WHERE n = 7 FOR UPDATE')).scalar()\n"
        "op.add_column('country', sa.Column('x', sa.Integer))\nop.execute('SELECT pg_sleep(2)')\n"
        "bind.execute(sa.text('UPDATE stop SET n = :n WHERE n = 7'), {'n': n + 1000})"
    )
    running = ours.start("upgrade", LIFTLOCK_SMALL_TABLE="0")
    sleeps = "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sl' || 'eep(2)%' AND state = 'active' AND datname = current_database()"
    with connected(ours.database) as session:
        while running.poll() is None and not rows(ours.database, sleeps):
            pass
        session.execute("UPDATE stop SET n = n + 1 WHERE n IN (7, 1007)")
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 0, errors
    assert rows(ours.database, "SELECT n FROM stop WHERE n IN (8, 1007, 1008) ORDER BY n") in (
        [8, 1008],
        [8, 1007],
    )


def test_a_table_that_was_there_is_not_new(both: Callable[[str], tuple[Project, Project]]) -> None:
    """Although the revision would have made it: it is indexed beside its users."""
    _, ours = both(
        'op.create_table("stop", sa.Column("n", sa.Integer), if_not_exists=True)\nop.create_index("ix", "stop", ["n"])'
    )
    done = ours.run("plan", LIFTLOCK_SMALL_TABLE="0")
    assert "CREATE INDEX CONCURRENTLY" in done.stdout, done.stdout + done.stderr


def test_a_primary_key_that_rows_break_leaves_nothing(
    both: Callable[[str], tuple[Project, Project]],
) -> None:
    """Its columns may be null again."""
    _, ours = both('op.create_primary_key("pk", "stop", ["zone"])')
    before = state(ours.database)
    assert child(ours, "upgrade") == 5
    assert state(ours.database) == before


def dies_after_the_drop() -> None:
    """Killed when the column of a twin is dropped, and nothing more is done."""
    real = ProjectConnection.send

    def send(self: ProjectConnection, sql: str) -> list[dict[str, object]]:
        found = real(self, sql)
        if "DROP COLUMN IF EXISTS" in sql:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    ProjectConnection.send = send  # type: ignore[method-assign]


def test_killed_while_a_twin_is_taken_back(both: Callable[[str], tuple[Project, Project]]) -> None:
    """The next run meets the same rows, and when they are corrected it gets through."""
    change = 'op.alter_column("stop", "n", type_=sa.String(4), postgresql_using="left(n::text, 1)")'
    _, ours = both(f'op.create_index("ux", "stop", ["n"], unique=True)\n{change}')
    assert child(ours, "upgrade", dies_after_the_drop) == -signal.SIGKILL
    assert child(ours, "upgrade") == 5
    with connected(ours.database) as session:
        session.execute("DELETE FROM stop WHERE n > 9")
    assert child(ours, "upgrade") == 0
    assert rows(ours.database, "SELECT count(n) FROM stop") == [9]
    nothing_is_left(ours.database)
