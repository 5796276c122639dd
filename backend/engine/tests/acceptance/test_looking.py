"""The commands that only look: wait, status, plan, doctor; and bake, which touches only its own server."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import pytest
from helpers import Project, connected, dump, rows
from sqlalchemy.engine import URL

from liftlock.model.manifest import Manifest


def test_wait_says_that_the_database_is_ready(project: Project) -> None:
    """The address comes from the ini when the environment has none."""
    done = project.run("wait")
    assert (done.returncode, "is ready" in done.stdout) == (0, True)


def test_wait_without_any_address(project: Project) -> None:
    """Says which variables to set."""
    Path(project.ini).write_text("[alembic]\nscript_location = migrations\n")
    done = project.run("wait")
    assert (done.returncode, "POSTGRES_SERVER" in done.stderr) == (2, True)


def test_status_answers_by_its_exit_code(shop: Project) -> None:
    """1 while revisions are pending, 0 afterwards; it creates nothing."""
    before = dump(shop.database)
    done = shop.run("--format", "json", "status")
    assert done.returncode == 1
    assert sorted(json.loads(done.stdout)["pending"]) == ["a1", "b2", "c3", "d4"]
    assert dump(shop.database) == before
    assert shop.run("upgrade").returncode == 0
    done = shop.run("--format", "json", "status")
    told = json.loads(done.stdout)
    assert (done.returncode, told["standing"], [row["revision"] for row in told["applied"]]) == (
        0,
        "at head",
        ["a1", "b2", "c3", "d4"],
    )


def test_plan_shows_each_operation_as_a_step_and_changes_nothing(shop: Project) -> None:
    """A revision that reads the connection is shown up to where it asks."""
    before = dump(shop.database)
    done = shop.run("--format", "json", "plan")
    assert done.returncode == 0, done.stderr
    assert dump(shop.database) == before
    a1, b2, c3, d4 = json.loads(done.stdout)
    assert [one["operation"] for one in a1["operations"]] == [
        "create_type",
        "create_table",
        "comment",
        "create_index",
    ]
    assert [one["operation"] for one in b2["operations"]] == [
        "create_table",
        "bulk_insert",
        "add_column",
        "create_check_constraint",
    ]
    assert (c3["asks_database"], [one["operation"] for one in c3["operations"]]) == (
        True,
        ["add_column"],
    )
    assert [one["operation"] for one in d4["operations"]] == ["create_index"]
    text = shop.run("plan").stdout
    assert "ALTER TABLE customer ADD COLUMN name TEXT" in text
    assert "depends on what the database answers" in text
    assert shop.run("upgrade", "b2").returncode == 0
    c3, d4 = json.loads(shop.run("--format", "json", "plan").stdout)
    assert [c3["operations"][0][name] for name in ("bytes", "line")] == [16384, 11]
    assert c3["operations"][0]["steps"][0]["lock"] == "ACCESS EXCLUSIVE"
    assert d4["operations"][0]["steps"][0]["pace"] == "online"
    assert c3["operations"][0]["steps"][0]["estimate_seconds"] == 0


def test_plan_of_nothing(shop: Project) -> None:
    """After an upgrade."""
    assert shop.run("upgrade").returncode == 0
    assert shop.run("plan").stdout == "Nothing is pending.\n"


def test_doctor_of_a_healthy_project(shop: Project) -> None:
    """All well but the pending revisions; well after the upgrade."""
    before = shop.run("--format", "json", "doctor")
    assert before.returncode == 1
    assert [one["topic"] for one in json.loads(before.stdout) if not one["ok"]] == ["schema"]
    assert shop.run("upgrade").returncode == 0
    assert shop.run("doctor").returncode == 0


@pytest.mark.parametrize(
    ("sabotage", "told"),
    [
        (lambda project: project.revision("bad", "d4", "op.execute('"), "bad.py:8"),
        (lambda project: project.revision("bad", "gone", "pass"), "LL-MISSING-PARENT"),
        (lambda project: project.revision("bad", "c3", "pass"), "LL-AMBIGUOUS-HEAD"),
        (
            lambda project: (project.versions / "twin.py").write_text(
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
def test_doctor_finds_what_is_wrong_with_the_files(shop: Project, sabotage, told: str) -> None:
    """Each with a remedy."""
    sabotage(shop)
    done = shop.run("doctor")
    assert done.returncode == 1
    assert told in done.stdout
    assert "→" in done.stdout


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"POSTGRES_PORT": "1"}, "refused"),
        ({"POSTGRES_PASSWORD": "wrong"}, "wrong password"),
        ({"POSTGRES_SERVER": "nowhere.invalid"}, "no such host"),
        ({"POSTGRES_PORT": "x"}, "POSTGRES_PORT is 'x'"),
    ],
)
def test_doctor_finds_what_is_wrong_with_the_address(
    shop: Project, variables: dict[str, str], told: str
) -> None:
    """With the source of each variable, and without the password."""
    done = shop.run("doctor", **{**shop.database.environ(), **variables})
    assert done.returncode == 1
    assert told in done.stdout


def test_doctor_finds_missing_permissions(shop: Project) -> None:
    """A role that may neither create nor alter."""
    with connected(shop.database) as session:
        session.execute("CREATE TABLE theirs (a int)")
        session.execute("DROP ROLE IF EXISTS weak; CREATE ROLE weak LOGIN PASSWORD 'weak'")
    done = shop.run(
        "doctor",
        **{**shop.database.environ(), "POSTGRES_USER": "weak", "POSTGRES_PASSWORD": "weak"},
    )
    assert done.returncode == 1
    for text in (
        "GRANT CREATE ON DATABASE",
        "GRANT CREATE ON SCHEMA",
        "table theirs belongs to postgres",
    ):
        assert text in done.stdout


def test_bake_proves_the_chain_and_touches_nothing_else(shop: Project) -> None:
    """Manifest and snapshot are written; the project's own database isn't even looked at."""
    done = shop.run("bake")
    assert done.returncode == 0, done.stderr
    manifest = Manifest.loads((shop.folder / "liftlock.json").read_text())
    assert manifest.required == {"d4"}
    assert set(manifest.fingerprints) == set(manifest.phases) == {"a1", "b2", "c3", "d4"}
    assert manifest.phases["c3"] == "contract"
    assert rows(
        shop.database, "SELECT count(*) FROM pg_tables WHERE schemaname IN ('public', 'liftlock')"
    ) == [0]


def test_a_snapshot_makes_the_migrated_database(shop: Project) -> None:
    """Schema, version, ledger and rows; a build that requires it starts at once."""
    assert shop.run("bake").returncode == 0
    script = (shop.folder / "snapshot.sql").read_text()
    statements = "\n".join(line for line in script.splitlines() if not line.startswith("\\"))
    with connected(shop.database) as session:
        for part in _without_copy(statements):
            session.execute(part)
    assert shop.run("status").returncode == 0
    assert shop.run("exec", "--require", "--", "true").returncode == 0


def _without_copy(script: str) -> list[str]:
    """A dump's statements, its COPY blocks as INSERTs: psycopg is no psql."""
    parts: list[str] = []
    lines = iter(script.splitlines())
    for line in lines:
        if line.startswith("COPY "):
            target = line.removeprefix("COPY ").removesuffix(" FROM stdin;")
            for row in iter(lambda: next(lines), None):
                if row in {"", "\\."}:
                    break
                values = ", ".join(
                    "NULL" if one == "\\N" else "'" + one.replace("'", "''") + "'"
                    for one in row.split("\t")
                )
                parts.append(f"INSERT INTO {target} OVERRIDING SYSTEM VALUE VALUES ({values});")
        else:
            parts.append(line + "\n")
    return ["".join(parts)]


