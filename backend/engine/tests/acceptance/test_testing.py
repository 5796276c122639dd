"""The fixtures that a project's own tests use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from helpers import PASSWORD, Project, make_project

from liftlock.settings import Address

TESTS = """
import sqlalchemy as sa
from liftlock.testing import told

def test_chain(liftlock_chain):
    assert liftlock_chain.ok, told(liftlock_chain)

def insert(url):
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO item VALUES (1)"))

def test_one(liftlock_database):
    insert(liftlock_database)

def test_another(liftlock_database):
    insert(liftlock_database)
"""


def pytest_of(project: Project, cache: Path) -> subprocess.CompletedProcess[str]:
    """Run the project's own tests."""
    variables = project.variables(XDG_CACHE_HOME=str(cache), ALEMBIC_CONFIG=project.ini)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    return subprocess.run(command, cwd=project.folder, env=variables, capture_output=True, text=True, timeout=120, check=False)


def test_a_project_tests_its_chain_and_gets_a_database_for_each_test(tmp_path: Path) -> None:
    """A sound chain passes; a downgrade that is missing fails with the finding."""
    project = make_project(tmp_path, Address(host="nowhere.invalid", port="1", user="x", password=PASSWORD, dbname="x"))
    project.revision("r1", None, 'op.create_table("item", sa.Column("id", sa.Integer, primary_key=True))', 'op.drop_table("item")')
    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "conftest.py").write_text('pytest_plugins = ["liftlock.testing"]\n')
    (tests / "test_it.py").write_text(TESTS)
    done = pytest_of(project, tmp_path / "cache")
    assert "3 passed" in done.stdout, done.stdout + done.stderr
    project.revision("r2", "r1", 'op.add_column("item", sa.Column("x", sa.Integer))')
    done = pytest_of(project, tmp_path / "cache")
    assert "1 failed, 2 passed" in done.stdout, done.stdout + done.stderr
    assert "LL-NO-WAY-BACK" in done.stdout
