"""Type changes with a replacement column: concurrent writes, failing rows, dependent objects."""

from __future__ import annotations

import contextlib
import functools
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from acceptance.support.databases import (
    assert_nothing_is_left,
    database_state,
    schema_of,
    state_by_plain_alembic,
)
from acceptance.support.kill_points import kill_after_statement, kill_at_commit
from acceptance.support.processes import run_liftlock
from helpers import (
    ALL_TABLES_LARGE,
    PairFactory,
    Project,
    ProjectFactory,
    assert_failed,
    assert_refused,
    assert_succeeded,
    at,
    begun_project,
    connected,
    ended,
    in_transaction,
    random_numbers,
    rows,
    until,
)

from liftlock.settings import Address

pytestmark = pytest.mark.kills
ROWS = 20_000
CHANGES_SIZE = 'op.alter_column("item", "size", type_=sa.BigInteger())'
TYPE_OF_SIZE = "SELECT pg_typeof(size)::text FROM item LIMIT 1"
LARGE_ITEM_TABLE = f"""
CREATE TABLE item
    (id integer PRIMARY KEY, size integer DEFAULT 7, label varchar(20), kind text);
INSERT INTO item SELECT i, i, 'label ' || i, 'small' FROM generate_series(1, {ROWS}) AS i;
CREATE INDEX ix_size ON item (size);
"""
UPSERT = """
INSERT INTO item (id, size) VALUES (%s, %s) ON CONFLICT (id) DO UPDATE SET size = excluded.size
"""


@pytest.fixture
def large_item_project(tmp_path: Path, database: Address, driver: str) -> ProjectFactory:
    """Make a project with a pending revision, on a table with 20,000 rows."""
    with connected(database) as session:
        session.execute(LARGE_ITEM_TABLE)
    return functools.partial(begun_project, tmp_path, database, driver=driver)


def has_replacement_column(project: Project, table: str) -> bool:
    """Return whether a replacement column was added to a table."""
    return bool(
        rows(
            project.database,
            f"SELECT 1 FROM pg_attribute WHERE attrelid = '{table}'::regclass"
            " AND attname LIKE 'liftlock%'",
        )
    )


@pytest.mark.every_major
def test_concurrent_writes_reach_the_replacement_column(large_item_project: ProjectFactory) -> None:
    """Rows inserted, updated and deleted while both columns exist are kept."""
    project = large_item_project(CHANGES_SIZE)
    running = project.start("upgrade", LIFTLOCK_LOCK_TIMEOUT="4", **ALL_TABLES_LARGE)
    chance = random_numbers(1)
    written = {key: key for key in range(1, ROWS + 1)}
    end = time.monotonic() + 60
    with connected(project.database) as session:
        while running.poll() is None and time.monotonic() < end:
            key = chance.randint(1, 2 * ROWS)
            size = chance.randint(1, 1_000_000)
            if chance.random() < 0.2:
                session.execute("DELETE FROM item WHERE id = %s", [key], prepare=False)
                written.pop(key, None)
            else:
                session.execute(UPSERT, [key, size], prepare=False)
                written[key] = size
    assert_succeeded(ended(running))
    assert dict(rows(project.database, "SELECT id, size FROM item")) == written
    assert rows(project.database, TYPE_OF_SIZE) == ["bigint"]
    assert_nothing_is_left(project.database)


@pytest.mark.every_major
def test_row_that_cannot_be_converted_is_named(large_item_project: ProjectFactory) -> None:
    """The error names the row's key and the change is undone.

    After a correction the next run succeeds.
    """
    project = large_item_project(
        'op.alter_column("item", "label", type_=sa.Integer(),'
        ' postgresql_using="substr(label, 7)::integer")'
    )
    with connected(project.database) as session:
        session.execute("UPDATE item SET label = 'label x12' WHERE id = 12345")
    before = schema_of(project.database)
    done = project.run("upgrade", **ALL_TABLES_LARGE)
    assert_failed(done, "LL-ROW-NOT-UPDATABLE", 5, mentions=("item", '"id"=12345'))
    assert schema_of(project.database) == before
    with connected(project.database) as session:
        session.execute("UPDATE item SET label = 'label 9' WHERE id = 12345")
    assert_succeeded(project.run("upgrade", **ALL_TABLES_LARGE))
    labels = "SELECT label FROM item WHERE id IN (7, 12345) ORDER BY id"
    assert rows(project.database, labels) == [7, 9]
    assert_nothing_is_left(project.database)


