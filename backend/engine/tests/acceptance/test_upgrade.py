"""`liftlock upgrade` and `downgrade` of whole projects, compared with plain Alembic."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import (
    HAS_SQLALCHEMY_2,
    Project,
    assert_failed,
    assert_refused,
    assert_succeeded,
    at,
    connected,
    dump,
    ended,
    make_project,
    rows,
    until_it_says,
)

from liftlock.settings import Address

pytestmark = pytest.mark.every_major


@pytest.mark.parametrize(
    ("template", "driver"),
    [("generic", "psycopg"), ("generic", "psycopg2"), ("async", "psycopg"), ("async", "asyncpg")],
)
def test_upgrade_and_downgrade_match_plain_alembic(
    tmp_path: Path, database: Address, server: Address, template: str, driver: str
) -> None:
    """A project with a stock env.py gets plain Alembic's schema and rows, up, down and up again."""
    other = f"{database.dbname}_plain"
    with connected(server) as session:
        session.execute(f"CREATE DATABASE {other}")
    database_of_plain = at(server, other)
    for name in ("plain", "ours"):
        (tmp_path / name).mkdir()
    plain = make_project(
        tmp_path / "plain", database_of_plain, template=template, driver=driver, revisions="shop"
    )
    ours = make_project(
        tmp_path / "ours", database, template=template, driver=driver, revisions="shop"
    )

    assert_succeeded(plain.run("upgrade", "head", program="alembic"))
    assert_succeeded(ours.run("upgrade"))
    assert dump(database) == dump(database_of_plain)
    customers = "SELECT email, mood::text, name FROM customer ORDER BY id"
    assert rows(database, customers) == rows(database_of_plain, customers)

    assert_succeeded(ours.run("downgrade", "base"))
    assert_succeeded(plain.run("downgrade", "base", program="alembic"))
    assert dump(database) == dump(database_of_plain)
    assert_succeeded(ours.run("upgrade"))
    applied = "SELECT revision FROM liftlock.revisions ORDER BY revision"
    assert rows(database, applied) == ["a1", "b2", "c3", "d4"]
    assert_succeeded(ours.run("downgrade", "-1"))
    assert rows(database, applied) == ["a1", "b2", "c3"]
    with connected(server) as session:
        session.execute(f"DROP DATABASE {other} WITH (FORCE)")


RECORDS_SETTINGS = """
seen = op.get_bind().execute(sa.text("SELECT name, setting FROM pg_settings")).mappings().all()
table = op.create_table("seen", sa.Column("name", sa.Text), sa.Column("setting", sa.Text))
op.bulk_insert(table, [dict(row) for row in seen])
"""


@pytest.mark.parametrize(
    ("template", "driver"),
    [("generic", "psycopg"), ("generic", "psycopg2"), ("async", "asyncpg"), ("generic", "pg8000")],
)
def test_session_timeouts_apply_with_every_driver(
    tmp_path: Path, database: Address, template: str, driver: str
) -> None:
    """The lock timeout is bounded.

    Other timeouts are off despite the database's settings, and sessions have a name.
    """
    project = make_project(tmp_path, database, template=template, driver=driver)
    # PostgreSQL 14 and 17 have brought the last two.
    timeouts = [
        "statement_timeout",
        "idle_in_transaction_session_timeout",
        "idle_session_timeout",
        "transaction_timeout",
    ]
    limits = rows(database, f"SELECT name FROM pg_settings WHERE name = ANY (ARRAY{timeouts})")
    with connected(database) as session:
        for name in limits:
            session.execute(f"ALTER DATABASE {database.dbname} SET {name} = '30s'")
    project.revision("r1", None, RECORDS_SETTINGS.strip())
    assert_succeeded(project.run("upgrade", LIFTLOCK_LOCK_TIMEOUT="250"))
    seen = dict(rows(database, "SELECT name, setting FROM seen"))
    assert seen["lock_timeout"] == "250"
    assert {seen[name] for name in limits} == {"0"}
    assert seen["application_name"].startswith("liftlock upgrade@")


OPERATIONS_OF_A1 = """
SELECT operation FROM liftlock.steps JOIN liftlock.executions AS e ON e.id = execution
WHERE revision = 'a1' ORDER BY position
"""


def test_ledger_lists_each_revision_once_with_its_steps(shop: Project) -> None:
    """The ledger has one run with the steps of each operation.

    A second upgrade has nothing to do.
    """
    assert_succeeded(shop.run("upgrade"))
    again = shop.run("upgrade")
    assert "nothing to do" in again.stderr
    assert rows(shop.database, "SELECT count(*) FROM liftlock.runs") == [1]
    operations = rows(shop.database, OPERATIONS_OF_A1)
    assert operations == ["create_type", "create_table", "comment", "create_index"]


