"""`exec`: the container's way in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import Project, connected, rows, until_it_says


@pytest.fixture
def small(project: Project) -> Project:
    """One revision."""
    project.revision("r1", None, "op.create_table('t', sa.Column('a', sa.Integer))")
    return project


def address(project: Project, **more: str) -> dict[str, str]:
    """The variables of the migration guide for a project's database."""
    return {**project.database.environ(), **more}


def test_it_migrates_then_becomes_the_command(small: Project) -> None:
    """The process id stays, so the service is process 1 of its container; no signal stays blocked."""
    look = "import os, signal; print(os.getpid(), signal.pthread_sigmask(signal.SIG_BLOCK, []))"
    running = small.start("exec", "--", sys.executable, "-c", look)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 0, err
    assert out.split() == [str(running.pid), "set()"]
    assert rows(small.database, "SELECT version_num FROM alembic_version") == ["r1"]


def test_the_commands_own_exit_code_and_arguments(small: Project) -> None:
    """Options after the command are the command's."""
    done = small.run(
        "exec", sys.executable, "-c", "import sys; sys.exit(int(sys.argv[2]))", "--format", "7"
    )
    assert done.returncode == 7


def test_a_command_that_is_not_there(small: Project) -> None:
    """Is the deployer's mistake."""
    done = small.run("exec", "--", "no-such-command")
    assert (done.returncode, "LL-COMMAND-NOT-STARTED" in done.stderr) == (2, True)