@pytest.mark.every_major
def test_duplicates_in_the_new_type_undo_the_change(large_item_project: ProjectFactory) -> None:
    """If a unique index cannot be built on the replacement column, the table is as before."""
    project = large_item_project(
        'op.alter_column("item", "size", type_=sa.SmallInteger(),'
        ' postgresql_using="(size % 1000)::smallint")'
    )
    with connected(project.database) as session:
        session.execute("CREATE UNIQUE INDEX ux_size ON item (size)")
    before = schema_of(project.database)
    done = project.run("upgrade", **ALL_TABLES_LARGE)
    assert_failed(done, "LL-STEP-FAILED", 5, mentions="could not create unique index")
    assert schema_of(project.database) == before


@pytest.mark.every_major
@pytest.mark.parametrize(
    ("change", "undo"),
    [
        ("CREATE INDEX ix_meanwhile ON item (size, kind)", "DROP INDEX ix_meanwhile"),
        ("ALTER TABLE item ALTER size SET DEFAULT 8", "ALTER TABLE item ALTER size SET DEFAULT 7"),
        ("COMMENT ON COLUMN item.size IS 'in cm'", "COMMENT ON COLUMN item.size IS NULL"),
    ],
)
def test_change_to_the_column_during_the_backfill_stops_the_swap(
    large_item_project: ProjectFactory, change: str, undo: str
) -> None:
    """An index, default or comment made meanwhile would be lost in the swap.

    The swap is refused until it is gone; finished steps are kept.
    """
    project = large_item_project(CHANGES_SIZE)
    slow = {"LIFTLOCK_LOCK_TIMEOUT": "10", "LIFTLOCK_BACKFILL_SHARE": "0.1"}
    running = project.start("upgrade", **slow, **ALL_TABLES_LARGE)
    until(lambda: has_replacement_column(project, "item"), 30, "the column exists", running=running)
    with connected(project.database) as session:
        session.execute(change)
    assert_failed(ended(running), "LL-STEP-FAILED", 5, mentions='column "size" of item was changed')
    with connected(project.database) as session:
        session.execute(undo)
    assert_succeeded(project.run("upgrade", **ALL_TABLES_LARGE))
    assert rows(project.database, TYPE_OF_SIZE) == ["bigint"]
    assert_nothing_is_left(project.database)


OBSTACLES = {
    "view": "CREATE VIEW sizes AS SELECT size FROM item",
    "policy": "CREATE POLICY large ON item USING (size > 10)",
    "publication": "CREATE PUBLICATION news FOR TABLE item",
    "statistics": "CREATE STATISTICS together ON size, label FROM item",
    "trigger": (
        "CREATE TRIGGER watch BEFORE UPDATE OF size ON item"
        " FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()"
    ),
    "constraint": (
        "CREATE EXTENSION btree_gist;"
        " ALTER TABLE item ADD CONSTRAINT apart EXCLUDE USING gist (size WITH =)"
    ),
    "inherits": "CREATE TABLE large_item () INHERITS (item)",
    "generated": (
        "ALTER TABLE item DROP COLUMN size,"
        " ADD COLUMN size integer GENERATED ALWAYS AS (id * 2) STORED"
    ),
}


@pytest.mark.every_major
@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_dependent_object_that_cannot_be_moved_is_named(
    large_item_project: ProjectFactory, obstacle: str
) -> None:
    """An object that cannot be moved to the replacement column is named before anything changes."""
    project = large_item_project(CHANGES_SIZE)
    with connected(project.database) as session:
        session.execute(OBSTACLES[obstacle])
    before = schema_of(project.database)
    done = project.run("upgrade", **ALL_TABLES_LARGE)
    assert_refused(done, "LL-TABLE-REWRITE", mentions="because of ")
    assert obstacle in done.stderr.split("because of ")[1].split("\n")[0]
    assert schema_of(project.database) == before


