"""`liftlock exec`: the entry point of containers."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from acceptance.support.slow_revisions import SLEEPS, until_it_sleeps
from helpers import (
    ALL_TABLES_LARGE,
    PASSWORD,
    Project,
    assert_failed,
    assert_succeeded,
    connected,
    ended,
    make_project,
    rows,
    until_it_says,
)

from liftlock.shadow import embedded


@pytest.fixture
def one_revision(project: Project) -> Project:
    """Make a project with one revision."""
    project.revision("r1", None, "op.create_table('t', sa.Column('a', sa.Integer))")
    return project


def test_exec_migrates_and_is_replaced_by_the_command(one_revision: Project) -> None:
    """The process id stays, so that the service is process 1 of its container.

    No signal stays blocked.
    """
    program = "import os, signal; print(os.getpid(), signal.pthread_sigmask(signal.SIG_BLOCK, []))"
    running = one_revision.start("exec", "--", sys.executable, "-c", program)
    done = ended(running)
    assert_succeeded(done)
    assert done.stdout.split() == [str(running.pid), "set()"]
    assert rows(one_revision.database, "SELECT version_num FROM alembic_version") == ["r1"]


def test_exec_keeps_the_arguments_and_exit_code_of_the_command(one_revision: Project) -> None:
    """Options after the command belong to the command."""
    done = one_revision.run(
        "exec", sys.executable, "-c", "import sys; sys.exit(int(sys.argv[2]))", "--format", "7"
    )
    assert done.returncode == 7, done.stderr


def test_missing_command_exits_2(one_revision: Project) -> None:
    """A missing command is the deployer's error."""
    assert_failed(one_revision.run("exec", "--", "no-such-command"), "LL-COMMAND-NOT-STARTED", 2)


def environment(project: Project, **more: str) -> dict[str, str]:
    """Return the environment that names a project's database."""
    return {**project.database.environ(), **more}


