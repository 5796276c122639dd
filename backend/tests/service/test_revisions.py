"""Recaller's own chain: up, down, plain and guarded; and what the models say."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from recaller_helpers import BACKEND, PASSWORD, run
from sqlalchemy import URL, create_engine, pool

from liftlock.settings import Address
from liftlock.shadow import embedded
from recaller.models import Base


def dump(address: Address) -> str:
    """The schema, without the ledger."""
    variables = {
        "PGHOST": address.host,
        "PGPORT": address.port,
        "PGUSER": address.user,
        "PGPASSWORD": PASSWORD,
    }
    arguments = [
        embedded.program("pg_dump"),
        "--schema-only",
        "--exclude-schema=liftlock",
        address.dbname,
    ]
    done = subprocess.run(arguments, env=variables, capture_output=True, text=True, check=True)
    return "\n".join(
        line
        for line in done.stdout.splitlines()
        if not line.startswith(("\\restrict", "\\unrestrict"))
    )


def plainly(address: Address, *, down: bool = False) -> None:
    """Run the chain by Alembic alone, without liftlock and without env.py."""
    script = ScriptDirectory(str(BACKEND / "migrations"))
    url = URL.create(
        "postgresql+psycopg",
        address.user,
        address.password,
        address.host,
        int(address.port),
        address.dbname,
    )

    def steps(heads: tuple[str, ...], _context: MigrationContext) -> object:
        return (
            script._downgrade_revs("base", heads) if down else script._upgrade_revs("head", heads)
        )

    with create_engine(url, poolclass=pool.NullPool).connect() as connection:
        options = {"script": script, "fn": steps, "target_metadata": Base.metadata}
        context = MigrationContext.configure(connection, opts=options)
        with context.begin_transaction(), Operations.context(context):
            context.run_migrations()


def test_guarded_and_plain_make_the_same_schema(new_database: Callable[[], Address]) -> None:
    """Up, and all the way down."""
    guarded, plain = new_database(), new_database()
    plainly(plain)
    assert run(guarded, "alembic", "upgrade", "head").returncode == 0
    assert dump(guarded) == dump(plain)
    plainly(plain, down=True)
    assert run(guarded, "liftlock", "downgrade", "base").returncode == 0
    assert dump(guarded) == dump(plain)


def test_each_revision_goes_down_and_up_again(new_database: Callable[[], Address]) -> None:
    """With rows in the tables, so that backfills and casts meet data."""
    address = new_database()
    assert run(address, "liftlock", "upgrade").returncode == 0
    done = run(address, "python", "-m", "recaller.demo", "--people", "30")
    assert done.returncode == 0, done.stderr
    before = _columns(address)
    revisions = list(
        ScriptDirectory.from_config(Config(str(BACKEND / "alembic.ini"))).walk_revisions()
    )
    assert len(revisions) >= 10
    for revision in revisions[
        : revisions.index(next(one for one in revisions if one.revision == "0005"))
    ]:
        assert run(address, "liftlock", "downgrade", revision.down_revision).returncode == 0, (
            revision.revision
        )
    done = run(address, "liftlock", "upgrade")
    assert done.returncode == 0, done.stderr
    assert _columns(address) == before
    with psycopg.connect(**address.keywords()) as session:  # type: ignore[arg-type]
        assert session.execute(
            "SELECT count(*) FROM people WHERE workplace IS NOT NULL"
        ).fetchone() != (0,)


def _columns(address: Address) -> list[tuple[str, ...]]:
    """Columns by name: a column that was dropped and added again stands last, and that is all that differs."""
    query = """
        SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns
        WHERE table_schema = 'public' ORDER BY 1, 2"""
    with psycopg.connect(**address.keywords()) as session:  # type: ignore[arg-type]
        return session.execute(query).fetchall()


def test_models_and_revisions_agree(new_database: Callable[[], Address]) -> None:
    """Alembic's own comparison finds nothing to add."""
    address = new_database()
    assert run(address, "alembic", "upgrade", "head").returncode == 0
    done = run(address, "alembic", "check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_plain_alembic_goes_through_the_engine(new_database: Callable[[], Address]) -> None:
    """The ledger knows; a wrong password is an exit code and no traceback; offline SQL still works."""
    address = new_database()
    assert run(address, "alembic", "upgrade", "+3").returncode == 0
    assert run(address, "./run-migrations.sh").returncode == 0
    with psycopg.connect(**address.keywords()) as session:  # type: ignore[arg-type]
        commands = session.execute("SELECT command FROM liftlock.runs ORDER BY id").fetchall()
    assert commands == [("alembic",), ("upgrade",)]
    done = run(address, "alembic", "upgrade", "head", POSTGRES_PASSWORD="wrong")
    assert (done.returncode, "Traceback" in done.stderr, "LL-WRONG-PASSWORD" in done.stderr) == (
        2,
        False,
        True,
    )
    assert "CREATE TABLE accounts" in run(address, "alembic", "upgrade", "head", "--sql").stdout


@pytest.mark.parametrize("people", [1, 2500])
def test_the_demo_fills_any_database(new_database: Callable[[], Address], people: int) -> None:
    """A believable data set, with the documented number of rows; and a clear word before the tables are there."""
    address = new_database()
    early = run(address, "python", "-m", "recaller.demo")
    assert (early.returncode, "liftlock upgrade" in early.stderr) == (1, True)
    assert run(address, "liftlock", "upgrade").returncode == 0
    done = run(address, "python", "-m", "recaller.demo", "--people", str(people))
    assert done.returncode == 0, done.stderr
    counted = ", ".join(
        f"(SELECT count(*) FROM {table})"
        for table in ("people", "encounters", "encounter_people", "reminders")
    )
    with psycopg.connect(**address.keywords()) as session:  # type: ignore[arg-type]
        assert session.execute(f"SELECT {counted}").fetchone() == (
            people,
            4 * people,
            4 * people,
            people,
        )


def test_the_entrypoints_are_executable_with_unix_line_endings() -> None:
    """The two most frequent reasons why a container doesn't start."""
    for name in ("docker-entrypoint.sh", "run-migrations.sh"):
        path = Path(BACKEND / name)
        assert path.stat().st_mode & 0o111
        assert b"\r" not in path.read_bytes()