@pytest.mark.every_major
def test_change_to_domain_with_check_is_refused(large_item_project: ProjectFactory) -> None:
    """A new column of a domain with a constraint makes PostgreSQL rewrite the table."""
    project = large_item_project("pass")
    with connected(project.database) as session:
        session.execute("CREATE DOMAIN natural_number AS bigint CHECK (value >= 0)")
    methods = "{'get_col_spec': lambda self, **_: 'natural_number'}"
    kind = f"type('Natural', (sa.types.UserDefinedType,), {methods})()"
    project.revision("r1", "r0", f'op.alter_column("item", "size", type_={kind})')
    done = project.run("upgrade", **ALL_TABLES_LARGE)
    assert_refused(done, "LL-TABLE-REWRITE", mentions="domain natural_number")


@pytest.mark.every_major
def test_allowed_type_change_rewrites_the_table_in_place(
    large_item_project: ProjectFactory,
) -> None:
    """With the operator's allowance a refused change runs as plain Alembic runs it."""
    project = large_item_project(CHANGES_SIZE)
    with connected(project.database) as session:
        session.execute(OBSTACLES["publication"])
    allowed = {"LIFTLOCK_ALLOW": "LL-TABLE-REWRITE"}
    assert_succeeded(project.run("upgrade", **allowed, **ALL_TABLES_LARGE))
    assert rows(project.database, TYPE_OF_SIZE) == ["bigint"]


def test_column_with_foreign_key_to_partitioned_table_is_refused(
    uncommon_pair: PairFactory,
) -> None:
    """The constraints for each partition would keep names of the replacement column."""
    _, ours = uncommon_pair('op.alter_column("kept", "city", type_=sa.BigInteger())')
    done = ours.run("upgrade", **ALL_TABLES_LARGE)
    assert_refused(done, "LL-TABLE-REWRITE", mentions="foreign key there of kept")


CHANGES_TIMESTAMP_IN_TOKYO = """
op.execute("SET timezone = 'Asia/Tokyo'")
op.alter_column("wide", "ts", type_=sa.DateTime(timezone=True))
"""


@pytest.mark.every_major
@pytest.mark.parametrize("workers", ["1", "2"])
def test_backfill_converts_in_the_time_zone_of_the_revision(
    uncommon_pair: PairFactory, workers: str
) -> None:
    """The conversion uses the revision's TimeZone, with one worker and with several."""
    plain, ours = uncommon_pair(CHANGES_TIMESTAMP_IN_TOKYO)
    expected = state_by_plain_alembic(plain, "upgrade", "head", any_column_order=True)
    assert run_liftlock(ours, "upgrade", LIFTLOCK_BACKFILL_WORKERS=workers) == 0
    assert database_state(ours.database, any_column_order=True) == expected
    assert_nothing_is_left(ours.database)


@pytest.mark.every_major
def test_trigger_converts_in_the_time_zone_of_the_revision(uncommon_pair: PairFactory) -> None:
    """The trigger converts rows that the application writes with the revision's TimeZone."""
    _, ours = uncommon_pair(CHANGES_TIMESTAMP_IN_TOKYO)
    slow = {"LIFTLOCK_BACKFILL_SHARE": "0.2", "LIFTLOCK_LOCK_TIMEOUT": "20"}
    with connected(ours.database) as session:
        session.execute("SET timezone = 'America/New_York'")
        session.execute(
            "INSERT INTO wide (id, ts)"
            " SELECT i, '2020-01-01 10:00' FROM generate_series(100, 30000) AS i"
        )
        running = ours.start("upgrade", **slow, **ALL_TABLES_LARGE)
        until(
            lambda: running.poll() is not None or has_replacement_column(ours, "wide"),
            description="the column exists",
            pause=0,
        )
        session.execute("UPDATE wide SET v = 'w' WHERE id = 5")
        assert_succeeded(ended(running))
    converted = "SELECT DISTINCT CAST(ts AT TIME ZONE 'UTC' AS text) FROM wide WHERE ts IS NOT NULL"
    assert rows(ours.database, converted) == ["2020-01-01 01:00:00"]


@pytest.mark.every_major
def test_kill_during_the_undo_of_a_type_change_is_resumed(uncommon_pair: PairFactory) -> None:
    """A run killed while it drops the replacement column is resumed when the rows are corrected."""
    change = 'op.alter_column("stop", "n", type_=sa.String(4), postgresql_using="left(n::text, 1)")'
    _, ours = uncommon_pair(f'op.create_index("ux", "stop", ["n"], unique=True)\n{change}')
    kill = kill_after_statement("DROP COLUMN IF EXISTS")
    assert run_liftlock(ours, "upgrade", kill) == -signal.SIGKILL
    assert run_liftlock(ours, "upgrade") == 5
    with connected(ours.database) as session:
        session.execute("DELETE FROM stop WHERE n > 9")
    assert run_liftlock(ours, "upgrade") == 0
    assert rows(ours.database, "SELECT count(n) FROM stop") == [9]
    assert_nothing_is_left(ours.database)


