"""`liftlock drift`: databases that were changed by hand."""

from __future__ import annotations

import json

import pytest
from acceptance.support.raw_sql import executes
from helpers import (
    Project,
    assert_failed,
    assert_succeeded,
    at,
    connected,
    url_of,
)

pytestmark = pytest.mark.every_major


@pytest.fixture
def migrated(
    project: Project, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Project:
    """Make a project whose database is migrated."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    body = (
        'op.create_table("item", sa.Column("id", sa.Integer, primary_key=True),'
        ' sa.Column("name", sa.Text))'
    )
    project.revision("r1", None, f'{body}\nop.create_index("ix_name", "item", ["name"])')
    assert_succeeded(project.run("upgrade"))
    return project


def differences(project: Project) -> set[tuple[str, str]]:
    """Return the differences that drift finds."""
    done = project.run("--format", "json", "drift")
    assert done.returncode in {0, 1}, done.stderr
    found = {(difference["kind"], difference["what"]) for difference in json.loads(done.stdout)}
    assert bool(found) == (done.returncode == 1)
    return found


def test_migrated_database_has_no_drift(migrated: Project) -> None:
    """Grants and liftlock's own objects are no drift."""
    with connected(migrated.database) as session:
        session.execute("GRANT SELECT ON item TO PUBLIC")
    assert differences(migrated) == set()


def test_manual_changes_are_drift(migrated: Project) -> None:
    """Extra, missing and changed objects, compared by definition and not by name."""
    with connected(migrated.database) as session:
        session.execute("DROP INDEX ix_name")
        session.execute("CREATE INDEX ix_name ON item (name, id)")
        session.execute("ALTER TABLE item ADD COLUMN extra integer DEFAULT 7")
        session.execute("CREATE VIEW names AS SELECT name FROM item")
        session.execute("ALTER TABLE item ADD CONSTRAINT c CHECK (extra > 0) NOT VALID")
    found = differences(migrated)
    assert ("missing", "CREATE INDEX ix_name ON public.item USING btree (name)") in found
    assert ("extra", "CREATE INDEX ix_name ON public.item USING btree (name, id)") in found
    assert ("extra", "TABLE public.item: extra integer DEFAULT 7") in found
    assert ("half-made", "constraint c of item isn't validated") in found
    assert any(
        kind == "extra" and what.startswith("CREATE VIEW public.names") for kind, what in found
    )


MODELS = """
from sqlalchemy import Column, Integer, MetaData, Table, Text
target_metadata = MetaData()
Table(
    "item",
    target_metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text),
    Column("size", Integer),
)
"""


def test_difference_to_the_models_is_drift(migrated: Project) -> None:
    """Alembic's comparator finds it; the database is only read."""
    env = migrated.folder / "migrations" / "env.py"
    env.write_text(env.read_text().replace("target_metadata = None", MODELS))
    found = differences(migrated)
    assert {kind for kind, _ in found} == {"models"}
    assert any("add_column" in what and "size" in what for _, what in found)
    assert any("remove_index" in what for _, what in found)


def test_read_only_role_is_sufficient(migrated: Project) -> None:
    """Nothing is written."""
    with connected(migrated.database) as session:
        session.execute("DROP ROLE IF EXISTS reader")
        session.execute("CREATE ROLE reader LOGIN PASSWORD 'reader'")
        session.execute("GRANT USAGE ON SCHEMA liftlock TO reader")
        session.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public, liftlock TO reader")
    address = migrated.database
    reader = at(address, address.dbname, user="reader", password="reader")
    migrated.set_url(url_of(reader, "psycopg"))
    assert differences(migrated) == set()


def test_changed_function_body_is_drift(migrated: Project) -> None:
    """Function bodies count, and a column's line names its table."""
    function = "CREATE {}FUNCTION f() RETURNS bigint LANGUAGE sql AS $$\nSELECT {}\n$$"
    body = [
        function.format("", 1),
        "CREATE TABLE day (at date, n integer) PARTITION BY RANGE (at)",
        "CREATE TABLE deed (n integer, at date)",
    ]
    migrated.revision("r2", "r1", executes(*body))
    assert_succeeded(migrated.run("upgrade"))
    assert differences(migrated) == set()
    with connected(migrated.database) as session:
        session.execute(function.format("OR REPLACE ", 2))
        session.execute("ALTER TABLE deed ADD more text")
    found = differences(migrated)
    assert {what for kind, what in found if kind == "extra" and "TABLE" in what} == {
        "TABLE public.deed: more text"
    }
    assert any("SELECT 2" in what for kind, what in found if kind == "extra")


def test_env_py_that_writes_is_refused(migrated: Project) -> None:
    """Nothing is written, and the remedy is named."""
    migrated.before_configure(
        'connection.exec_driver_sql("CREATE SCHEMA IF NOT EXISTS ops"); connection.commit()'
    )
    assert_failed(migrated.run("drift"), "LL-ENV-FAILED", 2, mentions="only reads the database")
