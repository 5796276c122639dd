"""What a revision says in its own SQL: settings, temporary tables, definitions over the connection, and what refuses a transaction."""

from __future__ import annotations

import functools
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from helpers import Project, begun_project, connected, rows, until, until_it_says

from liftlock.settings import Address

pytestmark = pytest.mark.storms
EVERY = {"LIFTLOCK_SMALL_TABLE": "0"}
SEED = """
CREATE TABLE item (id integer PRIMARY KEY, label text, size integer);
INSERT INTO item SELECT i, 'label ' || i, i FROM generate_series(1, 1000) AS i;
CREATE FUNCTION slow(integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.002); RETURN 0; END';
"""
FAILS = "op.execute('SELECT 1 / (SELECT count(*) FROM item WHERE size < 0)')"
BUILDS = "op.create_index('ix_size', 'item', ['size'])"


@pytest.fixture
def item(tmp_path: Path, database: Address, driver: str) -> Callable[[str], Project]:
    """Makes a project with a revision to run, on a table with rows."""
    with connected(database) as session:
        session.execute(SEED)

    return functools.partial(begun_project, tmp_path, database, driver=driver)


def corrected(project: Project) -> None:
    """What it stumbled over is put right."""
    with connected(project.database) as session:
        session.execute("INSERT INTO item VALUES (-1, 'x', -1)")


def resumed(project: Project) -> None:
    """It is run up to what it stumbles over, and then to its end."""
    assert project.run("upgrade", **EVERY).returncode == 5
    corrected(project)
    done = project.run("upgrade", **EVERY)
    assert done.returncode == 0, done.stderr


def not_replayable(project: Project) -> None:
    """It is run up to what it stumbles over, and refused when it is resumed."""
    assert project.run("upgrade", **EVERY).returncode == 5
    corrected(project)
    done = project.run("upgrade", **EVERY)
    assert (done.returncode, "LL-VALUES-DIFFER" in done.stderr) == (3, True), done.stderr


@pytest.mark.parametrize("way", ["op.execute({!r})", "op.get_bind().execute(sa.text({!r}))"])
def test_a_setting_holds_for_what_comes_after_it_on_another_attempt_too(
    item: Callable[[str], Project], way: str
) -> None:
    """The schema that a resumed revision works in is the one that it has named."""
    setting = way.format("SET search_path TO mine, public")
    project = item(
        f"{setting}\n{BUILDS}\n{FAILS}\nop.add_column('item', sa.Column('x', sa.Integer))"
    )
    with connected(project.database) as session:
        session.execute("CREATE SCHEMA mine CREATE TABLE item (id integer, size integer)")
        session.execute("INSERT INTO mine.item VALUES (1, 1)")
    assert project.run("upgrade", **EVERY).returncode == 5
    with connected(project.database) as session:
        session.execute("INSERT INTO mine.item VALUES (-1, -1)")
    done = project.run("upgrade", **EVERY)
    assert done.returncode == 0, done.stderr
    added = "SELECT attrelid::regclass::text FROM pg_attribute WHERE attname = 'x' AND attrelid::regclass::text LIKE '%item'"
    assert rows(project.database, added) == ["mine.item"]


def test_a_temporary_table_keeps_the_rest_in_its_transaction(
    item: Callable[[str], Project],
) -> None:
    """Also one that goes with it, after a statement that takes longer than the stall budget."""
    body = (
        "op.execute('CREATE TEMP TABLE x ON COMMIT DROP AS SELECT id, slow(id) AS y FROM item WHERE id < 100')\n"
        "op.execute('UPDATE item SET size = y FROM x WHERE x.id = item.id')"
    )
    done = item(body).run("upgrade", **EVERY)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "body",
    [
        "op.get_bind().execute(sa.text('CREATE INDEX ix_slow ON item (slow(id))'))",
        "t = sa.Table('item', sa.MetaData(), sa.Column('id'))\nsa.Index('i', sa.text('slow(id)'), _table=t).create(op.get_bind())",
    ],
)
def test_a_definition_over_the_connection_is_judged_as_any_other(
    item: Callable[[str], Project], body: str
) -> None:
    """LL-UNKNOWN-LOCKS; and where it is allowed it runs once, whatever comes after it."""
    project = item(f"{body}\n{BUILDS}\n{FAILS}")
    done = project.run("upgrade", **EVERY)
    assert (done.returncode, "LL-UNKNOWN-LOCKS" in done.stderr, "ShareLock" in done.stderr) == (
        3,
        True,
        True,
    ), done.stderr
    allowed = {"LIFTLOCK_ALLOW": "LL-UNKNOWN-LOCKS"}
    done = project.run("upgrade", **EVERY, **allowed)
    assert (done.returncode, "LL-STEP-FAILED" in done.stderr) == (5, True), done.stderr
    corrected(project)
    done = project.run("upgrade", **EVERY, **allowed)
    assert done.returncode == 0, done.stderr


