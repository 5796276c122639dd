"""`liftlock bake`: manifest and snapshot from a throwaway server."""

from __future__ import annotations

import itertools
import json
import secrets

import pytest
from helpers import (
    Project,
    assert_failed,
    assert_refused,
    assert_succeeded,
    at,
    connected,
    rows,
    url_of,
)

from liftlock.model.manifest import Manifest


def test_bake_writes_a_manifest_and_leaves_the_database_alone(shop: Project) -> None:
    """Manifest and snapshot are written; the project's own database is not contacted."""
    assert_succeeded(shop.run("bake"))
    manifest = Manifest.loads((shop.folder / "liftlock.json").read_text())
    assert manifest.required == {"d4"}
    assert set(manifest.fingerprints) == set(manifest.phases) == {"a1", "b2", "c3", "d4"}
    assert manifest.phases["c3"] == "contract"
    assert rows(
        shop.database, "SELECT count(*) FROM pg_tables WHERE schemaname IN ('public', 'liftlock')"
    ) == [0]


def _with_inserts(script: str) -> str:
    """Return the statements of a dump, with INSERT for COPY, which psycopg cannot run as one."""
    statements: list[str] = []
    lines = iter(script.splitlines())
    for line in lines:
        if not line.startswith("COPY "):
            statements.append(line)
            continue
        target = line.removeprefix("COPY ").removesuffix(" FROM stdin;")
        for row in itertools.takewhile(lambda row: row not in {"", "\\."}, lines):
            values = ", ".join(_literal(value) for value in row.split("\t"))
            statements.append(f"INSERT INTO {target} OVERRIDING SYSTEM VALUE VALUES ({values});")
    return "\n".join(statements)


def _literal(value: str) -> str:
    """Return a value of COPY as an SQL literal."""
    if value == "\\N":
        return "NULL"
    return "'" + value.replace("'", "''") + "'"


def test_snapshot_restores_the_migrated_database(shop: Project) -> None:
    """Schema, version, ledger and rows: a build that requires it starts immediately."""
    assert_succeeded(shop.run("bake"))
    script = (shop.folder / "snapshot.sql").read_text()
    without_meta_commands = [line for line in script.splitlines() if not line.startswith("\\")]
    with connected(shop.database) as session:
        session.execute(_with_inserts("\n".join(without_meta_commands)))
    assert_succeeded(shop.run("status"))
    assert_succeeded(shop.run("exec", "--require", "--", "true"))


def test_bake_fails_if_a_revision_fails(shop: Project) -> None:
    """At build time rather than at start."""
    shop.revision("bad", "d4", "op.execute('SELECT nonsense')")
    assert_failed(shop.run("bake"), "LL-STEP-FAILED", 5)
    assert not (shop.folder / "liftlock.json").exists()


@pytest.mark.every_major
def test_bake_uses_another_server_if_configured(project: Project) -> None:
    """A server that has a role the embedded one lacks; no database stays there."""
    role = f"only_there_{secrets.token_hex(4)}"
    databases = "SELECT count(*) FROM pg_database"
    project.revision("r2", None, f"op.execute('GRANT ALL ON SCHEMA public TO {role}')")
    with connected(project.database) as session:
        session.execute(f"CREATE ROLE {role}")
    before = rows(project.database, databases)
    assert_failed(project.run("bake"), "LL-STEP-FAILED", 5)
    server = url_of(at(project.database, "postgres"))
    assert_succeeded(project.run("bake", LIFTLOCK_SHADOW_URL=server))
    assert json.loads((project.folder / "liftlock.json").read_text())["required"] == ["r2"]
    assert rows(project.database, databases) == before
    assert rows(project.database, "SELECT to_regclass('alembic_version')::text") == [None]
    with connected(project.database) as session:
        session.execute(f"DROP ROLE {role}")


def test_bake_refuses_a_revision_identifier_of_33_characters(project: Project) -> None:
    """Alembic's version_num column holds 32 characters."""
    project.revision("x" * 33, None, "pass")
    assert_refused(project.run("bake"), "LL-REVISION-ID-TOO-LONG")