@pytest.mark.every_major
def test_trigger_that_fires_after_the_replacement_trigger_is_refused(
    item_project: ProjectFactory,
) -> None:
    """A BEFORE trigger that sorts after liftlock's would change the value after it was copied."""
    project = item_project("op.alter_column('item', 'size', type_=sa.BigInteger())")
    with connected(project.database) as session:
        session.execute(
            "CREATE FUNCTION twice() RETURNS trigger LANGUAGE plpgsql"
            " AS 'BEGIN NEW.size := 2 * NEW.size; RETURN NEW; END'"
        )
        session.execute(
            'CREATE TRIGGER "~~late" BEFORE INSERT ON item FOR EACH ROW EXECUTE FUNCTION twice()'
        )
    done = project.run("upgrade", **ALL_TABLES_LARGE)
    assert_refused(done, "LL-TABLE-REWRITE", mentions="~~late")


USES_PERCENT = (
    'op.alter_column("item", "size", type_=sa.BigInteger(), postgresql_using="size %% 7")'
)


@pytest.mark.parametrize("driver_of_project", ["psycopg", "psycopg2"])
def test_doubled_percent_sign_in_using(
    tmp_path: Path, database: Address, driver_of_project: str
) -> None:
    """These drivers take a single one for a parameter, and send one of two to the server."""
    with connected(database) as session:
        session.execute(LARGE_ITEM_TABLE)
    project = begun_project(tmp_path, database, USES_PERCENT, driver=driver_of_project)
    assert_succeeded(project.run("upgrade", **ALL_TABLES_LARGE))
    assert rows(database, "SELECT count(*) FROM item WHERE size <> id % 7") == [0]
    assert_nothing_is_left(database)


CONVERTS = """op.alter_column(
    "item", "size", type_=sa.BigInteger(), postgresql_using="private.converted(size)"
)"""


@pytest.fixture
def converted(large_item_project: ProjectFactory, database: Address) -> Iterator[Project]:
    """A project with a USING expression whose function the application may not call.

    The run is killed while the triggers exist. Its role is ``app_`` and the database's name.
    """
    role = f"app_{database.dbname}"
    with connected(database) as session:
        session.execute(
            "CREATE SCHEMA private; CREATE FUNCTION private.converted(n integer) RETURNS bigint"
            " LANGUAGE sql AS 'SELECT n * 10'"
        )
        session.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'app'")
        session.execute(f"GRANT SELECT, INSERT, UPDATE ON item TO {role}")
    project = large_item_project(CONVERTS)
    number = 1
    while not rows(database, TRIGGERS):
        code = run_liftlock(project, "upgrade", kill_at_commit(number, before=False))
        assert code == -signal.SIGKILL
        number += 1
    yield project
    with connected(database) as session:
        session.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


TRIGGERS = "SELECT tgname FROM pg_trigger WHERE tgname LIKE '~liftlock%'"


def test_application_writes_while_it_may_not_call_the_functions_of_using(
    converted: Project,
) -> None:
    """The trigger converts in the role of the revision, as ALTER COLUMN would."""
    address = converted.database
    app = at(address, address.dbname, user=f"app_{address.dbname}", password="app")
    with connected(app) as session:
        session.execute("INSERT INTO item (id, size) VALUES (-1, 5)")
        session.execute("UPDATE item SET size = 6 WHERE id = 1")
    assert_succeeded(converted.run("upgrade", **ALL_TABLES_LARGE))
    values = "SELECT size FROM item WHERE id IN (-1, 1, 2) ORDER BY id"
    assert rows(address, values) == [50, 60, 20]
    assert_nothing_is_left(address)


def test_nothing_is_left_of_a_type_change_whose_statement_fails(converted: Project) -> None:
    """The application's writes would fire a trigger that fails, too."""
    address = converted.database
    with connected(address) as session:
        session.execute("DROP FUNCTION private.converted")
    done = converted.run("upgrade", **ALL_TABLES_LARGE)
    assert_failed(done, "LL-STEP-FAILED", 5, mentions="private.converted")
    assert rows(address, TRIGGERS) == []
    with connected(address) as session:
        session.execute("INSERT INTO item (id, size) VALUES (-1, 5)")


