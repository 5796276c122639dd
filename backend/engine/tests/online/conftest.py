"""Projects on copies of a seeded database."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers import Project, at, connected, make_project
from online.operations import CASES, SEED

from liftlock.settings import Address

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def template(server: Address, driver: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A seeded database at the first revision, with a ledger."""
    name = f"template_{os.getpid()}"
    with connected(server) as session:
        session.execute(f"CREATE DATABASE {name}")
    project = make_project(tmp_path_factory.mktemp("seed"), at(server, name), driver=driver)
    project.revision("r0", None, SEED)
    done = project.run("upgrade")
    assert done.returncode == 0, done.stderr
    return name


@pytest.fixture
def fresh(
    server: Address, template: str, driver: str, tmp_path: Path
) -> Iterator[Callable[[str], Project]]:
    """Makes projects on copies of the seeded database, with the case as their second revision."""
    names = []

    def make(case: str) -> Project:
        name = f"online_{os.getpid()}_{next(_numbers)}"
        with connected(server) as session:
            session.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        names.append(name)
        (tmp_path / name).mkdir()
        project = make_project(tmp_path / name, at(server, name), driver=driver)
        project.revision("r0", None, SEED)
        project.revision("r1", "r0", CASES[case].up, CASES[case].down)
        return project

    yield make
    with connected(server) as session:
        for name in names:
            session.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def pair(fresh: Callable[[str], Project]) -> Callable[[str, str], tuple[Project, Project]]:
    """Makes a project to run with plain Alembic, and one to run with liftlock, with further tables and a second revision."""

    def make(tables: str, body: str) -> tuple[Project, Project]:
        projects = fresh("drop_index"), fresh("drop_index")
        for one in projects:
            with connected(one.database) as session:
                session.execute(tables.encode())
            one.revision("r1", "r0", body.strip())
        return projects

    return make
