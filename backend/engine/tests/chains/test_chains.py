"""The chains that well-known projects ship in their wheels: the schema of plain Alembic.

Each project is installed from PyPI into an environment of its own; its `env.py` is a stock one.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from acceptance.support.databases import assert_nothing_is_left, schema_of
from helpers import ALL_TABLES_LARGE, Done, Project, at, connected, make_project

from liftlock.settings import Address

ENGINE = Path(__file__).parents[2]


@dataclass(frozen=True)
class Chain:
    """The revisions of a project.

    Parameters:
        requirement: the distribution with its exact version.
        versions: the folder of its revisions, below site-packages.
        revisions: the least number of revisions.
        more: further distributions to install.
        driver, template: the driver and the template that its revisions need.
        allow: codes to allow. All tables count as large, and some revisions drop a column,
            validate another and rename that.
    """

    requirement: str
    versions: str
    revisions: int
    more: tuple[str, ...] = ()
    driver: str = "psycopg"
    template: str = "generic"
    allow: str = ""


CHAINS = {
    "ckan": Chain("ckan==2.12.0", "ckan/migration/versions", 100),
    "argilla": Chain("argilla-server==2.8.0", "argilla_server/alembic/versions", 20),
    "datajunction": Chain(
        "datajunction-server==0.0.272", "datajunction_server/alembic/versions", 70, ("greenlet",)
    ),
    "langflow": Chain(
        "langflow-base==1.13.0", "langflow/alembic/versions", 150, allow="LL-NON-ATOMIC-REPLACE"
    ),
    "prefect": Chain(
        "prefect==3.9.1",
        "prefect/server/database/_migrations/versions/postgresql",
        110,
        ("asyncpg", "greenlet"),
        driver="asyncpg",
        template="async",
        allow="LL-NON-ATOMIC-REPLACE",
    ),
}


def installed(name: str, chain: Chain) -> Path:
    """Install a project, with this liftlock, into an environment in the user's cache."""
    cache = (
        Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "liftlock-chains" / name
    )
    python = cache / "bin" / "python"
    uv = [os.environ.get("UV", "uv")]
    if not python.exists():
        subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, str(cache)], check=True)
    wanted = [chain.requirement, *chain.more, "psycopg[binary]", "--editable", str(ENGINE)]
    subprocess.run([*uv, "pip", "install", "--quiet", "--python", str(python), *wanted], check=True)
    return cache


def project_of(name: str, folder: Path, database: Address, place: Path) -> Project:
    """Make a stock project whose revisions are the installed ones."""
    chain = CHAINS[name]
    folder.mkdir()
    project = make_project(folder, database, template=chain.template, driver=chain.driver)
    (site,) = place.glob("lib/python*/site-packages")
    ini = Path(project.ini)
    ini.write_text(
        ini.read_text().replace(
            "script_location =",
            f"version_locations = {site / chain.versions}\nscript_location =",
            1,
        )
    )
    return project


@pytest.mark.chains
@pytest.mark.parametrize("name", CHAINS)
def test_shipped_chain_matches_plain_alembic(server: Address, tmp_path: Path, name: str) -> None:
    """From base to head with the online form of everything, and back as far as Alembic gets.

    A further upgrade has nothing to do.
    """
    chain = CHAINS[name]
    place = installed(name, chain)
    projects = {}
    for program in ("alembic", "liftlock"):
        database = at(server, f"chain_{name}_{program}")
        with connected(server) as session:
            session.execute(f"DROP DATABASE IF EXISTS {database.dbname} WITH (FORCE)")
            session.execute(f"CREATE DATABASE {database.dbname}")
        projects[program] = project_of(name, tmp_path / program, database, place)

    def run(program: str, *arguments: str) -> Done:
        project = projects[program]
        command = [str(place / "bin" / program), "-c", project.ini, *arguments]
        variables = project.variables(
            LIFTLOCK_ALLOW=chain.allow, PYTHONWARNINGS="ignore", **ALL_TABLES_LARGE
        )
        return subprocess.run(
            command, cwd=project.folder, env=variables, capture_output=True, text=True, check=False
        )

    def assert_same_schema(plain: Done, *arguments: str) -> int:
        """Run liftlock as plain Alembic was run, and return the number of its revisions."""
        assert plain.returncode == 0, plain.stderr[-3000:]
        ours = run("liftlock", *arguments)
        assert ours.returncode == 0, ours.stderr[-3000:]
        schema_of_ours = schema_of(projects["liftlock"].database, any_column_order=True)
        assert schema_of_ours == schema_of(projects["alembic"].database, any_column_order=True)
        assert_nothing_is_left(projects["liftlock"].database)
        return int(ours.stdout.split("(")[1].split()[0])

    plain_upgrade = run("alembic", "upgrade", "head")
    assert assert_same_schema(plain_upgrade, "upgrade", "head") >= chain.revisions
    assert "(0 revisions run)" in run("liftlock", "upgrade", "head").stdout
    plain_downgrade = run("alembic", "downgrade", "base")
    if plain_downgrade.returncode == 0:
        assert assert_same_schema(plain_downgrade, "downgrade", "base") >= chain.revisions
        return
    # A downgrade of the project is broken, and was rolled back: go as far as the one before it.
    *finished, _ = re.findall(r"Running downgrade \S+ -> (\w+)", plain_downgrade.stderr)
    if finished:
        plain_downgrade = run("alembic", "downgrade", finished[-1])
        assert assert_same_schema(plain_downgrade, "downgrade", finished[-1]) == len(finished)