def test_a_procedure_answers(item: Callable[[str], Project]) -> None:
    """Over the connection; and when the revision is resumed, it isn't called again."""
    body = "assert op.get_bind().execute(sa.text('CALL count_up(0)')).scalar() == 1"
    project = item(f"{body}\n{BUILDS}\n{FAILS}")
    with connected(project.database) as session:
        session.execute("CREATE SEQUENCE calls")
        session.execute(
            "CREATE PROCEDURE count_up(INOUT n bigint) LANGUAGE plpgsql AS 'BEGIN n := nextval(''calls''); END'"
        )
    resumed(project)
    assert rows(project.database, "SELECT last_value FROM calls") == [1]


@pytest.mark.parametrize("way", ["cursor()", "driver_connection", "dbapi_connection.cursor()"])
def test_what_is_sent_over_the_drivers_connection_is_done_once(
    item: Callable[[str], Project], way: str
) -> None:
    """No event sees it, so from there on the revision is of one transaction."""
    sends = f"op.get_bind().connection.{way}.execute(\"INSERT INTO item VALUES (-7, 'x', 7)\")"
    project = item(f"op.add_column('item', sa.Column('x', sa.Integer))\n{sends}\n{BUILDS}\n{FAILS}")
    with connected(project.database) as session:
        session.execute("ALTER TABLE item DROP CONSTRAINT item_pkey")
    resumed(project)
    assert rows(project.database, "SELECT count(*) FROM item WHERE id = -7") == [1]


@pytest.mark.parametrize(("rows_read", "kept"), [("repeat('x', 1000), i", False), ("i", True)])
def test_no_more_is_remembered_than_fits(
    item: Callable[[str], Project], rows_read: str, *, kept: bool
) -> None:
    """A revision that reads more than 8 MB is of one transaction from there on."""
    project = item(
        f'op.get_bind().execute(sa.text("SELECT {rows_read} FROM generate_series(1, 9000) AS i")).fetchall()\n{BUILDS}\n{FAILS}'
    )
    assert project.run("upgrade", **EVERY).returncode == 5
    assert rows(
        project.database,
        "SELECT to_regclass('ix_size') IS NOT NULL, count(*) > 0 FROM liftlock.answers",
    ) == [(kept, kept)]


def test_vacuum_full_is_refused(item: Callable[[str], Project]) -> None:
    """It refuses a transaction, and would be patient while all others wait."""
    project = item("with op.get_context().autocommit_block():\n    op.execute('VACUUM FULL item')")
    done = project.run("upgrade", **EVERY)
    assert (done.returncode, "LL-UNKNOWN-LOCKS" in done.stderr) == (3, True), done.stderr
    assert project.run("upgrade", LIFTLOCK_ALLOW="LL-UNKNOWN-LOCKS", **EVERY).returncode == 0


@pytest.mark.parametrize(
    "writes",
    [
        "op.bulk_insert(sa.table('item', sa.column('id'), sa.column('label')), [{'id': -%d, 'label': str(uuid.uuid4())}])",
        "op.execute(f\"INSERT INTO item VALUES (-%d, '{uuid.uuid4()}')\")",
    ],
)
def test_values_of_python_are_not_mixed(item: Callable[[str], Project], writes: str) -> None:
    """A resumed revision that would write others than those that are committed is stopped before it does."""
    project = item(f"import uuid\n{writes % 5}\n{BUILDS}\n{FAILS}\n{writes % 6}")
    not_replayable(project)
    assert rows(project.database, "SELECT id FROM item WHERE id < -1") == [-5]


def test_a_lock_is_not_waited_for_longer_because_env_py_says_so(
    item: Callable[[str], Project],
) -> None:
    """The stall budget is liftlock's."""
    project = item(
        "op.execute(\"SET lock_timeout = '60s'\")\nop.add_column('item', sa.Column('x', sa.Integer))"
    )
    env = (project.folder / "migrations" / "env.py").read_text()
    setting = "connection.exec_driver_sql(\"SET lock_timeout = '60s'\"); connection.commit()"
    project.env(
        env.replace(
            "        context.configure(\n            connection",
            f"        {setting}\n        context.configure(\n            connection",
        )
    )
    with connected(project.database) as session, session.transaction():
        session.execute("SELECT FROM item LIMIT 1")
        running = project.start("upgrade", LIFTLOCK_DEADLINE="3", **EVERY)
        waited = longest_wait(project, running)
    _, errors = running.communicate(timeout=30)
    assert (running.returncode, "LL-LOCK-REFUSED" in errors) == (4, True), errors
    assert waited < 1