def test_bake_fails_on_a_chain_that_does_not_run(shop: Project) -> None:
    """At build, rather than at start."""
    shop.revision("bad", "d4", "op.execute('SELECT nonsense')")
    done = shop.run("bake")
    assert (done.returncode, "LL-STEP-FAILED" in done.stderr) == (5, True)
    assert not (shop.folder / "liftlock.json").exists()


def test_bake_proves_it_on_another_server(project: Project) -> None:
    """One that has what the throwaway one hasn't, such as an extension, or here a role; nothing stays there."""
    role, databases = f"only_there_{secrets.token_hex(4)}", "SELECT count(*) FROM pg_database"
    project.revision("r2", None, f"op.execute('GRANT ALL ON SCHEMA public TO {role}')")
    with connected(project.database) as session:
        session.execute(f"CREATE ROLE {role}".encode())
    before = rows(project.database, databases)
    assert project.run("bake").returncode == 5
    parts = {
        "username": project.database.user,
        "password": project.database.password,
        "host": project.database.host,
    }
    url = URL.create(
        "postgresql", port=int(project.database.port), database="postgres", **parts
    ).render_as_string(hide_password=False)
    done = project.run("bake", LIFTLOCK_SHADOW_URL=url)
    assert done.returncode == 0, done.stderr
    assert json.loads((project.folder / "liftlock.json").read_text())["required"] == ["r2"]
    assert (
        rows(project.database, databases),
        rows(project.database, "SELECT to_regclass('alembic_version')::text"),
    ) == (before, [None])
    with connected(project.database) as session:
        session.execute(f"DROP ROLE {role}".encode())


def test_what_to_do_about_an_extension_that_is_missing(project: Project) -> None:
    """Another server has it."""
    project.revision("r2", None, "op.execute('CREATE EXTENSION postgis')")
    for command in (["bake"], ["upgrade"], ["check", "r2"]):
        done = project.run(*command)
        assert (
            "Install the extension on that server; check, drift, bake" in done.stdout + done.stderr
        )


def test_bake_finds_an_identifier_that_is_too_long(project: Project) -> None:
    """Alembic's column holds 32 characters."""
    project.revision("x" * 33, None, "pass")
    done = project.run("bake")
    assert (done.returncode, "LL-REVISION-ID-TOO-LONG" in done.stderr) == (3, True)