def test_heads_upgrades_all_branches_and_a_merge_joins_them(project: Project) -> None:
    """`upgrade` refuses two heads, `upgrade heads` runs both; the ledger has each revision once."""
    project.revision("a", None, "op.execute('CREATE TABLE a ()')")
    project.revision("b1", "a", "op.execute('CREATE TABLE b1 ()')")
    project.revision("b2", "a", "op.execute('CREATE TABLE b2 ()')")
    refused = project.run("upgrade")
    assert_refused(refused, "LL-AMBIGUOUS-HEAD", mentions="b1")
    assert_succeeded(project.run("upgrade", "heads"))
    assert sorted(rows(project.database, "SELECT version_num FROM alembic_version")) == ["b1", "b2"]
    merge = project.versions / "m.py"
    merge.write_text(
        "revision = 'm'\ndown_revision = ('b1', 'b2')\ndef upgrade(): pass\ndef downgrade(): pass\n"
    )
    assert_succeeded(project.run("upgrade"))
    assert rows(project.database, "SELECT version_num FROM alembic_version") == ["m"]
    assert rows(project.database, "SELECT count(*) FROM liftlock.revisions") == [4]


@pytest.mark.skipif(not HAS_SQLALCHEMY_2, reason="SQLAlchemy 1.4 has no Connection.commit")
def test_statements_after_an_explicit_commit_are_committed(project: Project) -> None:
    """A revision may commit on its connection; the statements after it are not lost."""
    body = (
        "op.execute('CREATE TABLE one ()')\n"
        "op.get_bind().commit()\n"
        "op.execute('CREATE TABLE two ()')"
    )
    project.revision("r1", None, body)
    assert_succeeded(project.run("upgrade"))
    assert rows(
        project.database, "SELECT count(*) FROM pg_tables WHERE tablename IN ('one', 'two')"
    ) == [2]
    assert rows(project.database, "SELECT version_num FROM alembic_version") == ["r1"]


def test_new_schema_earlier_in_search_path_does_not_hide_the_version_table(
    project: Project,
) -> None:
    """A revision creates a schema that precedes that of the version table.

    The version table is still found.
    """
    project.revision("r1", None, "op.execute('CREATE TABLE thing (a integer)')")
    project.revision("r2", "r1", f'op.execute("CREATE SCHEMA {project.database.user}")')
    assert_succeeded(project.run("upgrade"))
    project.revision("r3", "r2", "op.execute('CREATE TABLE other (a integer)')")
    for _ in range(2):
        assert_succeeded(project.run("upgrade"))
    assert rows(project.database, "SELECT version_num FROM public.alembic_version") == ["r3"]
    assert rows(project.database, "SELECT DISTINCT version_table FROM liftlock.revisions") == [
        "public.alembic_version"
    ]


def test_enum_is_created_once_when_a_lock_timeout_repeats_the_revision(project: Project) -> None:
    """A revision that is retried after a lock timeout does not create its enum a second time."""
    project.revision("r1", None, "op.execute('CREATE TABLE busy (a int)')")
    assert_succeeded(project.run("upgrade"))
    body = (
        "op.create_table('t', sa.Column('m', sa.Enum('x', name='kind')))\n"
        "op.add_column('busy', sa.Column('b', sa.Integer))"
    )
    project.revision("r2", "r1", body)
    with connected(project.database) as session:
        session.execute("BEGIN")
        session.execute("SELECT * FROM busy")
        running = project.start("upgrade")
        until_it_says(running, "got no lock")
        session.execute("ROLLBACK")
        done = ended(running)
    assert_succeeded(done)


def test_two_revisions_that_share_an_enum_run_in_separate_processes(project: Project) -> None:
    """Alembic remembers only within a process that it has created an enum.

    The next process must find it.
    """
    column = 'sa.Column("kind", sa.Enum("a", "b", name="Kind", schema="public"))'
    for name, down in (("r1", None), ("r2", "r1")):
        project.revision(
            name,
            down,
            f'op.create_table("t_{name}", sa.Column("id", sa.Integer, primary_key=True), {column})',
        )
    assert_succeeded(project.run("upgrade", "r1"))
    assert_succeeded(project.run("upgrade"))
    assert rows(
        project.database, "SELECT count(*) FROM pg_attribute WHERE atttypid = '\"Kind\"'::regtype"
    ) == [2]


def test_existing_enum_with_other_labels_is_an_error(project: Project) -> None:
    """As with plain Alembic, a type of the same name with other labels is an error."""
    project.revision("r1", None, "op.execute(\"CREATE TYPE kind AS ENUM ('b', 'a')\")")
    project.revision(
        "r2", "r1", 'op.create_table("t", sa.Column("kind", sa.Enum("a", "b", name="kind")))'
    )
    assert_failed(
        project.run("upgrade"), "LL-STEP-FAILED", 5, mentions='type "kind" already exists'
    )


def test_version_table_that_has_a_row_twice_is_refused_before_anything_is_run(
    project: Project,
) -> None:
    """A table without a primary key may have that. The statements of the message repair it."""
    project.revision("r1", None, "pass")
    assert_succeeded(project.run("upgrade"))
    with connected(project.database) as session:
        session.execute("ALTER TABLE alembic_version DROP CONSTRAINT alembic_version_pkc")
        session.execute("INSERT INTO alembic_version VALUES ('r1')")
    assert_succeeded(project.run("upgrade"))
    project.revision("r2", "r1", "op.create_table('t', sa.Column('a', sa.Integer))")
    done = project.run("upgrade")
    assert_failed(done, "LL-VERSION-ROW-TWICE", 2, mentions="holds r1 2 times")
    assert rows(project.database, "SELECT to_regclass('t')::text") == [None]
    repair = done.stderr[done.stderr.index("DELETE FROM") : done.stderr.index("docs:")]
    with connected(project.database) as session:
        session.execute(repair)
    assert_succeeded(project.run("upgrade"))
