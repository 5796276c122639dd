"""Recaller's revisions: by Alembic and by liftlock, up and down, and compared with the models."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from recaller_helpers import BACKEND, PASSWORD, connected, program, run
from sqlalchemy import create_engine, pool

from liftlock import Address
from recaller.models import Base


def dump(address: Address) -> str:
    """Return the schema as pg_dump writes it, without liftlock's ledger."""
    variables = {
        "PGHOST": address.host,
        "PGPORT": address.port,
        "PGUSER": address.user,
        "PGPASSWORD": PASSWORD,
    }
    command = [program("pg_dump"), "--schema-only", "--exclude-schema=liftlock", address.dbname]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    # These lines hold a random key.
    random_lines = ("\\restrict", "\\unrestrict")
    lines = done.stdout.splitlines()
    return "\n".join(line for line in lines if not line.startswith(random_lines))


def run_alembic_alone(address: Address, *, down: bool = False) -> None:
    """Run all revisions by Alembic, without liftlock and without env.py."""
    script = ScriptDirectory(str(BACKEND / "migrations"))

    def steps(heads: tuple[str, ...], _context: MigrationContext) -> object:
        if down:
            return script._downgrade_revs("base", heads)  # noqa: SLF001 - as alembic.command does
        return script._upgrade_revs("head", heads)  # noqa: SLF001 - the same

    engine = create_engine(
        "postgresql+psycopg://", poolclass=pool.NullPool, connect_args=address.keywords()
    )
    with engine.connect() as connection:
        options = {"script": script, "fn": steps, "target_metadata": Base.metadata}
        context = MigrationContext.configure(connection, opts=options)
        with context.begin_transaction(), Operations.context(context):
            context.run_migrations()


def columns(address: Address) -> list[tuple[str, ...]]:
    """Return all columns, ordered by name.

    Their order in the tables doesn't count: a column that was dropped and added again is the last.
    """
    query = """
        SELECT table_name, column_name, data_type, is_nullable, column_default
        FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2"""
    with connected(address) as session:
        return session.execute(query).fetchall()


def test_liftlock_and_alembic_make_the_same_schema(new_database: Callable[[], Address]) -> None:
    """The schemas are equal after the upgrade to head, and after the downgrade to base."""
    by_liftlock = new_database()
    by_alembic = new_database()
    run_alembic_alone(by_alembic)
    assert run(by_liftlock, "alembic", "upgrade", "head").returncode == 0
    assert dump(by_liftlock) == dump(by_alembic)
    run_alembic_alone(by_alembic, down=True)
    assert run(by_liftlock, "liftlock", "downgrade", "base").returncode == 0
    assert dump(by_liftlock) == dump(by_alembic)


def test_each_revision_can_be_downgraded_and_upgraded_with_rows(
    new_database: Callable[[], Address],
) -> None:
    """Backfills and casts of both directions meet data."""
    address = new_database()
    assert run(address, "liftlock", "upgrade").returncode == 0
    filled = run(address, "python", "-m", "recaller.demo", "--people", "30")
    assert filled.returncode == 0, filled.stderr
    before = columns(address)
    script = ScriptDirectory.from_config(Config(str(BACKEND / "alembic.ini")))
    revisions = list(script.walk_revisions())
    assert len(revisions) >= 10
    for revision in revisions[: [each.revision for each in revisions].index("0005")]:
        downgraded = run(address, "liftlock", "downgrade", revision.down_revision)
        assert downgraded.returncode == 0, revision.revision
    upgraded = run(address, "liftlock", "upgrade")
    assert upgraded.returncode == 0, upgraded.stderr
    assert columns(address) == before
    with connected(address) as session:
        query = "SELECT count(*) FROM people WHERE workplace IS NOT NULL"
        assert session.execute(query).fetchone() != (0,)


def test_models_and_revisions_agree(new_database: Callable[[], Address]) -> None:
    """`alembic check` finds no difference between the models and the migrated schema."""
    address = new_database()
    assert run(address, "alembic", "upgrade", "head").returncode == 0
    done = run(address, "alembic", "check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_alembic_commands_run_under_liftlock(new_database: Callable[[], Address]) -> None:
    """The ledger has the run, a wrong password is an exit code without a traceback.

    `alembic upgrade --sql` still prints SQL.
    """
    address = new_database()
    assert run(address, "alembic", "upgrade", "+3").returncode == 0
    assert run(address, "./run-migrations.sh").returncode == 0
    with connected(address) as session:
        commands = session.execute("SELECT command FROM liftlock.runs ORDER BY id").fetchall()
    assert commands == [("alembic",), ("upgrade",)]
    rejected = run(address, "alembic", "upgrade", "head", POSTGRES_PASSWORD="wrong")
    assert rejected.returncode == 2
    assert "LL-WRONG-PASSWORD" in rejected.stderr
    assert "Traceback" not in rejected.stderr
    assert "CREATE TABLE accounts" in run(address, "alembic", "upgrade", "head", "--sql").stdout


@pytest.mark.parametrize("people", [1, 2500])
def test_demo_inserts_the_documented_number_of_rows(
    new_database: Callable[[], Address], people: int
) -> None:
    """Without tables, the error says to run `liftlock upgrade`."""
    address = new_database()
    early = run(address, "python", "-m", "recaller.demo")
    assert early.returncode == 1
    assert "liftlock upgrade" in early.stderr
    assert run(address, "liftlock", "upgrade").returncode == 0
    done = run(address, "python", "-m", "recaller.demo", "--people", str(people))
    assert done.returncode == 0, done.stderr
    expected = {
        "people": people,
        "encounters": 4 * people,
        "encounter_people": 4 * people,
        "reminders": people,
    }
    with connected(address) as session:
        for table, count in expected.items():
            assert session.execute(f"SELECT count(*) FROM {table}").fetchone() == (count,)


def test_entrypoints_are_executable_with_unix_line_endings() -> None:
    """These are the two most frequent reasons for a container that doesn't start."""
    for name in ("docker-entrypoint.sh", "run-migrations.sh"):
        path = BACKEND / name
        assert path.stat().st_mode & 0o111
        assert b"\r" not in path.read_bytes()
