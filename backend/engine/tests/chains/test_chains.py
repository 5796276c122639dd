"""The chains that well-known projects ship in their wheels, by Alembic and by liftlock: the same schema, names included.

Each project is installed from PyPI into an environment of its own, with what it needs; its `env.py` is a stock one.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from helpers import Project, at, connected, make_project
from online.storms import catalog, nothing_is_left

from liftlock.settings import Address

ENGINE = Path(__file__).parents[2]


@dataclass(frozen=True)
class Chain:
    """A project's chain.

    Parameters:
        requirement: the distribution, by its exact version.
        versions: where its revisions are, below site-packages.
        revisions: how many there are at least.
        more: what must be installed besides it.
        driver, template: how its revisions want to be run.
        allow: what is refused on large tables, as which all are treated here: some drop a column, prove another, and rename that.
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
    """The environment that the project is installed in, kept in the user's cache; liftlock is this one."""
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
    """A stock project whose revisions are the installed ones."""
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
def test_same_schema(server: Address, tmp_path: Path, name: str) -> None:
    """From empty to head, and back as far as Alembic itself gets, in the online form of everything; a further run has nothing to do."""
    chain = CHAINS[name]
    place = installed(name, chain)
    projects = {}
    for program in ("alembic", "liftlock"):
        database = at(server, f"chain_{name}_{program}")
        with connected(server) as session:
            session.execute(f"DROP DATABASE IF EXISTS {database.dbname} WITH (FORCE)")
            session.execute(f"CREATE DATABASE {database.dbname}")
        projects[program] = project_of(name, tmp_path / program, database, place)

    def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        project = projects[program]
        command = [str(place / "bin" / program), "-c", project.ini, *arguments]
        variables = project.variables(
            LIFTLOCK_SMALL_TABLE="0", LIFTLOCK_ALLOW=chain.allow, PYTHONWARNINGS="ignore"
        )
        return subprocess.run(
            command, cwd=project.folder, env=variables, capture_output=True, text=True, check=False
        )

    def compare(plain: subprocess.CompletedProcess[str], *arguments: str) -> int:
        assert plain.returncode == 0, plain.stderr[-3000:]
        ours = run("liftlock", *arguments)
        assert ours.returncode == 0, ours.stderr[-3000:]
        assert catalog(projects["liftlock"].database, moved=True) == catalog(
            projects["alembic"].database, moved=True
        )
        nothing_is_left(projects["liftlock"].database)
        return int(ours.stdout.split("(")[1].split()[0])

    assert compare(run("alembic", "upgrade", "head"), "upgrade", "head") >= chain.revisions
    assert "(0 revisions run)" in run("liftlock", "upgrade", "head").stdout
    down = run("alembic", "downgrade", "base")
    if down.returncode == 0:
        assert compare(down, "downgrade", "base") >= chain.revisions
        return
    *done, _ = re.findall(
        r"Running downgrade \S+ -> (\w+)", down.stderr
    )  # the way back is broken there, and is rolled back
    if done:
        assert compare(run("alembic", "downgrade", done[-1]), "downgrade", done[-1]) == len(done)
