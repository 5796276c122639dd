"""Raw SQL: refused locks, temporary tables, savepoints, rollbacks, and other connections."""

from __future__ import annotations

import pytest
from acceptance.support.raw_sql import (
    BUILDS_INDEX,
    FAILS,
    correct_the_rows,
    count_items,
    executes,
    has_column,
    interrupt_and_resume,
)
from helpers import (
    ALL_TABLES_LARGE,
    PairFactory,
    Project,
    ProjectFactory,
    assert_failed,
    assert_refused,
    assert_succeeded,
    connected,
    ended,
    rows,
    until,
    until_it_says,
)

pytestmark = pytest.mark.every_major
ADDS_COLUMN = "op.add_column('item', sa.Column('x', sa.Integer))"


@pytest.mark.kills
def test_temporary_table_survives_a_slow_statement(item_project: ProjectFactory) -> None:
    """A temporary table ON COMMIT DROP keeps the rest of the revision in its transaction."""
    query = "SELECT id, slow(id) AS y FROM item WHERE id < 100"
    project = item_project(
        executes(
            f"CREATE TEMP TABLE x ON COMMIT DROP AS {query}",
            "UPDATE item SET size = y FROM x WHERE x.id = item.id",
        )
    )
    assert_succeeded(project.run("upgrade", **ALL_TABLES_LARGE))


@pytest.mark.kills
@pytest.mark.parametrize(
    "body",
    [
        "op.get_bind().execute(sa.text('CREATE INDEX ix_slow ON item (slow(id))'))",
        (
            "t = sa.Table('item', sa.MetaData(), sa.Column('id'))\n"
            "sa.Index('i', sa.text('slow(id)'), _table=t).create(op.get_bind())"
        ),
    ],
)
def test_ddl_on_the_connection_that_locks_for_long_is_refused(
    item_project: ProjectFactory, body: str
) -> None:
    """DDL over the connection is refused like any other; with an allowance it runs once."""
    project = item_project(f"{body}\n{BUILDS_INDEX}\n{FAILS}")
    assert_refused(
        project.run("upgrade", **ALL_TABLES_LARGE), "LL-UNKNOWN-LOCKS", mentions="ShareLock"
    )
    allowed = {"LIFTLOCK_ALLOW": "LL-UNKNOWN-LOCKS", **ALL_TABLES_LARGE}
    assert_failed(project.run("upgrade", **allowed), "LL-STEP-FAILED", 5)
    correct_the_rows(project)
    assert_succeeded(project.run("upgrade", **allowed))


SLOW_TABLE = '''
op.execute("""
CREATE FUNCTION slow(integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql
    AS $$BEGIN PERFORM pg_sleep(0.01); RETURN 0; END$$
""")
op.execute("CREATE TABLE t AS SELECT generate_series(1, 100) AS a")
'''


def test_raw_statement_that_locks_a_table_for_long_is_refused(project: Project) -> None:
    """The refusal names the table and its lock; with liftlock.allow in the revision it runs."""
    statement = "op.execute('CREATE INDEX ON t (slow(a))')"
    project.revision("r1", None, SLOW_TABLE.strip())
    assert_succeeded(project.run("upgrade"))
    project.revision("r2", "r1", statement)
    assert_refused(
        project.run("upgrade", **ALL_TABLES_LARGE), "LL-UNKNOWN-LOCKS", mentions="t (ShareLock)"
    )
    allow = "with liftlock.allow('LL-UNKNOWN-LOCKS', because='nobody uses it yet'):"
    project.revision("r2", "r1", f"import liftlock\n{allow}\n    {statement}")
    assert_succeeded(project.run("upgrade", **ALL_TABLES_LARGE))


@pytest.mark.kills
def test_vacuum_full_is_refused(item_project: ProjectFactory) -> None:
    """VACUUM FULL holds ACCESS EXCLUSIVE for long; with an allowance it runs."""
    project = item_project(
        "with op.get_context().autocommit_block():\n    op.execute('VACUUM FULL item')"
    )
    assert_refused(project.run("upgrade", **ALL_TABLES_LARGE), "LL-UNKNOWN-LOCKS")
    allowed = {"LIFTLOCK_ALLOW": "LL-UNKNOWN-LOCKS"}
    assert_succeeded(project.run("upgrade", **allowed, **ALL_TABLES_LARGE))


@pytest.mark.kills
def test_table_with_enum_in_an_autocommit_block(item_project: ProjectFactory) -> None:
    """An enum is created before its table, also within an autocommit block and after resumption."""
    table = "op.create_table('mood', sa.Column('kind', sa.Enum('good', 'bad', name='kind')))"
    project = item_project(f"""
with op.get_context().autocommit_block():
    {table}
    op.drop_table('mood')
    {table.replace("kind", "sort")}
{FAILS}
""")
    interrupt_and_resume(project)
    enums = "SELECT typname FROM pg_type WHERE typtype = 'e' ORDER BY 1"
    assert rows(project.database, enums) == ["kind", "sort"]