def test_a_definition_behind_a_long_update_is_not_waited_for(
    item: Callable[[str], Project],
) -> None:
    """What may take its time is a statement that locks rows alone; this one is stopped where it asks for more."""
    project = item(
        "op.execute('UPDATE item SET size = slow(size); ALTER TABLE item ADD COLUMN x integer')"
    )
    with connected(project.database) as session, session.transaction():
        session.execute("SELECT FROM item LIMIT 1")
        running = project.start("upgrade", LIFTLOCK_DEADLINE="3", **EVERY)
        waited = longest_wait(project, running)
    _, errors = running.communicate(timeout=30)
    assert (running.returncode, "LL-UNKNOWN-LOCKS" in errors, "AccessExclusiveLock" in errors) == (
        3,
        True,
        True,
    ), errors
    assert waited < 1
    assert rows(project.database, "SELECT max(size) FROM item") == [1000]
    done = project.run("upgrade", LIFTLOCK_ALLOW="LL-UNKNOWN-LOCKS", **EVERY)
    assert done.returncode == 0, done.stderr


def longest_wait(project: Project, running: subprocess.Popen[str]) -> float:
    """How long a session has waited for a lock, at most, until a command ends; in seconds."""
    longest, end = 0.0, time.monotonic() + 30
    since = time.monotonic()
    while running.poll() is None and time.monotonic() < end:
        if rows(
            project.database,
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'",
        ) == [0]:
            since = time.monotonic()
        longest = max(longest, time.monotonic() - since)
        time.sleep(0.02)
    return longest


def test_an_autovacuum_gives_way(item: Callable[[str], Project]) -> None:
    """PostgreSQL lets it go on for a second, longer than a try lasts; meanwhile nobody else waits."""
    project = item("op.add_column('item', sa.Column('x', sa.Integer))")
    with connected(project.database) as session:
        session.execute("ALTER SYSTEM SET autovacuum = on")
        session.execute("ALTER SYSTEM SET autovacuum_naptime = 1")
        session.execute("SELECT pg_reload_conf()")
        storage = "autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0"
        storage += ", autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1"
        session.execute(f"ALTER TABLE item SET ({storage})")
        session.execute(
            "INSERT INTO item SELECT i, repeat('x', 500), i FROM generate_series(2000, 20000) AS i"
        )
        at_work = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'autovacuum worker' AND query LIKE '%.item%'"
        try:
            end = time.monotonic() + 120
            while not rows(project.database, at_work) and time.monotonic() < end:
                session.execute(
                    "UPDATE item SET size = size + 1"
                )  # a server may lose count of the rows
                for _ in range(50):
                    if rows(project.database, at_work):
                        break
                    time.sleep(0.1)
            assert rows(project.database, at_work)
            done = project.run("upgrade", LIFTLOCK_DEADLINE="20", **EVERY)
        finally:
            session.execute("ALTER SYSTEM RESET autovacuum")
            session.execute("ALTER SYSTEM RESET autovacuum_naptime")
            session.execute("SELECT pg_reload_conf()")
    assert done.returncode == 0, done.stderr
    assert "autovacuum" in done.stderr


@pytest.mark.parametrize(
    "change",
    [
        "op.create_index('ux', 'day', ['n', 'at'], unique=True)",
        "op.create_unique_constraint('ux', 'day', ['n', 'at'])",
    ],
)
def test_duplicates_in_a_later_partition_leave_nothing(
    item: Callable[[str], Project], change: str
) -> None:
    """And when they are corrected, the next run gets through."""
    project = item(change)
    with connected(project.database) as session:
        session.execute("CREATE TABLE day (at date, n integer) PARTITION BY RANGE (at)")
        session.execute(
            "CREATE TABLE day_1 PARTITION OF day FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')"
        )
        session.execute(
            "CREATE TABLE day_2 PARTITION OF day FOR VALUES FROM ('2021-01-01') TO ('2022-01-01')"
        )
        session.execute(
            "INSERT INTO day VALUES ('2020-02-01', 1), ('2021-02-01', 2), ('2021-02-01', 2)"
        )
    done = project.run("upgrade", **EVERY)
    assert done.returncode == 5, done.stderr
    assert rows(
        project.database, "SELECT count(*) FROM pg_index WHERE indrelid::regclass::text LIKE 'day%'"
    ) == [0]
    with connected(project.database) as session:
        session.execute("DELETE FROM day_2 WHERE ctid = '(0,1)'")
    done = project.run("upgrade", **EVERY)
    assert done.returncode == 0, done.stderr
    assert rows(
        project.database,
        "SELECT count(*) FROM pg_index WHERE indisvalid AND indrelid::regclass::text LIKE 'day%'",
    ) == [3]


