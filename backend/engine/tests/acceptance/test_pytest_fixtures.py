"""The pytest fixtures of liftlock.testing in a project's own tests."""

from __future__ import annotations

import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import (
    PASSWORD,
    Done,
    Project,
    connected,
    make_project,
    rows,
    url_of,
)

from liftlock.settings import Address

TESTS = """
import sqlalchemy as sa
from liftlock.testing import describe

def test_chain(liftlock_chain):
    assert liftlock_chain.ok, describe(liftlock_chain)

def insert(url):
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO item VALUES (1)"))

def test_one(liftlock_database):
    insert(liftlock_database)

def test_another(liftlock_database):
    insert(liftlock_database)
"""


def pytest_of(project: Project, cache: Path, **more: str) -> Done:
    """Run the project's own tests."""
    variables = project.variables(XDG_CACHE_HOME=str(cache), ALEMBIC_CONFIG=project.ini, **more)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."]
    return subprocess.run(
        command,
        cwd=project.folder,
        env=variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_fixtures_check_the_chain_and_provide_databases(tmp_path: Path) -> None:
    """A sound chain passes.

    A missing downgrade fails with its finding; each test has its own database.
    """
    project = make_project(
        tmp_path, Address(host="nowhere.invalid", port="1", user="x", password=PASSWORD, dbname="x")
    )
    project.revision(
        "r1",
        None,
        'op.create_table("item", sa.Column("id", sa.Integer, primary_key=True))',
        'op.drop_table("item")',
    )
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["liftlock.testing"]\n')
    (tmp_path / "test_it.py").write_text(TESTS)
    done = pytest_of(project, tmp_path / "cache")
    assert "3 passed" in done.stdout, done.stdout + done.stderr
    project.revision("r2", "r1", 'op.add_column("item", sa.Column("x", sa.Integer))')
    done = pytest_of(project, tmp_path / "cache")
    assert "1 failed, 2 passed" in done.stdout, done.stdout + done.stderr
    assert "LL-NO-DOWNGRADE" in done.stdout


@pytest.mark.every_major
def test_fixtures_use_another_server_if_configured(tmp_path: Path, database: Address) -> None:
    """A server that has a role the embedded one lacks; no database stays there."""
    project = make_project(
        tmp_path, Address(host="nowhere.invalid", port="1", user="x", password=PASSWORD, dbname="x")
    )
    role = f"only_there_{secrets.token_hex(4)}"
    made = (
        'op.create_table("item", sa.Column("id", sa.Integer, primary_key=True))\n'
        f'op.execute("GRANT ALL ON item TO {role}")'
    )
    project.revision("r1", None, made, 'op.drop_table("item")')
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["liftlock.testing"]\n')
    (tmp_path / "test_it.py").write_text(TESTS)
    url = url_of(database)
    with connected(database) as session:
        session.execute(f"CREATE ROLE {role}".encode())
    before = rows(database, "SELECT count(*) FROM pg_database")
    assert "passed" not in pytest_of(project, tmp_path / "cache").stdout
    done = pytest_of(project, tmp_path / "cache", LIFTLOCK_SHADOW_URL=url)
    assert "3 passed" in done.stdout, done.stdout + done.stderr
    assert rows(database, "SELECT count(*) FROM pg_database") == before
    with connected(database) as session:
        session.execute(f"DROP ROLE {role}".encode())