def test_transaction_older_than_the_new_column_is_waited_for_and_named(
    large_item_project: ProjectFactory, database: Address
) -> None:
    """It would read null in every row of a column that has none."""
    project = large_item_project(CHANGES_SIZE)
    with in_transaction(database, application_name="the report") as report:
        report.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        report.execute("SELECT 1 FROM pg_class")
        done = project.run("upgrade", LIFTLOCK_DEADLINE="3", **ALL_TABLES_LARGE)
        assert_failed(done, "(?:LL-SNAPSHOTS-REMAIN|LL-DEADLINE-EXCEEDED)", 4, mentions="report")
        assert report.execute("SELECT count(size) FROM item").fetchone() == (ROWS,)
    assert_succeeded(project.run("upgrade", **ALL_TABLES_LARGE))
    assert rows(database, TYPE_OF_SIZE) == ["bigint"]


def test_snapshots_are_waited_for_also_without_an_index(
    large_item_project: ProjectFactory, database: Address
) -> None:
    """The build of an index on the column would wait for them, too."""
    project = large_item_project(
        'op.alter_column("item", "kind", type_=sa.LargeBinary(), postgresql_using="kind::bytea")'
    )
    with in_transaction(database, application_name="the report") as report:
        report.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        report.execute("SELECT 1 FROM pg_class")
        done = project.run("upgrade", LIFTLOCK_DEADLINE="3", **ALL_TABLES_LARGE)
        assert_failed(done, "LL-SNAPSHOTS-REMAIN", 4, mentions="the report")
        assert report.execute("SELECT count(kind) FROM item").fetchone() == (ROWS,)
    assert_succeeded(project.run("upgrade", **ALL_TABLES_LARGE))


IDENTITY_TABLE = """
CREATE TABLE numbered (id integer GENERATED BY DEFAULT AS IDENTITY (INCREMENT 3), a integer);
COMMENT ON SEQUENCE numbered_id_seq IS 'pooled';
INSERT INTO numbered (a) SELECT 1 FROM generate_series(1, 1000);
"""


def test_number_drawn_during_the_swap_is_not_given_out_again(
    tmp_path: Path, database: Address
) -> None:
    """Clients that draw numbers without the table, as pooled optimizers do, go on drawing."""
    with connected(database) as session:
        session.execute(IDENTITY_TABLE)
    project = begun_project(
        tmp_path, database, 'op.alter_column("numbered", "id", type_=sa.BigInteger())'
    )
    drawn: list[int] = []
    stop = threading.Event()

    def draw() -> None:
        with connected(database) as session:
            while not stop.is_set():
                with contextlib.suppress(psycopg.Error):  # the old sequence was just dropped
                    row = session.execute("SELECT nextval('numbered_id_seq')").fetchone()
                    drawn.append(row[0])

    threads = [threading.Thread(target=draw) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        assert_succeeded(project.run("upgrade", **ALL_TABLES_LARGE))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert len(drawn) == len(set(drawn))
    comment = "SELECT obj_description('numbered_id_seq'::regclass, 'pg_class')"
    assert rows(database, comment) == ["pooled"]


def test_older_transaction_of_another_role_is_waited_for(tmp_path: Path, database: Address) -> None:
    """The type of its session is hidden from a role that isn't a member of its own."""
    role = f"owner_{database.dbname}"
    with connected(database) as session:
        session.execute(LARGE_ITEM_TABLE)
        session.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'owner'")
        session.execute(f"ALTER TABLE item OWNER TO {role}; DROP INDEX ix_size")
        session.execute(f"GRANT CREATE ON DATABASE {database.dbname} TO {role}")
        session.execute(f"GRANT CREATE ON SCHEMA public TO {role}")
    owner = at(database, database.dbname, user=role, password="owner")
    project = begun_project(tmp_path, owner, CHANGES_SIZE)
    with in_transaction(database, application_name="the report") as report:
        report.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        report.execute("SELECT 1 FROM pg_class")
        done = project.run("upgrade", LIFTLOCK_DEADLINE="3", **ALL_TABLES_LARGE)
        assert_failed(done, "LL-SNAPSHOTS-REMAIN", 4)
    assert_succeeded(project.run("upgrade", **ALL_TABLES_LARGE))