CATCHES_ERROR = """
try:
    with op.get_bind().begin_nested():
        op.drop_constraint('missing', 'item')
except sa.exc.ProgrammingError:
    pass
"""


@pytest.mark.kills
def test_error_within_a_savepoint_is_raised_there(item_project: ProjectFactory) -> None:
    """An operation that fails within a savepoint fails there, so that the revision can catch it."""
    project = item_project(CATCHES_ERROR + ADDS_COLUMN)
    assert_succeeded(project.run("upgrade", **ALL_TABLES_LARGE))
    assert has_column(project, "x")


@pytest.mark.kills
@pytest.mark.parametrize(
    "rollback", ["op.execute('ROLLBACK')", "op.execute('ABORT')", "op.get_bind().rollback()"]
)
def test_revision_that_rolls_back_is_refused(item_project: ProjectFactory, rollback: str) -> None:
    """Plain Alembic would call the revision applied, or forget it silently."""
    project = item_project(f"{ADDS_COLUMN}\n{rollback}\nop.execute('CREATE TABLE y (a integer)')")
    assert_refused(project.run("upgrade", **ALL_TABLES_LARGE), "LL-REVISION-ROLLS-BACK")
    assert not has_column(project, "x")


ROLLS_BACK_AND_RERAISES = """
bind = op.get_bind()
try:
    bind.execute(sa.text({!r}))
except Exception:
    bind.rollback()
    raise
"""


@pytest.mark.kills
def test_error_that_is_rolled_back_and_reraised_is_reported_or_retried(
    item_project: ProjectFactory,
) -> None:
    """The original error is reported; a lock timeout is retried."""
    project = item_project(ROLLS_BACK_AND_RERAISES.format("SELECT 1 / 0"))
    assert_failed(
        project.run("upgrade", **ALL_TABLES_LARGE), "LL-STEP-FAILED", 5, mentions="division by zero"
    )
    (project.versions / "r1.py").unlink()
    alters = ROLLS_BACK_AND_RERAISES.format("ALTER TABLE item ADD x integer")
    project.revision("r2", "r0", alters)
    with connected(project.database) as session:
        session.execute("BEGIN; LOCK TABLE item")
        running = project.start("upgrade", **ALL_TABLES_LARGE)
        until_it_says(running, "got no lock")
        session.execute("ROLLBACK")
        assert_succeeded(ended(running))


WRITES_ON_A_SECOND_CONNECTION = """
other = op.get_bind().engine.connect()
query = sa.text("WITH one AS (SELECT 1 AS a) SELECT a FROM one")
assert other.execute(query).scalar() == 1
other.execute(sa.text("INSERT INTO item VALUES (-9, 'x', 9)"))
other.commit()
other.close()
"""


@pytest.mark.kills
def test_writes_on_a_second_connection_are_refused(item_project: ProjectFactory) -> None:
    """Writes on a second connection need an allowance; reads do not."""
    project = item_project(WRITES_ON_A_SECOND_CONNECTION)
    assert_refused(project.run("upgrade", **ALL_TABLES_LARGE), "LL-SECOND-CONNECTION")
    assert count_items(project, -9) == 0
    allowed = {"LIFTLOCK_ALLOW": "LL-SECOND-CONNECTION"}
    assert_succeeded(project.run("upgrade", **allowed, **ALL_TABLES_LARGE))
    assert count_items(project, -9) == 1


SELECTS_FOR_UPDATE = """
bind = op.get_bind()
n = bind.execute(sa.text("SELECT n FROM stop WHERE n = 7 FOR UPDATE")).scalar()
op.add_column("country", sa.Column("x", sa.Integer))
op.execute("SELECT pg_sleep(2)")
bind.execute(sa.text("UPDATE stop SET n = :n WHERE n = 7"), {"n": n + 1000})
"""
SLEEPS_TWO_SECONDS = """
SELECT 1 FROM pg_stat_activity
WHERE query LIKE '%pg_sl' || 'eep(2)%' AND state = 'active' AND datname = current_database()
"""


@pytest.mark.kills
def test_rows_selected_for_update_stay_locked_until_they_are_written(
    uncommon_pair: PairFactory,
) -> None:
    """No commit comes between SELECT FOR UPDATE and the UPDATE."""
    _, ours = uncommon_pair(SELECTS_FOR_UPDATE)
    running = ours.start("upgrade", **ALL_TABLES_LARGE)
    with connected(ours.database) as session:
        until(
            lambda: running.poll() is not None or rows(ours.database, SLEEPS_TWO_SECONDS),
            description="the revision sleeps",
            pause=0,
        )
        session.execute("UPDATE stop SET n = n + 1 WHERE n IN (7, 1007)")
    assert_succeeded(ended(running))
    values = "SELECT n FROM stop WHERE n IN (8, 1007, 1008) ORDER BY n"
    assert rows(ours.database, values) in ([8, 1008], [8, 1007])
