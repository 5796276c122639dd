"""`liftlock drift`: a database that somebody changed by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers import Project, connected

MODELS = """
from sqlalchemy import Column, Integer, MetaData, Table, Text
target_metadata = MetaData()
Table("item", target_metadata, Column("id", Integer, primary_key=True), Column("name", Text), Column("size", Integer))
"""


@pytest.fixture
def made(
    project: Project, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Project:
    """A migrated database."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    body = 'op.create_table("item", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.Text))'
    project.revision("r1", None, f'{body}\nop.create_index("ix_name", "item", ["name"])')
    assert project.run("upgrade").returncode == 0
    return project


def differences(project: Project) -> set[tuple[str, str]]:
    """What it finds."""
    done = project.run("--format", "json", "drift")
    assert done.returncode in {0, 1}, done.stderr
    found = {(one["kind"], one["what"]) for one in json.loads(done.stdout)}
    assert bool(found) == (done.returncode == 1)
    return found


def test_what_its_revisions_make_is_no_drift(made: Project) -> None:
    """Whoever owns it, and whatever liftlock keeps in it."""
    with connected(made.database) as session:
        session.execute("GRANT SELECT ON item TO PUBLIC")
    assert differences(made) == set()


def test_what_was_changed_by_hand_is_found(made: Project) -> None:
    """More, less and other; by definition: an index of the same name on another column is another."""
    with connected(made.database) as session:
        session.execute("DROP INDEX ix_name")
        session.execute("CREATE INDEX ix_name ON item (name, id)")
        session.execute("ALTER TABLE item ADD COLUMN extra integer DEFAULT 7")
        session.execute("CREATE VIEW names AS SELECT name FROM item")
        session.execute("ALTER TABLE item ADD CONSTRAINT c CHECK (extra > 0) NOT VALID")
    found = differences(made)
    assert ("missing", "CREATE INDEX ix_name ON public.item USING btree (name)") in found
    assert ("extra", "CREATE INDEX ix_name ON public.item USING btree (name, id)") in found
    assert ("extra", "TABLE public.item: extra integer DEFAULT 7") in found
    assert ("half-made", "constraint c of item isn't proven") in found
    assert any(
        kind == "extra" and what.startswith("CREATE VIEW public.names") for kind, what in found
    )


def test_what_the_models_want_is_found(made: Project) -> None:
    """By Alembic's own comparator; and the database is only read."""
    env = made.folder / "migrations" / "env.py"
    env.write_text(env.read_text().replace("target_metadata = None", MODELS))
    found = differences(made)
    assert {kind for kind, _ in found} == {"models"}
    assert any("add_column" in what and "size" in what for _, what in found)
    assert any("remove_index" in what for _, what in found)


def test_a_role_that_may_only_read_is_enough(made: Project) -> None:
    """Nothing is written."""
    with connected(made.database) as session:
        session.execute("DROP ROLE IF EXISTS reader")
        session.execute("CREATE ROLE reader LOGIN PASSWORD 'reader'")
        session.execute("GRANT USAGE ON SCHEMA liftlock TO reader")
        session.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public, liftlock TO reader")
    ini = Path(made.ini)
    lines = ini.read_text().splitlines()
    url = f"postgresql+psycopg://reader:reader@{made.database.host}:{made.database.port}/{made.database.dbname}"
    ini.write_text(
        "\n".join(
            f"sqlalchemy.url = {url}" if line.startswith("sqlalchemy.url") else line
            for line in lines
        )
    )
    assert differences(made) == set()


def test_what_a_function_does_is_a_part_of_it(made: Project) -> None:
    """And a table's lines are told of that table, whatever stands before it."""
    function = "CREATE {}FUNCTION f() RETURNS bigint LANGUAGE sql AS $$\nSELECT {}\n$$"
    body = [
        function.format("", 1),
        "CREATE TABLE day (at date, n integer) PARTITION BY RANGE (at)",
        "CREATE TABLE deed (n integer, at date)",
    ]
    made.revision("r2", "r1", "\n".join(f"op.execute({one!r})" for one in body))
    assert made.run("upgrade").returncode == 0
    assert differences(made) == set()
    with connected(made.database) as session:
        session.execute(function.format("OR REPLACE ", 2))
        session.execute("ALTER TABLE deed ADD more text")
    found = differences(made)
    assert {what for kind, what in found if kind == "extra" and "TABLE" in what} == {
        "TABLE public.deed: more text"
    }
    assert any("SELECT 2" in what for kind, what in found if kind == "extra")


def test_an_env_py_that_writes_is_told(made: Project) -> None:
    """Nothing is written, and the remedy is named."""
    env = made.folder / "migrations" / "env.py"
    writes = 'connection.exec_driver_sql("CREATE SCHEMA IF NOT EXISTS ops"); connection.commit()\n        context'
    env.write_text(
        env.read_text().replace(
            "        context.configure(\n            connection",
            f"        {writes}.configure(\n            connection",
        )
    )
    done = made.run("drift")
    assert (done.returncode, "only reads the database" in done.stderr) == (2, True), done.stderr