def test_nulls_that_are_not_distinct_on_a_partitioned_table(item: Callable[[str], Project]) -> None:
    """Since PostgreSQL 15."""
    project = item(
        "op.create_unique_constraint('ux', 'day', ['n', 'at'], postgresql_nulls_not_distinct=True)"
    )
    with connected(project.database) as session:
        if session.info.server_version < 150000:
            pytest.skip("since PostgreSQL 15")
        session.execute("CREATE TABLE day (at date, n integer) PARTITION BY RANGE (at)")
        session.execute(
            "CREATE TABLE day_1 PARTITION OF day FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')"
        )
        session.execute("INSERT INTO day VALUES ('2020-02-01', 1)")
    done = project.run("upgrade", **EVERY)
    assert done.returncode == 0, done.stderr
    assert rows(project.database, "SELECT count(*) FROM pg_index WHERE indnullsnotdistinct") == [2]


@pytest.mark.parametrize("way", ["op.execute({!r})", "op.get_bind().execute(sa.text({!r}))"])
@pytest.mark.parametrize("begun", [False, True])
def test_a_commit_of_the_revisions_own(
    item: Callable[[str], Project], way: str, *, begun: bool
) -> None:
    """As old revisions have before what refuses a transaction; what it follows is done once, and what it precedes too."""
    statements = [
        "ALTER TABLE item ADD x integer",
        "COMMIT",
        "CREATE INDEX CONCURRENTLY ix_x ON item (x)",
    ]
    statements += ["CREATE TABLE y (a integer)"] + [
        "BEGIN",
        "INSERT INTO item VALUES (-9, 'x', 9)",
    ] * begun
    project = item("\n".join([*map(way.format, statements), FAILS]))
    resumed(project)
    assert rows(
        project.database, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_x'::regclass"
    ) == [True]
    assert rows(project.database, "SELECT count(*) FROM item WHERE id = -9") == [int(begun)]


def test_what_nobody_has_noted_isnt_committed_by_a_block(item: Callable[[str], Project]) -> None:
    """What was written within a savepoint stays in the revision's transaction, and is there once."""
    body = "with op.get_bind().begin_nested(): op.get_bind().execute(sa.text(\"INSERT INTO item VALUES (-9, 'x', 9)\"))"
    project = item(
        f"{body}\nwith op.get_context().autocommit_block(): op.execute('CREATE TABLE y (a integer)')\n{FAILS}"
    )
    resumed(project)
    assert rows(project.database, "SELECT count(*) FROM item WHERE id = -9") == [1]


UNNOTED = {
    "savepoint": "with bind.begin_nested(): bind.execute(sa.text(\"INSERT INTO item VALUES (-9, 'x', 9)\"))",
    "many": (
        "table = sa.table('item', sa.column('id', sa.Integer), sa.column('size', sa.Integer))\n"
        "bind.execute(table.insert().returning(table.c.id), [{'id': -9, 'size': 9}, {'id': -8, 'size': 8}]).all()"
    ),
    "driver": "bind.connection.cursor().execute(\"INSERT INTO item VALUES (-9, 'x', 9)\")",
    "temporary": (
        "op.execute('CREATE TEMP TABLE kept AS SELECT -9 AS id')\nop.execute(\"INSERT INTO item SELECT id, 'x', 9 FROM kept\")"
    ),
}
BLOCK = "with op.get_context().autocommit_block(): op.execute('CREATE INDEX CONCURRENTLY ix_size ON item (size)')"


@pytest.mark.parametrize("name", UNNOTED)
def test_what_nobody_has_noted_is_committed_for_what_refuses_a_transaction(
    item: Callable[[str], Project], name: str
) -> None:
    """As Alembic does; but when it is interrupted behind that, nobody goes on, for nobody knows what was done."""
    body = (
        f"bind = op.get_bind()\n{UNNOTED[name]}\n{BLOCK}\n"
        + "op.execute('DROP TABLE kept')\n" * (name == "temporary")
    )
    project = item(body)
    done = project.run("upgrade", **EVERY)
    assert done.returncode == 0, done.stderr
    assert rows(project.database, "SELECT count(*) FROM item WHERE id = -9") == [1]
    assert rows(
        project.database, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_size'::regclass"
    ) == [True]


@pytest.mark.parametrize("name", ["savepoint", "many", "driver"])
def test_what_nobody_has_noted_is_not_done_again(item: Callable[[str], Project], name: str) -> None:
    """Interrupted behind its commit, it is to be finished by hand."""
    project = item(f"bind = op.get_bind()\n{UNNOTED[name]}\n{BLOCK}\n{FAILS}")
    not_replayable(project)
    assert rows(project.database, "SELECT count(*) FROM item WHERE id = -9") == [1]
    assert project.run("stamp", "r1", program="alembic").returncode == 0
    done = project.run("upgrade", **EVERY)
    assert done.returncode == 0, done.stderr