def test_exec_at_head_imports_no_heavy_package(one_revision: Project) -> None:
    """With a manifest, start-up at head does not import Alembic, SQLAlchemy, psycopg or click."""
    assert_succeeded(one_revision.run("bake"))
    assert_succeeded(one_revision.run("upgrade"))
    program = Path(sys.executable).with_name("liftlock")
    arguments = [sys.executable, "-X", "importtime", str(program), "exec", "--", "echo", "served"]
    done = subprocess.run(
        arguments,
        cwd=one_revision.folder,
        env=one_revision.variables(**environment(one_revision)),
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


def test_exec_at_head_works_without_a_manifest(one_revision: Project) -> None:
    """Without a manifest the revision files decide."""
    assert_succeeded(one_revision.run("upgrade"))
    done = one_revision.run("exec", "--", "echo", "served", **environment(one_revision))
    assert (done.returncode, done.stdout) == (0, "served\n")


def test_revision_newer_than_the_manifest_is_run(one_revision: Project) -> None:
    """A revision that was added after `bake` is run."""
    assert_succeeded(one_revision.run("bake"))
    assert_succeeded(one_revision.run("exec", "--", "true", **environment(one_revision)))
    one_revision.revision("r2", "r1", "op.create_table('u', sa.Column('a', sa.Integer))")
    assert_succeeded(one_revision.run("exec", "--", "true", **environment(one_revision)))
    assert rows(one_revision.database, "SELECT version_num FROM alembic_version") == ["r2"]


def test_require_waits_until_another_run_has_migrated(one_revision: Project) -> None:
    """`--require` creates nothing itself."""
    waiting = one_revision.start(
        "exec", "--require", "--wait", "60", "--", "echo", "served", **environment(one_revision)
    )
    until_it_says(waiting, "waiting for another process to migrate")
    assert waiting.poll() is None
    assert rows(
        one_revision.database,
        "SELECT to_regclass('alembic_version')::text, to_regnamespace('liftlock')::text",
    ) == [(None, None)]
    assert_succeeded(one_revision.run("upgrade"))
    done = ended(waiting)
    assert (done.returncode, done.stdout) == (0, "served\n"), done.stderr


def test_require_fails_after_its_wait(one_revision: Project) -> None:
    """Exit code 4 after --wait, also if LIFTLOCK_REQUIRE is set."""
    for options, more in ((["--require"], {}), ([], {"LIFTLOCK_REQUIRE": "1"})):
        assert_failed(
            one_revision.run(
                "exec", *options, "--wait", "2", "--", "true", **environment(one_revision, **more)
            ),
            "LL-SCHEMA-NOT-MIGRATED",
            4,
        )


def test_newer_database_is_accepted_with_an_explanation(one_revision: Project) -> None:
    """An old image starts after a rollback, and tells which newer revision was applied by whom."""
    newer = one_revision.revision("r2", "r1", "op.create_table('u', sa.Column('a', sa.Integer))")
    assert_succeeded(one_revision.run("upgrade", LIFTLOCK_RELEASE="v2"))
    newer.unlink()
    done = one_revision.run("exec", "--", "echo", "served")
    assert (done.returncode, done.stdout) == (0, "served\n"), done.stderr
    assert "newer than this build" in done.stderr
    assert "r2 (r2)" in done.stderr
    assert "(v2)" in done.stderr
    status = one_revision.run("status")
    assert_succeeded(status)
    assert "newer" in status.stdout
    upgrade = one_revision.run("upgrade")
    assert_succeeded(upgrade)
    assert "newer than this build" in upgrade.stderr
    downgrade = one_revision.run("downgrade", "base")
    assert_failed(downgrade, "LL-DATABASE-NEWER", 2)


def test_unknown_revision_in_the_version_table_is_refused(one_revision: Project) -> None:
    """Nothing shows that the unknown revision follows this project's revisions."""
    with connected(one_revision.database) as session:
        session.execute("CREATE TABLE alembic_version (version_num text)")
        session.execute("INSERT INTO alembic_version VALUES ('zz')")
    assert_failed(one_revision.run("exec", "--", "true"), "LL-UNKNOWN-REVISION", 2, mentions="zz")
    upgrade = one_revision.run("upgrade")
    assert_failed(upgrade, "LL-UNKNOWN-REVISION", 2, mentions="zz")


@pytest.mark.parametrize(
    "command", [["alembic", "--version"], ["sh", "-c", "true"], ["liftlock", "--version"]]
)
def test_shells_and_migration_commands_do_not_migrate(
    one_revision: Project, command: list[str]
) -> None:
    """Migration commands and shells only wait for the database."""
    assert_succeeded(one_revision.run("exec", "--", *command, **environment(one_revision)))
    assert rows(one_revision.database, "SELECT to_regclass('t')::text") == [None]


def test_exec_waits_for_the_database(one_revision: Project) -> None:
    """The wait is shown, and ends with exit code 4."""
    unreachable = environment(one_revision, POSTGRES_PORT="1", LIFTLOCK_WAIT="3")
    done = one_revision.run("exec", "--", "true", **unreachable)
    assert done.returncode == 4, done.stderr
    assert "of 3 s): refused" in done.stderr


def test_sigterm_during_the_migration_exits_4(one_revision: Project) -> None:
    """Nothing is half done, and the command is not started."""
    one_revision.revision("slow", "r1", SLEEPS)
    running = one_revision.start("exec", "--", "echo", "served")
    until_it_sleeps(one_revision.database)
    running.send_signal(signal.SIGTERM)
    done = ended(running, 30)
    assert (done.returncode, done.stdout) == (4, ""), done.stderr
    assert rows(one_revision.database, "SELECT version_num FROM alembic_version") == ["r1"]


@pytest.mark.parametrize("baked", [False, True], ids=["without a manifest", "with a manifest"])
def test_version_table_named_only_in_env_py_is_found(one_revision: Project, *, baked: bool) -> None:
    """Also in a schema that search_path puts first, other than where `bake` found it."""
    one_revision.env(
        (one_revision.folder / "migrations" / "env.py")
        .read_text()
        .replace("connection=connection,", "connection=connection, version_table='history',")
    )
    if baked:
        assert_succeeded(one_revision.run("bake"))
    with connected(one_revision.database) as session:
        session.execute("CREATE SCHEMA app")
        session.execute(
            "CREATE TABLE other_history AS SELECT varchar 'of another project' AS version_num"
        )
        session.execute(
            f'ALTER DATABASE "{one_revision.database.dbname}" SET search_path = app, public'
        )
    variables = one_revision.database.environ() | {"ALEMBIC_CONFIG": one_revision.ini}
    for _ in range(2):
        assert_succeeded(one_revision.run("exec", "--", "true", **variables))
    done = one_revision.run("status")
    assert_succeeded(done)
    assert "at r1, as this build needs it" in done.stdout
    assert rows(one_revision.database, "SELECT version_num FROM app.history") == ["r1"]


FAILS_AFTER_INDEX = (
    "op.create_index('ix_a', 't', ['a'])\n"
    "op.execute('SELECT 1 / (SELECT count(*) FROM t WHERE a < 0)')"
)


@pytest.mark.every_major
@pytest.mark.parametrize("baked", [False, True], ids=["without a manifest", "with a manifest"])
def test_exec_refuses_an_unfinished_downgrade(project: Project, *, baked: bool) -> None:
    """The version row is still at head, but parts that the build needs are gone."""
    project.revision(
        "r1",
        None,
        "op.create_table('t', sa.Column('a', sa.Integer))\nop.execute('INSERT INTO t VALUES (1)')",
        FAILS_AFTER_INDEX,
    )
    assert_succeeded(project.run("upgrade"))
    if baked:
        assert_succeeded(project.run("bake"))
    variables = project.database.environ() | {"ALEMBIC_CONFIG": project.ini}
    assert_succeeded(project.run("exec", "--", "true", **variables))
    assert_failed(project.run("downgrade", "-1", **ALL_TABLES_LARGE), "LL-STEP-FAILED", 5)
    assert_failed(
        project.run("exec", "--", "true", **variables),
        "LL-DOWNGRADE-UNFINISHED",
        4,
        mentions="downgrade of r1",
    )


def test_require_goes_on_waiting_while_the_server_restarts(tmp_path: Path) -> None:
    """A refused connection isn't the end of the wait, and no traceback."""
    folder = tmp_path / "server"
    with embedded.serve(folder, PASSWORD, settings={"fsync": "off"}) as address:
        project = make_project(tmp_path, address)
        project.revision("r1", None, "pass")
        running = project.start(
            "exec", "--require", "--wait", "10", "--", "true", **environment(project)
        )
        until_it_says(running, "waiting for another process")
    done = ended(running)
    assert_failed(done, "LL-SCHEMA-NOT-MIGRATED", 4)
    assert "Traceback" not in done.stderr
