"""Examples of rules that need more than one revision: git, models, the chain, rows."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from helpers import PASSWORD, Project, connected, make_project
from sqlalchemy.engine import URL

from liftlock.check.rules import (
    TABLES,
    edited_after_merge,
    models_differ,
    no_offline_sql,
    rows_not_checked,
    rows_violate,
)
from liftlock.check.rules.rule import Example, FindingType
from liftlock.settings import Address

pytestmark = pytest.mark.rules
NOWHERE = Address(host="nowhere.invalid", port="1", user="nobody", password=PASSWORD, dbname="none")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose first revision creates the tables of the examples."""
    made = make_project(tmp_path, NOWHERE)
    made.revision("r0", None, f"op.execute('''{TABLES}''')".replace("\n", "\n    "))
    return made


def cases(rule: FindingType) -> list[tuple[Example, bool]]:
    """Return both examples of a rule, each with whether it has the finding."""
    return [(rule.bad, True), (rule.good, False)]


def codes(project: Project, cache: Path, *arguments: str, **variables: str) -> set[str]:
    """Check the project and return the codes of the findings."""
    done = project.run(
        "--format", "json", "check", *arguments, XDG_CACHE_HOME=str(cache), **variables
    )
    assert done.returncode in {0, 1}, done.stderr
    return {finding["code"] for finding in json.loads(done.stdout)["findings"]}


def git(folder: Path, *arguments: str) -> None:
    """Run git in a folder."""
    author = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    command = ["git", "-C", str(folder), *author, *arguments]
    subprocess.run(command, check=True, capture_output=True)


@pytest.mark.parametrize(("example", "bad"), cases(edited_after_merge.RULE))
def test_edited_after_merge(project: Project, cache: Path, example: Example, *, bad: bool) -> None:
    """The main branch has another text of the revision."""
    project.revision("r1", "r0", example.merged, example.downgrade)
    git(project.folder, "init", "-q", "-b", "main")
    git(project.folder, "add", ".")
    git(project.folder, "commit", "-qm", "merge")
    git(project.folder, "checkout", "-qb", "branch")
    project.revision("r1", "r0", example.upgrade, example.downgrade)
    assert (edited_after_merge.RULE.code in codes(project, cache)) is bad


@pytest.mark.parametrize(("example", "bad"), cases(models_differ.RULE))
def test_models_differ(project: Project, cache: Path, example: Example, *, bad: bool) -> None:
    """The project's own tables besides the one of the example aren't compared."""
    project.revision("r0", None, "pass")
    project.revision("r1", "r0", example.upgrade, example.downgrade)
    (project.folder / "models.py").write_text(example.models)
    env = project.folder / "migrations" / "env.py"
    models = f"import sys\nsys.path.insert(0, {str(project.folder)!r})\n"
    models += "from models import target_metadata"
    env.write_text(env.read_text().replace("target_metadata = None", models))
    assert (models_differ.RULE.code in codes(project, cache, "--chain")) is bad


@pytest.mark.parametrize(("example", "bad"), cases(no_offline_sql.RULE))
def test_no_offline_sql(project: Project, cache: Path, example: Example, *, bad: bool) -> None:
    """The chain is rendered with ``--chain``."""
    project.revision("r1", "r0", example.upgrade, example.downgrade)
    assert (no_offline_sql.RULE.code in codes(project, cache, "--chain")) is bad


@pytest.mark.parametrize(("example", "bad"), cases(rows_not_checked.RULE))
def test_rows_not_checked(project: Project, cache: Path, example: Example, *, bad: bool) -> None:
    """No real database is named."""
    project.revision("r1", "r0", example.upgrade, example.downgrade)
    assert (rows_not_checked.RULE.code in codes(project, cache, "r1")) is bad


@pytest.mark.parametrize(("example", "bad"), cases(rows_violate.RULE))
def test_rows_violate(
    project: Project, database: Address, cache: Path, example: Example, *, bad: bool
) -> None:
    """The real database has the example's rows."""
    with connected(database) as session:
        session.execute(TABLES)
        session.execute(example.rows.encode())
    url = URL.create(
        "postgresql",
        database.user,
        database.password,
        database.host,
        int(database.port),
        database.dbname,
    ).render_as_string(hide_password=False)
    project.revision("r1", "r0", example.upgrade, example.downgrade)
    found = codes(project, cache, "r1", LIFTLOCK_DATA_URL=url)
    assert (rows_violate.RULE.code in found) is bad