def test_a_table_in_an_autocommit_block(item: Callable[[str], Project]) -> None:
    """With a type of its own, which comes first."""
    table = "op.create_table('mood', sa.Column('kind', sa.Enum('good', 'bad', name='kind')))"
    project = item(
        f"with op.get_context().autocommit_block():\n    {table}\n    op.drop_table('mood')\n    {table.replace('kind', 'sort')}\n{FAILS}"
    )
    resumed(project)
    assert rows(project.database, "SELECT typname FROM pg_type WHERE typtype = 'e' ORDER BY 1") == [
        "kind",
        "sort",
    ]


def test_what_a_savepoint_is_to_swallow_is_swallowed(item: Callable[[str], Project]) -> None:
    """An operation that fails within one fails there, and not behind it."""
    tries = "try:\n    with op.get_bind().begin_nested(): op.drop_constraint('missing', 'item')\nexcept sa.exc.ProgrammingError: pass"
    project = item(f"{tries}\nop.add_column('item', sa.Column('x', sa.Integer))")
    done = project.run("upgrade", **EVERY)
    assert done.returncode == 0, done.stderr
    assert rows(
        project.database,
        "SELECT count(*) FROM pg_attribute WHERE attname = 'x' AND attrelid = 'item'::regclass",
    ) == [1]


@pytest.mark.parametrize(
    "undoes", ["op.execute('ROLLBACK')", "op.execute('ABORT')", "op.get_bind().rollback()"]
)
def test_a_revision_that_rolls_itself_back_is_refused(
    item: Callable[[str], Project], undoes: str
) -> None:
    """Plain Alembic would call it applied, or forget it without a word."""
    project = item(
        f"op.add_column('item', sa.Column('x', sa.Integer))\n{undoes}\nop.execute('CREATE TABLE y (a integer)')"
    )
    done = project.run("upgrade", **EVERY)
    assert (done.returncode, "LL-REVISION-ROLLS-BACK" in done.stderr) == (3, True), done.stderr
    assert rows(
        project.database,
        "SELECT count(*) FROM pg_attribute WHERE attname = 'x' AND attrelid = 'item'::regclass",
    ) == [0]


def test_an_error_that_is_rolled_back_and_raised_again_is_told(
    item: Callable[[str], Project],
) -> None:
    """As it is: the rollback is but its consequence, and one that passes is tried again."""
    tries = (
        "try:\n    bind.execute(sa.text({!r}))\nexcept Exception:\n    bind.rollback()\n    raise"
    )
    project = item("bind = op.get_bind()\n" + tries.format("SELECT 1 / 0"))
    done = project.run("upgrade", **EVERY)
    assert (done.returncode, "division by zero" in done.stderr) == (5, True), done.stderr
    (project.versions / "r1.py").unlink()
    project.revision(
        "r2", "r0", "bind = op.get_bind()\n" + tries.format("ALTER TABLE item ADD x integer")
    )
    with connected(project.database) as session:
        session.execute("BEGIN; LOCK TABLE item")
        running = project.start("upgrade", **EVERY)
        until_it_says(running, "got no lock")
        session.execute("ROLLBACK")
        _, err = running.communicate(timeout=60)
    assert running.returncode == 0, err


def test_what_is_changed_over_another_connection_is_refused(item: Callable[[str], Project]) -> None:
    """Unless somebody allows it; what is read there isn't of interest."""
    reads = "assert other.execute(sa.text('WITH one AS (SELECT 1 AS a) SELECT a FROM one')).scalar() == 1"
    body = f"other = op.get_bind().engine.connect()\n{reads}\n"
    project = item(
        body
        + "other.execute(sa.text(\"INSERT INTO item VALUES (-9, 'x', 9)\"))\nother.commit()\nother.close()"
    )
    done = project.run("upgrade", **EVERY)
    assert (done.returncode, "LL-SECOND-CONNECTION" in done.stderr) == (3, True), done.stderr
    assert rows(project.database, "SELECT count(*) FROM item WHERE id = -9") == [0]
    done = project.run("upgrade", LIFTLOCK_ALLOW="LL-SECOND-CONNECTION", **EVERY)
    assert done.returncode == 0, done.stderr
    assert rows(project.database, "SELECT count(*) FROM item WHERE id = -9") == [1]


