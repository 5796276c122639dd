"""Revisions that are begun and not finished: what is refused until they are, and what is told meanwhile."""

from __future__ import annotations

import pytest
from helpers import Project, connected, rows

EVERY = {"LIFTLOCK_SMALL_TABLE": "0"}
HALF = "op.create_index('ix_a', 't', ['a'])\nop.execute('SELECT 1 / (SELECT count(*) FROM t WHERE a < 0)')"


@pytest.fixture
def begun(project: Project) -> Project:
    """A revision whose index is made, and whose next statement fails."""
    project.revision(
        "r1",
        None,
        "op.create_table('t', sa.Column('a', sa.Integer))\nop.execute('INSERT INTO t VALUES (1)')",
    )
    assert project.run("upgrade").returncode == 0
    project.revision("r2", "r1", HALF)
    done = project.run("upgrade", **EVERY)
    assert done.returncode == 5, done.stderr
    assert "resumed after them by the next run" in done.stderr
    return project


def test_status_tells_of_it(begun: Project) -> None:
    """And the next run goes on, when what it stumbled over is corrected."""
    assert "The upgrade of r2 was begun and isn't finished" in begun.run("status").stdout
    with connected(begun.database) as session:
        session.execute("INSERT INTO t VALUES (-1)")
    assert begun.run("upgrade", **EVERY).returncode == 0
    assert "isn't finished" not in begun.run("status").stdout


def test_a_file_that_has_changed_since_is_refused(begun: Project) -> None:
    """LL-FILE-CHANGED, unless the operator allows it."""
    begun.revision("r2", "r1", HALF.replace("a < 0", "a > 0"))
    done = begun.run("upgrade", **EVERY)
    assert (done.returncode, "LL-FILE-CHANGED" in done.stderr) == (3, True), done.stderr
    assert begun.run("upgrade", LIFTLOCK_ALLOW="LL-FILE-CHANGED", **EVERY).returncode == 0
    assert rows(begun.database, "SELECT version_num FROM alembic_version") == ["r2"]


def test_another_revision_is_refused(begun: Project) -> None:
    """LL-OTHER-REVISION-UNFINISHED: the schema is between two revisions."""
    done = begun.run("downgrade", "base", **EVERY)
    assert (done.returncode, "LL-OTHER-REVISION-UNFINISHED" in done.stderr) == (3, True), (
        done.stderr
    )
    assert "liftlock upgrade r2" in done.stderr


@pytest.mark.parametrize("baked", [False, True], ids=["without a manifest", "with a manifest"])
def test_exec_does_not_start_on_a_downgrade_that_is_not_finished(
    project: Project, *, baked: bool
) -> None:
    """The version row is still at head; what the build needs is partly gone."""
    project.revision(
        "r1",
        None,
        "op.create_table('t', sa.Column('a', sa.Integer))\nop.execute('INSERT INTO t VALUES (1)')",
        HALF,
    )
    assert project.run("upgrade").returncode == 0
    if baked:
        assert project.run("bake").returncode == 0
    variables = project.database.environ() | {"ALEMBIC_CONFIG": project.ini}
    assert project.run("exec", "--", "true", **variables).returncode == 0
    assert project.run("downgrade", "-1", **EVERY).returncode == 5
    done = project.run("exec", "--", "true", **variables)
    assert (done.returncode, "The downgrade of r1 was begun and isn't finished" in done.stderr) == (
        4,
        True,
    ), done.stderr


def test_a_raw_statement_that_holds_a_table_for_long_is_refused(project: Project) -> None:
    """LL-UNKNOWN-LOCKS, with the table and its lock; by the revision's own reason it runs."""
    statement = "op.execute('CREATE INDEX ON t (slow(a))')"
    slow = "CREATE FUNCTION slow(integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS ''BEGIN PERFORM pg_sleep(0.01); RETURN 0; END''"
    seed = f"op.execute(\"{slow.replace(chr(39) * 2, '$$')}\")\nop.execute('CREATE TABLE t AS SELECT generate_series(1, 100) AS a')"
    project.revision("r1", None, seed)
    assert project.run("upgrade").returncode == 0
    project.revision("r2", "r1", statement)
    done = project.run("upgrade", **EVERY)
    assert (done.returncode, "LL-UNKNOWN-LOCKS" in done.stderr, "t (ShareLock)" in done.stderr) == (
        3,
        True,
        True,
    ), done.stderr
    allowed = f"import liftlock\nwith liftlock.allow('LL-UNKNOWN-LOCKS', because='nobody uses it yet'):\n    {statement}"
    project.revision("r2", "r1", allowed)
    done = project.run("upgrade", **EVERY)
    assert done.returncode == 0, done.stderr


def test_two_revisions_with_one_enum_may_be_run_by_two_processes(project: Project) -> None:
    """Within one process Alembic remembers that the first made it; a run that is killed in between must not depend on that."""
    column = 'sa.Column("kind", sa.Enum("a", "b", name="Kind", schema="public"))'
    for name, down in (("r1", None), ("r2", "r1")):
        project.revision(
            name,
            down,
            f'op.create_table("t_{name}", sa.Column("id", sa.Integer, primary_key=True), {column})',
        )
    assert project.run("upgrade", "r1").returncode == 0
    done = project.run("upgrade")
    assert done.returncode == 0, done.stderr
    assert rows(
        project.database, "SELECT count(*) FROM pg_attribute WHERE atttypid = '\"Kind\"'::regtype"
    ) == [2]


def test_an_enum_of_other_labels_is_not_taken_for_the_same(project: Project) -> None:
    """As with plain Alembic: there is one of that name already."""
    project.revision("r1", None, "op.execute(\"CREATE TYPE kind AS ENUM ('b', 'a')\")")
    project.revision(
        "r2", "r1", 'op.create_table("t", sa.Column("kind", sa.Enum("a", "b", name="kind")))'
    )
    done = project.run("upgrade")
    assert (done.returncode, 'type "kind" already exists' in done.stderr) == (5, True), done.stderr


def test_an_engine_that_commits_each_statement_is_made_transactional(project: Project) -> None:
    """Else a step and its row in the ledger would be two things; plain Alembic runs on such an engine too."""
    env = project.folder / "migrations" / "env.py"
    env.write_text(
        env.read_text().replace(
            "poolclass=pool.NullPool,", 'poolclass=pool.NullPool, isolation_level="AUTOCOMMIT",'
        )
    )
    project.revision(
        "r1",
        None,
        "op.create_table('t', sa.Column('a', sa.Integer))\nop.execute('INSERT INTO t VALUES (1)')",
    )
    assert project.run("upgrade").returncode == 0
    body = "op.create_check_constraint('c', 't', 'a > 0')\nop.add_column('t', sa.Column('b', sa.Integer))\nop.execute('SELECT 1 / 0')"
    project.revision("r2", "r1", body)
    done = project.run("upgrade", LIFTLOCK_SMALL_TABLE="0")
    assert (done.returncode, "division by zero" in done.stderr) == (5, True), done.stderr
    assert rows(
        project.database,
        "SELECT count(*) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'b'",
    ) == [0]
    project.revision("r2", "r1", body.replace("1 / 0", "1"))
    assert (
        project.run(
            "upgrade", LIFTLOCK_SMALL_TABLE="0", LIFTLOCK_ALLOW="LL-FILE-CHANGED"
        ).returncode
        == 0
    )
    assert rows(project.database, "SELECT convalidated FROM pg_constraint WHERE conname = 'c'") == [
        True
    ]
