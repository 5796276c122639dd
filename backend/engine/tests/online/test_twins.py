"""Type changes by a twin: what the application writes meanwhile, rows that don't fit, and what can't be carried over."""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import Project, begun_project, connected, rows
from online.storms import catalog, nothing_is_left

from liftlock.settings import Address

pytestmark = pytest.mark.storms
ROWS = 20_000
CHANGE = 'op.alter_column("item", "size", type_=sa.BigInteger())'


@pytest.fixture
def item(tmp_path: Path, database: Address, driver: str) -> Callable[[str], Project]:
    """Makes a project with a revision to run, on a table with rows."""
    with connected(database) as session:
        session.execute(
            "CREATE TABLE item (id integer PRIMARY KEY, size integer DEFAULT 7, label varchar(20), kind text)"
        )
        session.execute(
            "INSERT INTO item SELECT i, i, 'label ' || i, 'small' FROM generate_series(1, %s) AS i",
            [ROWS],
        )
        session.execute("CREATE INDEX ix_size ON item (size)")

    return functools.partial(begun_project, tmp_path, database, driver=driver)


def test_what_the_application_writes_is_carried_over(item: Callable[[str], Project]) -> None:
    """Rows that are inserted, changed and deleted while there are two columns."""
    project = item(CHANGE)
    running = project.start("upgrade", LIFTLOCK_SMALL_TABLE="0", LIFTLOCK_LOCK_TIMEOUT="4")
    chance, mine = random.Random(1), {key: key for key in range(1, ROWS + 1)}
    end = time.monotonic() + 60
    with connected(project.database) as session:
        while running.poll() is None and time.monotonic() < end:
            key, size = chance.randint(1, 2 * ROWS), chance.randint(1, 1_000_000)
            if chance.random() < 0.2:
                session.execute("DELETE FROM item WHERE id = %s", [key], prepare=False)
                mine.pop(key, None)
            else:
                upsert = "INSERT INTO item (id, size) VALUES (%s, %s) ON CONFLICT (id) DO UPDATE SET size = excluded.size"
                session.execute(upsert, [key, size], prepare=False)
                mine[key] = size
    _, errors = running.communicate()
    assert running.returncode == 0, errors
    assert dict(rows(project.database, "SELECT id, size FROM item")) == mine
    assert rows(project.database, "SELECT pg_typeof(size)::text FROM item LIMIT 1") == ["bigint"]
    nothing_is_left(project.database)


def test_a_row_that_does_not_fit_is_named(item: Callable[[str], Project]) -> None:
    """By its key; all is taken back; when the row is corrected, the next run gets through."""
    project = item(
        'op.alter_column("item", "label", type_=sa.Integer(), postgresql_using="substr(label, 7)::integer")'
    )
    with connected(project.database) as session:
        session.execute("UPDATE item SET label = 'label x12' WHERE id = 12345")
    before = catalog(project.database)
    done = project.run("upgrade", LIFTLOCK_SMALL_TABLE="0")
    assert done.returncode == 5, done.stderr
    assert "LL-ROWS-VIOLATE" in done.stderr
    assert 'a row of item can\'t be updated: "id"=12345' in done.stderr
    assert catalog(project.database) == before
    with connected(project.database) as session:
        session.execute("UPDATE item SET label = 'label 9' WHERE id = 12345")
    assert project.run("upgrade", LIFTLOCK_SMALL_TABLE="0").returncode == 0
    assert rows(project.database, "SELECT label FROM item WHERE id IN (7, 12345) ORDER BY id") == [
        7,
        9,
    ]
    nothing_is_left(project.database)


def test_duplicates_in_the_new_type_are_found_and_all_is_taken_back(
    item: Callable[[str], Project],
) -> None:
    """A unique index that can't be made on the twin: exit 5, and the table is as it was."""
    project = item(
        'op.alter_column("item", "size", type_=sa.SmallInteger(), postgresql_using="(size % 1000)::smallint")'
    )
    with connected(project.database) as session:
        session.execute("CREATE UNIQUE INDEX ux_size ON item (size)")
    before = catalog(project.database)
    done = project.run("upgrade", LIFTLOCK_SMALL_TABLE="0")
    assert done.returncode == 5, done.stderr
    assert "could not create unique index" in done.stderr
    assert catalog(project.database) == before