AWAY = {
    "trigger": ("ALTER TABLE item DISABLE TRIGGER USER", "ALTER TABLE item ENABLE TRIGGER USER"),
    "policy": (
        "ALTER TABLE item ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY p ON item USING (true)",
    ),
    "view": ("DROP VIEW v", "CREATE VIEW v AS SELECT size FROM item"),
    "default": (
        "ALTER TABLE item ALTER label DROP DEFAULT",
        "ALTER TABLE item ALTER COLUMN label SET DEFAULT 'y'",
    ),
    "table": (
        "ALTER TABLE item RENAME TO old; CREATE TABLE item AS TABLE old WITH NO DATA",
        "DROP TABLE old CASCADE",
    ),
}
SEEN = "CREATE VIEW v AS SELECT label FROM item; ALTER TABLE item ALTER label SET DEFAULT 'x'"


@pytest.mark.parametrize("name", AWAY)
def test_nobody_sees_what_lies_between(item: Callable[[str], Project], name: str) -> None:
    """What is taken away and put back is one transaction, also when the stall budget is half used up."""
    away, back = AWAY[name]
    body = [away, "SELECT pg_sleep(0.6)", "CREATE TABLE between (a integer)", back]
    project = item("\n".join(f"op.execute({one!r})" for one in body))
    with connected(project.database) as session:
        session.execute(SEEN)
        session.execute("CREATE TABLE seen (a xid8)")
        session.execute("""CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS
            'BEGIN INSERT INTO public.seen VALUES (pg_current_xact_id()); END'""")
        session.execute("CREATE EVENT TRIGGER note ON ddl_command_end EXECUTE FUNCTION note()")
    done = project.run("upgrade", LIFTLOCK_LOCK_TIMEOUT="1000", **EVERY)
    assert done.returncode == 0, done.stderr
    assert rows(project.database, "SELECT count(DISTINCT a) FROM seen") == [1]


WATCHES = "BEFORE UPDATE ON item FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()"
LABELS = (
    "op.get_bind().execute(sa.text(\"UPDATE item SET label = label || 'x' FROM pg_sleep({})\"))"
)


@pytest.mark.parametrize("name", ["trigger", "view", "default"])
@pytest.mark.parametrize("seconds", [0.6, 5])
def test_what_is_sent_over_the_connection_stands_between_too(
    item: Callable[[str], Project], name: str, seconds: float
) -> None:
    """Nobody sees it when it is quick; when it isn't it is refused, and allowed it is done between."""
    away, back = AWAY[name]
    project = item(f"op.execute({away!r})\n{LABELS.format(seconds)}\nop.execute({back!r})")
    with connected(project.database) as session:
        session.execute(SEEN)
        session.execute("CREATE TABLE seen (a xid8)")
        session.execute("""CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS
            'BEGIN INSERT INTO public.seen VALUES (pg_current_xact_id()); END'""")
        session.execute("CREATE EVENT TRIGGER note ON ddl_command_end EXECUTE FUNCTION note()")
    done = project.run("upgrade", LIFTLOCK_LOCK_TIMEOUT="1000", **EVERY)
    long = seconds > 1
    assert (done.returncode, "LL-NON-ATOMIC-REPLACE" in done.stderr) == (
        (3, True) if long else (0, False)
    ), done.stderr
    if long:
        done = project.run(
            "upgrade", LIFTLOCK_LOCK_TIMEOUT="1000", LIFTLOCK_ALLOW="LL-NON-ATOMIC-REPLACE", **EVERY
        )
        assert done.returncode == 0, done.stderr
    assert rows(project.database, "SELECT count(DISTINCT a) FROM seen") == [1 + long]
    assert rows(project.database, "SELECT DISTINCT right(label, 2) = 'xx' FROM item") == [False]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("DROP TRIGGER IF EXISTS x ON item", f"CREATE TRIGGER x {WATCHES}"),
        ("DROP VIEW IF EXISTS w", "CREATE VIEW w AS SELECT 1"),
        ("CREATE TABLE t (a integer); ALTER TABLE t RENAME TO u", "CREATE TABLE t (a integer)"),
        ("DROP TRIGGER x ON other", f"CREATE TRIGGER x {WATCHES}"),
    ],
)
def test_what_nobody_misses_may_be_far_apart(
    item: Callable[[str], Project], first: str, second: str
) -> None:
    """It wasn't there, or it is another thing."""
    project = item(f"op.execute({first!r})\n{BUILDS}\nop.execute({second!r})")
    with connected(project.database) as session:
        session.execute("CREATE TABLE other (a integer)")
        session.execute(f"CREATE TRIGGER x {WATCHES.replace('item', 'other')}")
    done = project.run("upgrade", **EVERY)
    assert done.returncode == 0, done.stderr
    assert rows(project.database, "SELECT to_regclass('ix_size')::text") == ["ix_size"]