def test_at_head_neither_alembic_nor_sqlalchemy_is_imported(small: Project) -> None:
    """With a manifest, not even psycopg or click: start-up is imports."""
    assert small.run("bake").returncode == 0
    assert small.run("upgrade").returncode == 0
    program = Path(sys.executable).with_name("liftlock")
    arguments = [sys.executable, "-X", "importtime", str(program), "exec", "--", "echo", "served"]
    done = subprocess.run(
        arguments,
        cwd=small.folder,
        env=small.variables(**address(small)),
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {
        line.rpartition("|")[2].strip().partition(".")[0]
        for line in done.stderr.splitlines()
        if line.startswith("import time")
    }
    assert done.stdout == "served\n"
    assert "liftlock" in imported
    assert not imported & {"alembic", "sqlalchemy", "psycopg", "click", "rich", "tenacity"}


def test_without_a_manifest_at_head_sqlalchemy_sessions_are_not_needed(small: Project) -> None:
    """It works all the same, by the files."""
    assert small.run("upgrade").returncode == 0
    done = small.run("exec", "--", "echo", "served", **address(small))
    assert (done.returncode, done.stdout) == (0, "served\n")


def test_a_stale_manifest_is_not_trusted(small: Project) -> None:
    """A revision that was added after bake is run."""
    assert small.run("bake").returncode == 0
    assert small.run("exec", "--", "true", **address(small)).returncode == 0
    small.revision("r2", "r1", "op.create_table('u', sa.Column('a', sa.Integer))")
    done = small.run("exec", "--", "true", **address(small))
    assert done.returncode == 0, done.stderr
    assert rows(small.database, "SELECT version_num FROM alembic_version") == ["r2"]


def test_require_waits_until_somebody_else_has_migrated(small: Project) -> None:
    """And creates nothing itself."""
    waiting = small.start(
        "exec", "--require", "--wait", "60", "--", "echo", "served", **address(small)
    )
    until_it_says(waiting, "waiting for another process to migrate")
    assert waiting.poll() is None
    assert rows(
        small.database,
        "SELECT to_regclass('alembic_version')::text, to_regnamespace('liftlock')::text",
    ) == [(None, None)]
    assert small.run("upgrade").returncode == 0
    out, err = waiting.communicate(timeout=60)
    assert (waiting.returncode, out) == (0, "served\n"), err


def test_require_is_bounded(small: Project) -> None:
    """Not now; also when the environment says it."""
    for options, more in ((["--require"], {}), ([], {"LIFTLOCK_REQUIRE": "1"})):
        done = small.run("exec", *options, "--wait", "2", "--", "true", **address(small, **more))
        assert (done.returncode, "LL-SCHEMA-NOT-MIGRATED" in done.stderr) == (4, True), done.stderr


def test_a_database_that_is_newer_is_explained_and_accepted(small: Project) -> None:
    """An old image after a rollback: which revision, when, by whom; and it starts."""
    newer = small.revision("r2", "r1", "op.create_table('u', sa.Column('a', sa.Integer))")
    assert small.run("upgrade", LIFTLOCK_RELEASE="v2").returncode == 0
    newer.unlink()
    done = small.run("exec", "--", "echo", "served")
    assert (done.returncode, done.stdout) == (0, "served\n"), done.stderr
    assert "newer than this build" in done.stderr
    assert "r2 (r2)" in done.stderr
    assert "(v2)" in done.stderr
    status = small.run("status")
    assert status.returncode == 0
    assert "newer" in status.stdout
    upgrade = small.run("upgrade")
    assert (upgrade.returncode, "newer than this build" in upgrade.stderr) == (0, True), (
        upgrade.stderr
    )
    downgrade = small.run("downgrade", "base")
    assert (downgrade.returncode, "LL-DATABASE-NEWER" in downgrade.stderr) == (2, True), (
        downgrade.stderr
    )


def test_a_database_of_another_project_is_refused(small: Project) -> None:
    """Nothing tells that its revision follows ours."""
    with connected(small.database) as session:
        session.execute(
            "CREATE TABLE alembic_version (version_num text); INSERT INTO alembic_version VALUES ('zz')"
        )
    done = small.run("exec", "--", "true")
    assert (done.returncode, "LL-UNKNOWN-REVISION" in done.stderr) == (2, True)
    assert "zz" in done.stderr
    upgrade = small.run("upgrade")
    assert (upgrade.returncode, "zz" in upgrade.stderr) == (2, True), upgrade.stderr


@pytest.mark.parametrize(
    "command", [["alembic", "--version"], ["sh", "-c", "true"], ["liftlock", "--version"]]
)
def test_commands_that_mind_the_schema_themselves_are_only_waited_for(
    small: Project, command: list[str]
) -> None:
    """Migration commands and shells."""
    assert small.run("exec", "--", *command, **address(small)).returncode == 0
    assert rows(small.database, "SELECT to_regclass('t')::text") == [None]


def test_the_database_comes_up_later(small: Project) -> None:
    """Waited for, and shown."""
    port = small.database.port
    with_hole = address(small, POSTGRES_PORT="1", LIFTLOCK_WAIT="3")
    assert port != "1"
    done = small.run("exec", "--", "true", **with_hole)
    assert done.returncode == 4
    assert "of 3 s): refused" in done.stderr


def test_sigterm_while_it_migrates(small: Project) -> None:
    """Exit 4 and nothing half done, before there is any service."""
    small.revision(
        "slow",
        "r1",
        "op.create_table('slow', sa.Column('a', sa.Integer))\nop.execute('SELECT pg_sleep(60)')",
    )
    running = small.start("exec", "--", "echo", "served")
    end = time.monotonic() + 30
    while not rows(
        small.database,
        "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND datname = current_database()",
    ):
        assert time.monotonic() < end
        time.sleep(0.05)
    os.kill(running.pid, signal.SIGTERM)
    out, err = running.communicate(timeout=30)
    assert (running.returncode, out) == (4, ""), err
    assert rows(small.database, "SELECT version_num FROM alembic_version") == ["r1"]


@pytest.mark.parametrize("baked", [False, True], ids=["without a manifest", "with a manifest"])
def test_a_version_table_that_only_env_py_names(small: Project, *, baked: bool) -> None:
    """In the schema that the role's settings make the first, too: other than where `bake` met it."""
    small.env(
        (small.folder / "migrations" / "env.py")
        .read_text()
        .replace("connection=connection,", "connection=connection, version_table='history',")
    )
    if baked:
        assert small.run("bake").returncode == 0
    with connected(small.database) as session:
        session.execute("CREATE SCHEMA app")
        session.execute(
            "CREATE TABLE other_history AS SELECT varchar 'of another project' AS version_num"
        )
        session.execute(f'ALTER DATABASE "{small.database.dbname}" SET search_path = app, public')
    variables = small.database.environ() | {"ALEMBIC_CONFIG": small.ini}
    for _ in range(2):
        done = small.run("exec", "--", "true", **variables)
        assert done.returncode == 0, done.stderr
    done = small.run("status")
    assert done.returncode == 0, done.stdout
    assert "at r1, as this build needs it" in done.stdout
    assert rows(small.database, "SELECT version_num FROM app.history") == ["r1"]
