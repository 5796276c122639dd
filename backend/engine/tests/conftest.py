"""Fixtures of all tests: one real server, a database for each test, and projects."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import PASSWORD, Project, at, connected, make_project
from majors import VERSIONS, programs_of

from liftlock.settings import Address
from liftlock.shadow import embedded

_numbers = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--postgres 13` (run on that major version) and `--driver asyncpg` (of the projects)."""
    parser.addoption(
        "--postgres", choices=sorted(VERSIONS), help="a major version other than the wheel's"
    )
    parser.addoption(
        "--driver",
        default="psycopg",
        choices=["asyncpg", "pg8000", "psycopg", "psycopg2"],
        help="the projects' driver",
    )


@pytest.fixture(scope="session")
def server(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Address]:
    """Run a PostgreSQL server for the whole session."""
    folder = tmp_path_factory.mktemp("server")
    major = request.config.getoption("--postgres")
    if major:
        _use_major(major)
    with embedded.serve(
        folder / "data",
        PASSWORD,
        settings={"fsync": "off", "max_connections": "200", "max_prepared_transactions": "5"},
    ) as address:
        with connected(address) as session:
            assert str(session.info.server_version).startswith(major or "18")
        yield address


def _use_major(major: str) -> None:
    """Start the server with programs of another major version; pg_dump stays the wheel's."""
    programs = programs_of(major)
    patch = pytest.MonkeyPatch()
    patch.setenv("LD_LIBRARY_PATH", str(programs.parent / "lib"))
    program_of_wheel = embedded.program

    def program(name: str) -> str:
        if name in {"postgres", "initdb"}:
            return str(programs / name)
        return program_of_wheel(name)

    patch.setattr(embedded, "program", program)


@pytest.fixture
def database(server: Address) -> Iterator[Address]:
    """Create an empty database."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    with connected(server) as session:
        session.execute(f"CREATE DATABASE {name}")
    yield at(server, name)
    with connected(server) as session:
        session.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def driver(request: pytest.FixtureRequest) -> str:
    """Return the driver of the projects."""
    return str(request.config.getoption("--driver"))


@pytest.fixture
def project(tmp_path: Path, database: Address, driver: str) -> Project:
    """Make an empty project with Alembic's stock env.py."""
    return make_project(tmp_path, database, driver=driver)


@pytest.fixture
def shop(tmp_path: Path, database: Address, driver: str) -> Project:
    """Make a project with tables, an enum, rows, a backfill and a concurrent index."""
    return make_project(tmp_path, database, driver=driver, revisions="shop")


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which checks keep base states between the tests."""
    return tmp_path_factory.mktemp("cache")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker that `make test-unit` leaves out."""
    config.addinivalue_line("markers", "server: starts a PostgreSQL server")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that use the shared server; others that start one have the mark themselves."""
    for item in items:
        if isinstance(item, pytest.Function) and "server" in item.fixturenames:
            item.add_marker("server")
