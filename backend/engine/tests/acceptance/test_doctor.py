"""`liftlock doctor`."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from helpers import (
    Project,
    assert_succeeded,
    connected,
)


def test_doctor_of_a_healthy_project_reports_only_pending_revisions(shop: Project) -> None:
    """Before the upgrade only the pending revisions are a problem, after it nothing."""
    before = shop.run("--format", "json", "doctor")
    assert before.returncode == 1, before.stderr
    problems = [result["topic"] for result in json.loads(before.stdout) if not result["ok"]]
    assert problems == ["schema"]
    assert_succeeded(shop.run("upgrade"))
    assert_succeeded(shop.run("doctor"))


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda project: project.revision("bad", "d4", "op.execute('"), "bad.py:8"),
        (lambda project: project.revision("bad", "gone", "pass"), "LL-MISSING-PARENT"),
        (lambda project: project.revision("bad", "c3", "pass"), "LL-AMBIGUOUS-HEAD"),
        (
            lambda project: (project.versions / "copy.py").write_text(
                (project.versions / "a1_customers.py").read_text()
            ),
            "LL-DUPLICATE-REVISION",
        ),
        (
            lambda project: project.revision("bad", "d4", "pass").write_text("import nowhere\n"),
            "nowhere",
        ),
        (
            lambda project: (project.folder / "run-migrations.sh").write_text("#!/bin/sh\n"),
            "isn't executable",
        ),
        (
            lambda project: (project.folder / "docker-entrypoint.sh").write_bytes(b"#!/bin/sh\r\n"),
            "Windows line endings",
        ),
        (lambda project: (project.folder / "alembic.ini").unlink(), "LL-ALEMBIC-INI-MISSING"),
    ],
)
def test_doctor_finds_problems_of_files(
    shop: Project, damage: Callable[[Project], object], problem: str
) -> None:
    """Each problem has a remedy."""
    damage(shop)
    done = shop.run("doctor")
    assert done.returncode == 1, done.stderr
    assert problem in done.stdout
    assert "→" in done.stdout


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"POSTGRES_PORT": "1"}, "refused"),
        ({"POSTGRES_PASSWORD": "wrong"}, "wrong password"),
        ({"POSTGRES_SERVER": "nowhere.invalid"}, "no such host"),
        ({"POSTGRES_PORT": "x"}, "POSTGRES_PORT is 'x'"),
    ],
)
def test_doctor_finds_problems_of_the_address(
    shop: Project, variables: dict[str, str], problem: str
) -> None:
    """A problem of the address names its variable, without the password."""
    done = shop.run("doctor", **{**shop.database.environ(), **variables})
    assert done.returncode == 1, done.stderr
    assert problem in done.stdout


def test_doctor_finds_missing_permissions(shop: Project) -> None:
    """A role that may neither create nor alter tables."""
    with connected(shop.database) as session:
        session.execute("CREATE TABLE theirs (a int)")
        session.execute("DROP ROLE IF EXISTS weak; CREATE ROLE weak LOGIN PASSWORD 'weak'")
    weak = {"POSTGRES_USER": "weak", "POSTGRES_PASSWORD": "weak"}
    done = shop.run("doctor", **{**shop.database.environ(), **weak})
    assert done.returncode == 1, done.stderr
    for text in (
        "GRANT CREATE ON DATABASE",
        "GRANT CREATE ON SCHEMA",
        "table theirs belongs to postgres",
    ):
        assert text in done.stdout
