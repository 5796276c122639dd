"""Settings of a database that change how values are read and written: no command minds them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from acceptance.support.slow_revisions import WAITS_FOR_THE_TEST, held, until_it_waits
from helpers import (
    ALL_TABLES_LARGE,
    Project,
    assert_succeeded,
    at,
    connected,
    ended,
    make_project,
    rows,
    until_it_says,
)

from liftlock.settings import Address

pytestmark = pytest.mark.every_major
SETTINGS = {
    "DateStyle": ("SQL, DMY", "German", "Postgres, MDY"),
    "IntervalStyle": ("sql_standard", "iso_8601"),
    "TimeZone": ("Asia/Kathmandu",),
    "bytea_output": ("escape",),
    "default_transaction_isolation": ("serializable", "repeatable read"),
    "extra_float_digits": ("-15", "0"),
    "search_path": ("''", "missing"),
    "standard_conforming_strings": ("off",),
    "statement_timeout": ("10s",),
}
CREATES = (
    "op.create_table('item', sa.Column('id', sa.Integer, primary_key=True),"
    " sa.Column('size', sa.Integer, server_default='7'), sa.Column('label', sa.Text),"
    " schema='public')\n"
    "op.execute(\"INSERT INTO public.item (label) VALUES ('it''s 100% \\\\\\\\')\")"
)
CHANGES = """
op.alter_column("item", "size", type_=sa.BigInteger(), schema="public")
op.create_index("ix_label", "item", ["label"], unique=True, schema="public")
op.add_column("item", sa.Column("at", sa.DateTime(), server_default=sa.text("clock_timestamp()"),
    nullable=False), schema="public")
op.backfill("item", set="label = label || '-'", where="label NOT LIKE '%-'", schema="public")
"""
REVERTS = """
op.drop_column("item", "at", schema="public")
op.drop_index("ix_label", schema="public")
op.alter_column("item", "size", type_=sa.Integer(), schema="public")
"""


def run_all_commands(project: Project) -> None:
    """Run each command that uses the database, up and down."""
    project.env(
        (project.folder / "migrations" / "env.py")
        .read_text()
        .replace("connection=connection,", 'connection=connection, version_table_schema="public",')
    )
    project.revision("r1", None, CREATES, "op.drop_table('item', schema='public')")
    project.revision("r2", "r1", CHANGES, REVERTS)
    assert project.run("status").returncode == 1
    assert_succeeded(project.run("upgrade", "r1"))
    assert_succeeded(project.run("plan"))
    assert_succeeded(project.run("upgrade", **ALL_TABLES_LARGE))
    assert_succeeded(project.run("status"))
    assert project.run("backfill").returncode == 1
    assert_succeeded(project.run("exec", "--", "true"))
    assert rows(project.database, "SELECT right(label, 1) = '-' FROM public.item") == [True]
    assert_succeeded(project.run("downgrade", "base", **ALL_TABLES_LARGE))
    assert rows(project.database, "SELECT to_regclass('public.item') IS NULL") == [True]


def wait_for_each_other(project: Project) -> None:
    """Run two commands at once: the second one reads when the first one's session began."""
    project.revision("r3", "r2", WAITS_FOR_THE_TEST)
    with held(project.database):
        first = project.start("upgrade")
        until_it_waits(project.database)
        second = project.start("upgrade")
        until_it_says(second, "waiting for another run")
    assert_succeeded(ended(first))
    assert_succeeded(ended(second))


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in SETTINGS.items() for value in values]
)
def test_commands_under_a_setting_of_the_database(project: Project, name: str, value: str) -> None:
    """Plain Alembic runs there, so liftlock does."""
    with connected(project.database) as session:
        given = value if name == "search_path" else f"'{value}'"
        session.execute(f"ALTER DATABASE {project.database.dbname} SET {name} = {given}")
    run_all_commands(project)
    if name == "DateStyle":
        wait_for_each_other(project)


@pytest.fixture
def ascii_database(server: Address, database: Address) -> Iterator[Address]:
    """A database whose encoding is none."""
    name = f"ascii_{database.dbname}"
    with connected(server) as session:
        session.execute(
            f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'"
        )
    yield at(server, name)
    with connected(server) as session:
        session.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize("driver_of_project", ["psycopg2", "pg8000", "asyncpg"])
def test_commands_in_a_database_without_an_encoding(
    tmp_path: Path, ascii_database: Address, driver_of_project: str
) -> None:
    """Psycopg 3 returns bytes there, also to plain Alembic, which can't compare them."""
    run_all_commands(make_project(tmp_path, ascii_database, driver=driver_of_project))