@pytest.mark.parametrize(
    ("meanwhile", "undone"),
    [
        ("CREATE INDEX ix_meanwhile ON item (size, kind)", "DROP INDEX ix_meanwhile"),
        ("ALTER TABLE item ALTER size SET DEFAULT 8", "ALTER TABLE item ALTER size SET DEFAULT 7"),
        ("COMMENT ON COLUMN item.size IS 'in cm'", "COMMENT ON COLUMN item.size IS NULL"),
    ],
)
def test_what_is_made_on_the_column_meanwhile_is_not_lost(
    item: Callable[[str], Project], meanwhile: str, undone: str
) -> None:
    """The swap would drop it with the column, so it is refused until it is gone; what is done stays."""
    project = item(CHANGE)
    slow = {
        "LIFTLOCK_SMALL_TABLE": "0",
        "LIFTLOCK_LOCK_TIMEOUT": "10",
        "LIFTLOCK_BACKFILL_SHARE": "0.1",
    }
    running = project.start("upgrade", **slow)
    added = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'item'::regclass AND attname LIKE 'liftlock%'"
    end = time.monotonic() + 30
    while rows(project.database, added) == [0] and time.monotonic() < end:
        time.sleep(0.02)
    with connected(project.database) as session:
        session.execute(meanwhile)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 5, errors
    assert (
        'column "size" of item was changed, or something was made on it, since its type change was begun'
        in errors
    )
    with connected(project.database) as session:
        session.execute(undone)
    assert project.run("upgrade", LIFTLOCK_SMALL_TABLE="0").returncode == 0
    assert rows(project.database, "SELECT pg_typeof(size)::text FROM item LIMIT 1") == ["bigint"]
    nothing_is_left(project.database)


OBSTACLES = {
    "view": "CREATE VIEW sizes AS SELECT size FROM item",
    "policy": "CREATE POLICY large ON item USING (size > 10)",
    "publication": "CREATE PUBLICATION news FOR TABLE item",
    "statistics": "CREATE STATISTICS together ON size, label FROM item",
    "trigger": "CREATE TRIGGER watch BEFORE UPDATE OF size ON item FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "constraint": "CREATE EXTENSION btree_gist; ALTER TABLE item ADD CONSTRAINT apart EXCLUDE USING gist (size WITH =)",
    "inherits": "CREATE TABLE large_item () INHERITS (item)",
    "generated": "ALTER TABLE item DROP COLUMN size, ADD COLUMN size integer GENERATED ALWAYS AS (id * 2) STORED",
}


@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_what_cannot_be_carried_over_is_refused_by_name(
    item: Callable[[str], Project], obstacle: str
) -> None:
    """Beforehand: nothing is changed."""
    project = item(CHANGE)
    with connected(project.database) as session:
        session.execute(OBSTACLES[obstacle])
    before = catalog(project.database)
    done = project.run("upgrade", LIFTLOCK_SMALL_TABLE="0")
    assert done.returncode == 3, done.stderr
    assert "LL-TABLE-REWRITE" in done.stderr
    assert "because of " in done.stderr
    assert obstacle in done.stderr.split("because of ")[1].split("\n")[0]
    assert catalog(project.database) == before


def test_a_domain_with_a_check_is_refused(item: Callable[[str], Project]) -> None:
    """A new column of such a domain makes PostgreSQL rewrite the table, even without a default."""
    project = item("pass")
    with connected(project.database) as session:
        session.execute("CREATE DOMAIN natural_number AS bigint CHECK (value >= 0)")
    kind = "type('Natural', (sa.types.UserDefinedType,), {'get_col_spec': lambda self, **_: 'natural_number'})()"
    project.revision("r1", "r0", f'op.alter_column("item", "size", type_={kind})')
    done = project.run("upgrade", LIFTLOCK_SMALL_TABLE="0")
    assert (done.returncode, "domain natural_number, whose check" in done.stderr) == (3, True), (
        done.stderr
    )


def test_a_refused_one_runs_in_place_when_it_is_allowed(item: Callable[[str], Project]) -> None:
    """By the operator, as plain Alembic does it."""
    project = item(CHANGE)
    with connected(project.database) as session:
        session.execute(OBSTACLES["publication"])
    assert (
        project.run(
            "upgrade", LIFTLOCK_SMALL_TABLE="0", LIFTLOCK_ALLOW="LL-TABLE-REWRITE"
        ).returncode
        == 0
    )
    assert rows(project.database, "SELECT pg_typeof(size)::text FROM item LIMIT 1") == ["bigint"]