def test_a_default_that_the_revision_made_itself_is_missed_by_nobody(
    item: Callable[[str], Project],
) -> None:
    """A column is filled by its default, which goes before a long change over the connection, though the column is committed."""
    adds = "op.add_column('item', sa.Column('token', sa.Uuid, server_default=sa.text('gen_random_uuid()')))"
    project = item(
        f"{adds}\nop.alter_column('item', 'token', server_default=None)\n{LABELS.format(5)}"
    )
    done = project.run("upgrade", LIFTLOCK_LOCK_TIMEOUT="1000", **EVERY)
    assert done.returncode == 0, done.stderr
    assert rows(project.database, "SELECT DISTINCT right(label, 1) FROM item") == ["x"]


@pytest.mark.parametrize("kind", ["VIEW", "SEQUENCE"])
def test_a_long_statement_shares_no_transaction_with_the_lock_of_a_view(
    item: Callable[[str], Project], kind: str
) -> None:
    """Whose readers would wait as those of a table do."""
    away = {"VIEW": "ALTER VIEW v RENAME size TO width", "SEQUENCE": "ALTER SEQUENCE s CACHE 5"}[
        kind
    ]
    project = item(
        f"op.execute({away!r})\nop.execute(\"UPDATE item SET label = 'y' FROM pg_sleep(5)\")"
    )
    with connected(project.database) as session, connected(project.database) as other:
        session.execute("CREATE VIEW v AS SELECT size FROM item; CREATE SEQUENCE s")
        reads = {"VIEW": "SELECT count(*) FROM v", "SEQUENCE": "SELECT nextval('s')"}[kind]
        running = project.start("upgrade", LIFTLOCK_LOCK_TIMEOUT="500", **EVERY)
        longest = 0.0
        while running.poll() is None:
            started = time.monotonic()
            other.execute(reads)
            longest = max(longest, time.monotonic() - started)
            time.sleep(0.02)
        _, err = running.communicate()
    assert running.returncode == 0, err
    assert longest < 3, "the statement itself takes five seconds"


def test_what_would_be_missing_for_long_is_refused(item: Callable[[str], Project]) -> None:
    """A build shares no transaction; allowed, it is done between."""
    away, back = AWAY["view"]
    project = item(f"op.execute({away!r})\n{BUILDS}\nop.execute({back!r})")
    with connected(project.database) as session:
        session.execute(SEEN)
    done = project.run("upgrade", **EVERY)
    assert (done.returncode, "LL-NON-ATOMIC-REPLACE" in done.stderr) == (3, True), done.stderr
    assert rows(
        project.database, "SELECT to_regclass('v')::text, to_regclass('ix_size')::text"
    ) == [("v", None)]
    done = project.run("upgrade", LIFTLOCK_ALLOW="LL-NON-ATOMIC-REPLACE", **EVERY)
    assert done.returncode == 0, done.stderr
    assert rows(
        project.database, "SELECT to_regclass('v')::text, to_regclass('ix_size')::text"
    ) == [("v", "ix_size")]


def test_rows_that_a_deferred_constraint_is_to_find_at_the_end(
    item: Callable[[str], Project],
) -> None:
    """Children first: no commit for the stall budget's sake comes between them and their parents."""
    body = [
        "INSERT INTO child VALUES (5000)",
        "SELECT pg_sleep(0.6)",
        "CREATE TABLE between (a integer)",
        "INSERT INTO item VALUES (5000)",
    ]
    project = item("\n".join(f"op.execute({one!r})" for one in body))
    with connected(project.database) as session:
        session.execute(
            "CREATE TABLE child (item integer REFERENCES item DEFERRABLE INITIALLY DEFERRED)"
        )
    done = project.run("upgrade", LIFTLOCK_LOCK_TIMEOUT="1000", **EVERY)
    assert done.returncode == 0, done.stderr
    assert rows(
        project.database, "SELECT count(*) FROM child JOIN item ON item.id = child.item"
    ) == [1]


def test_rows_that_are_wrong_up_to_the_end_share_no_transaction_with_what_takes_long(
    item: Callable[[str], Project],
) -> None:
    """It is refused by name, and nothing stays."""
    project = item(
        f"op.execute('INSERT INTO child VALUES (5000)')\n{BUILDS}\nop.execute('INSERT INTO item VALUES (5000)')"
    )
    with connected(project.database) as session:
        session.execute(
            "CREATE TABLE child (item integer REFERENCES item DEFERRABLE INITIALLY DEFERRED)"
        )
    done = project.run("upgrade", **EVERY)
    assert (
        done.returncode,
        "LL-DEFERRED-CONSTRAINT" in done.stderr,
        "child_item_fkey" in done.stderr,
    ) == (
        3,
        True,
        True,
    ), done.stderr
    assert "steps that are finished stay" not in done.stderr
    assert rows(project.database, "SELECT count(*) FROM child") == [0]
    assert rows(
        project.database, "SELECT count(*) FROM liftlock.executions WHERE finished_at IS NULL"
    ) == [0]


