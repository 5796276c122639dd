"""A real server for all tests, a database of its own for each, and projects to run on them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import PASSWORD, Project, at, connected, make_project

from liftlock.postgres import embedded
from liftlock.settings import Address

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """A PostgreSQL server for the whole session."""
    folder = tmp_path_factory.mktemp("server")
    with embedded.serve(folder / "data", PASSWORD, settings={"fsync": "off", "max_connections": "200"}) as address:
        yield address


@pytest.fixture
def database(server: Address) -> Iterator[Address]:
    """An empty database."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    with connected(server) as session:
        session.execute(f"CREATE DATABASE {name}")
    yield at(server, name)
    with connected(server) as session:
        session.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def project(tmp_path: Path, database: Address) -> Project:
    """An empty project with Alembic's stock env.py."""
    return make_project(tmp_path, database)


@pytest.fixture
def shop(tmp_path: Path, database: Address) -> Project:
    """A project with tables, an enum, rows, a backfill over the connection and a concurrent index."""
    return make_project(tmp_path, database, revisions="shop")
