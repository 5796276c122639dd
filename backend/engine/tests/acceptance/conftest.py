"""Projects on copies of a seeded database, and on tables of a few common shapes."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from acceptance.support.operations import CASES, SEED
from acceptance.support.raw_sql import ITEM_TABLE
from acceptance.support.uncommon_tables import TABLES
from helpers import (
    NOWHERE,
    PairFactory,
    Project,
    ProjectFactory,
    assert_succeeded,
    at,
    begun_project,
    connected,
    make_project,
    url_of,
)

from liftlock.check.rules import TABLES as RULE_TABLES
from liftlock.settings import Address

_numbers = itertools.count(1)
ROWS_THAT_VIOLATE = """
INSERT INTO country VALUES ('Ax', 'A');
INSERT INTO person (id, email, nick, country) VALUES
    (1, 'a@b.c', 'a', 'Ax'), (2, 'long@example.com', 'a', 'Ax'),
    (3, 'b@b.c', NULL, 'Bx'), (4, 'c@b.c', 'c', NULL);
"""
REVISION_THAT_ROWS_VIOLATE = """
op.alter_column("person", "nick", nullable=False)
op.alter_column("person", "email", type_=sa.String(10))
op.create_unique_constraint("one_nick", "person", ["nick"])
op.create_foreign_key("from_there", "person", "country", ["country"], ["code"])
"""


@pytest.fixture(scope="session")
def seeded_template(server: Address, driver: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Create a seeded database at the first revision, with a ledger, to be copied."""
    name = f"template_{os.getpid()}"
    with connected(server) as session:
        session.execute(f"CREATE DATABASE {name}")
    project = make_project(tmp_path_factory.mktemp("seed"), at(server, name), driver=driver)
    project.revision("r0", None, SEED)
    assert_succeeded(project.run("upgrade"))
    return name


@pytest.fixture
def seeded_project(
    server: Address, seeded_template: str, driver: str, tmp_path: Path
) -> Iterator[Callable[[], Project]]:
    """Make projects on copies of the seeded database, at their only revision r0."""
    names = []

    def make() -> Project:
        name = f"seeded_{os.getpid()}_{next(_numbers)}"
        with connected(server) as session:
            session.execute(f"CREATE DATABASE {name} TEMPLATE {seeded_template}")
        names.append(name)
        (tmp_path / name).mkdir()
        project = make_project(tmp_path / name, at(server, name), driver=driver)
        project.revision("r0", None, SEED)
        return project

    yield make
    with connected(server) as session:
        for name in names:
            session.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def case_project(seeded_project: Callable[[], Project]) -> ProjectFactory:
    """Make projects on copies of the seeded database, with a case as the second revision r1."""

    def make(case: str) -> Project:
        project = seeded_project()
        project.revision("r1", "r0", CASES[case].upgrade, CASES[case].downgrade)
        return project

    return make


@pytest.fixture
def project_pair(
    seeded_project: Callable[[], Project],
) -> Callable[[str, str], tuple[Project, Project]]:
    """Make a project for plain Alembic and one for liftlock, with further tables and a body."""

    def make(tables: str, body: str) -> tuple[Project, Project]:
        projects = seeded_project(), seeded_project()
        for project in projects:
            with connected(project.database) as session:
                session.execute(tables.encode())
            project.revision("r1", "r0", body.strip())
        return projects

    return make


@pytest.fixture
def uncommon_pair(
    project_pair: Callable[[str, str], tuple[Project, Project]],
) -> PairFactory:
    """Make a project for plain Alembic and one for liftlock, with the uncommon tables."""
    return functools.partial(project_pair, TABLES)


@pytest.fixture
def item_project(tmp_path: Path, database: Address, driver: str) -> ProjectFactory:
    """Make a project with a pending revision, on the table item, which has rows."""
    with connected(database) as session:
        session.execute(ITEM_TABLE)
    return functools.partial(begun_project, tmp_path, database, driver=driver)


@pytest.fixture
def backfill_project(tmp_path: Path, database: Address) -> Project:
    """Make a project with a pending backfill of the column half, on a table with 20,000 rows."""
    with connected(database) as session:
        session.execute(
            "CREATE TABLE item (id integer PRIMARY KEY, size integer NOT NULL, half integer)"
        )
        session.execute("INSERT INTO item SELECT i, i FROM generate_series(1, 20000) AS i")
        session.execute("ANALYZE item")
    project = make_project(tmp_path, database)
    project.revision("r1", None, 'op.backfill("item", set="half = size / 2", where="half IS NULL")')
    return project


@pytest.fixture
def check_project(tmp_path: Path) -> Project:
    """Make a project whose first revision creates the tables of the rules' examples.

    Its database is nowhere: checks use throwaway servers.
    """
    project = make_project(tmp_path, NOWHERE)
    project.revision("r0", None, f"op.execute('''{RULE_TABLES}''')".replace("\n", "\n    "))
    return project


@pytest.fixture
def data_project(check_project: Project, database: Address) -> tuple[Project, str]:
    """Make a project, and a database that it has migrated, whose rows violate its revision r1.

    Returns the project, and the URL of the database for a role that may only read.
    """
    check_project.revision("r1", "r0", REVISION_THAT_ROWS_VIOLATE.strip())
    with connected(database) as session:
        session.execute(RULE_TABLES)
        session.execute(ROWS_THAT_VIOLATE)
        session.execute("DROP ROLE IF EXISTS only_reader")
        session.execute("CREATE ROLE only_reader LOGIN PASSWORD 'p@ss/word'")
        session.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO only_reader")
    reader = at(database, database.dbname, user="only_reader", password="p@ss/word")
    return check_project, url_of(reader)