@pytest.mark.parametrize("role", ["SET ROLE", "SET LOCAL ROLE"])
def test_another_role_doesnt_write_the_ledger(item: Callable[[str], Project], role: str) -> None:
    """What the revision makes is the role's; also when it is resumed."""
    keeper = f"keeper_{uuid4().hex}"
    project = item(
        f"op.execute('{role} {keeper}')\nop.create_table('kept', sa.Column('a', sa.Integer))\n{BUILDS}\n{FAILS}"
    )
    with connected(project.database) as session:
        session.execute(
            f"CREATE ROLE {keeper}; ALTER TABLE item OWNER TO {keeper}; GRANT CREATE ON SCHEMA public TO {keeper}"
        )
        session.execute(f"GRANT ALL ON alembic_version TO {keeper}")
    resumed(project)
    assert rows(project.database, "SELECT tableowner FROM pg_tables WHERE tablename = 'kept'") == [
        keeper
    ]
    assert rows(
        project.database, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_size'::regclass"
    ) == [True]


PACES = "SELECT s.operation || ' ' || s.does FROM liftlock.steps AS s JOIN liftlock.executions AS e ON e.id = execution WHERE revision = 'r1'"


def test_a_table_that_takes_anothers_place_isnt_new(item: Callable[[str], Project]) -> None:
    """The application uses it by then."""
    fresh = "op.create_table('fresh', sa.Column('id', sa.Integer), sa.Column('size', sa.Integer))"
    project = item(
        f"{fresh}\nop.rename_table('item', 'old')\nop.rename_table('fresh', 'item')\n{BUILDS}"
    )
    done = project.run("upgrade", **EVERY)
    assert done.returncode == 0, done.stderr
    assert "create_index build" in rows(project.database, PACES)


def test_a_new_table_with_many_rows_is_no_small_one(item: Callable[[str], Project]) -> None:
    """A foreign key from it would keep the other table's rows from being written while they are looked at."""
    fresh = "op.create_table('fresh', sa.Column('id', sa.Integer), sa.Column('text', sa.Text))"
    filled = "op.execute(\"INSERT INTO fresh SELECT 1 + i % 1000, repeat('x', 100) FROM generate_series(1, 20000) AS i\")"
    project = item(
        f"{fresh}\n{filled}\nop.create_foreign_key('fk', 'fresh', 'item', ['id'], ['id'])"
    )
    done = project.run("upgrade", **EVERY)
    assert done.returncode == 0, done.stderr
    assert "create_foreign_key validate" in rows(project.database, PACES)


def test_a_partition_that_is_dropped_meanwhile_needs_no_index(
    item: Callable[[str], Project],
) -> None:
    """While that of another is being built."""
    project = item("op.create_index('ix_day', 'visit', ['day'])")
    with connected(project.database) as session:
        session.execute("CREATE TABLE visit (day integer) PARTITION BY LIST (day)")
        session.execute(
            "CREATE TABLE visit_1 PARTITION OF visit FOR VALUES IN (1); CREATE TABLE visit_2 PARTITION OF visit FOR VALUES IN (2)"
        )
        session.execute("INSERT INTO visit VALUES (1), (2)")
    with connected(project.database) as writer, connected(project.database) as session:
        writer.execute("BEGIN")
        writer.execute("LOCK TABLE visit_1 IN ROW EXCLUSIVE MODE")
        running = project.start("upgrade", **EVERY)
        waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'CREATE INDEX CONCURRENTLY%'"
        until(lambda: rows(project.database, waits) == [1])
        session.execute("DROP TABLE visit_2")
        writer.execute("COMMIT")
    said = running.communicate(timeout=60)
    assert running.returncode == 0, said
    assert rows(
        project.database, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_day'::regclass"
    ) == [True]


def test_a_trigger_behind_the_twins_is_named(item: Callable[[str], Project]) -> None:
    """It would change what the twin has taken already."""
    project = item("op.alter_column('item', 'size', type_=sa.BigInteger())")
    with connected(project.database) as session:
        session.execute(
            "CREATE FUNCTION twice() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.size := 2 * NEW.size; RETURN NEW; END'"
        )
        session.execute(
            'CREATE TRIGGER "~~late" BEFORE INSERT ON item FOR EACH ROW EXECUTE FUNCTION twice()'
        )
    done = project.run("upgrade", **EVERY)
    assert (done.returncode, "~~late" in done.stderr) == (3, True), done.stderr
