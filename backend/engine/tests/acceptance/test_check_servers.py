"""`liftlock check`: throwaway servers, base states and roles, also after a kill."""

from __future__ import annotations

import secrets
import shutil
import signal
import time
from pathlib import Path

import pytest
from acceptance.support.check import check_in_process, codes_of, write_example
from helpers import (
    Project,
    assert_failed,
    assert_succeeded,
    at,
    connected,
    ended,
    killed,
    rows,
    until,
    until_it_says,
    url_of,
)

from liftlock.check.rules.rule import Example
from liftlock.settings import Address


def test_roles_named_in_alembic_ini_exist_on_throwaway_servers(
    check_project: Project, cache: Path
) -> None:
    """Without them the finding tells how to name them."""
    check_project.revision(
        "r1", "r0", 'op.execute("GRANT SELECT ON person TO reader, \\"the writer\\"")', "pass"
    )
    (found, *_) = check_in_process(check_project, cache).findings
    assert found.now.endswith("[liftlock]: roles = reader")
    assert "roles = reader" in check_project.run("bake").stderr
    ini = Path(check_project.ini)
    ini.write_text(f"{ini.read_text()}\n[liftlock]\nroles =\n    reader\n    the writer\n")
    assert "LL-REVISION-FAILS" not in codes_of(check_in_process(check_project, cache))
    assert_succeeded(check_project.run("bake"))


def test_base_state_is_rebuilt_if_an_imported_module_changes(
    check_project: Project, cache: Path
) -> None:
    """States of other chains are kept beside it."""
    (check_project.folder / "helper.py").write_text("NAME = 'aa'\n")
    read = f"import sys\nsys.path.insert(0, {str(check_project.folder)!r})\nimport helper\n"
    path = check_project.revision(
        "r1", "r0", 'op.create_table(helper.NAME, sa.Column("i", sa.Integer))'
    )
    path.write_text(read + path.read_text())
    for name in ("aa", "bb"):
        (check_project.folder / "helper.py").write_text(f"NAME = '{name}'\n")
        shutil.rmtree(check_project.folder / "__pycache__", ignore_errors=True)
        check_project.revision(
            "r2",
            "r1",
            f'op.add_column("{name}", sa.Column("x", sa.Integer))',
            f'op.drop_column("{name}", "x")',
        )
        assert_succeeded(check_project.run("check", "r2", XDG_CACHE_HOME=str(cache)))


def test_base_state_is_rebuilt_if_a_file_that_a_revision_reads_changes(
    check_project: Project, cache: Path
) -> None:
    """Such as an SQL script beside the revisions."""
    script = check_project.versions / "r1.sql"
    check_project.revision(
        "r1", "r0", f"op.execute(__import__('pathlib').Path({str(script)!r}).read_text())"
    )
    check_project.revision("r2", "r1", "op.execute('SELECT x FROM beside')")
    for name in ("y", "x"):
        script.write_text(f"CREATE TABLE beside ({name} integer)")
        assert ("LL-STEP-FAILED" in codes_of(check_in_process(check_project, cache, "r2"))) is (
            name == "y"
        )


def _runs(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGTERM])
def test_kill_leaves_no_server_and_no_folder(
    check_project: Project, tmp_path: Path, stop: signal.Signals
) -> None:
    """Neither of the throwaway server, nor in the cache."""
    check_project.revision("r1", "r0", "op.execute('SELECT pg_sleep(60)')")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    cache = tmp_path / "cache"
    running = check_project.start("check", "r1", TMPDIR=str(temporary), XDG_CACHE_HOME=str(cache))
    until(lambda: "ready" in _pid_file(temporary), description="server is ready", running=running)
    server = int(_pid_file(temporary).split()[0])
    time.sleep(1)
    running.send_signal(stop)
    running.communicate(timeout=60)
    until(lambda: not list(temporary.iterdir()) and not _runs(server), 30, "all is removed")
    base_states = (cache / "liftlock" / "shadows").iterdir()
    assert [path for path in base_states if not (path / "done").exists()] == []


def _pid_file(folder: Path) -> str:
    """Return the content of the throwaway server's postmaster.pid, or ""."""
    return "".join(path.read_text() for path in folder.glob("*/shadow/data/postmaster.pid"))


@pytest.mark.every_major
def test_check_uses_and_cleans_another_server(
    check_project: Project, cache: Path, database: Address
) -> None:
    """In databases of its own, which are dropped also after a kill.

    A role without CREATEDB is refused.
    """
    write_example(
        check_project,
        Example('op.create_index("ix_nick", "person", ["nick"])', 'op.drop_index("ix_nick")'),
    )
    variables = {"LIFTLOCK_SHADOW_URL": url_of(database), "XDG_CACHE_HOME": str(cache)}
    (newest,) = rows(database, "SELECT max(oid::int) FROM pg_database")
    databases = (
        "SELECT count(*) FROM pg_database"
        f" WHERE datname LIKE 'liftlock_shadow_%' AND oid > {newest}"
    )
    assert_succeeded(check_project.run("check", "r1", **variables))
    assert rows(database, databases) == [0]
    check_project.revision("r1", "r0", "op.execute('SELECT pg_sleep(60)')")
    running = check_project.start("check", "r1", **variables)
    until(lambda: rows(database, databases) == [2], description="it has begun", running=running)
    killed(running)
    until(lambda: rows(database, databases) == [0], description="databases are dropped")
    with connected(database) as session:
        session.execute("DROP ROLE IF EXISTS humble")
        session.execute("CREATE ROLE humble LOGIN PASSWORD 'humble'")
    humble = at(database, database.dbname, user="humble", password="humble")
    done = check_project.run("check", "r1", **variables | {"LIFTLOCK_SHADOW_URL": url_of(humble)})
    assert_failed(done, "LL-SHADOW-PERMISSION", 2)


@pytest.mark.every_major
@pytest.mark.parametrize("is_killed", [False, True], ids=["finished", "killed"])
def test_roles_created_by_revisions_are_dropped_from_another_server(
    check_project: Project, database: Address, *, is_killed: bool
) -> None:
    """Those of the base state and of the revision, so that the next check can create them.

    Others stay.
    """
    of_base, of_revision, other = (f"made_{secrets.token_hex(4)}" for _ in range(3))
    # the block commits the roles, so that this test sees them
    block = "with op.get_context().autocommit_block():\n    op.execute('SELECT pg_sleep(60)')"
    pause = block if is_killed else "pass"
    check_project.revision(
        "r1", "r0", f"op.execute('CREATE ROLE {of_base}')", f"op.execute('DROP ROLE {of_base}')"
    )
    creates_role = f"CREATE ROLE {of_revision}; GRANT SELECT ON person TO {of_revision}"
    check_project.revision("r2", "r1", f"op.execute('{creates_role}')\n{pause}")
    running = check_project.start("check", "r2", LIFTLOCK_SHADOW_URL=url_of(database))
    until_it_says(running, "trying r2")
    with connected(database) as session:
        session.execute(f"CREATE ROLE {other}")
    pattern = f"{of_base}|{of_revision}|{other}"
    roles = f"SELECT rolname::text FROM pg_roles WHERE rolname ~ '{pattern}' ORDER BY rolname"
    if is_killed:
        until(lambda: len(rows(database, roles)) == 3, description="all roles exist")
        assert killed(running).returncode == -signal.SIGKILL
    else:
        done = ended(running)
        assert done.returncode in {0, 1}, done.stderr
    until(lambda: rows(database, roles) == [other], description="its roles are dropped")
    with connected(database) as session:
        session.execute(f"DROP ROLE {other}")


def test_url_options_do_not_apply_to_the_throwaway_server(
    check_project: Project, cache: Path
) -> None:
    """Encryption, or options that only one host understands."""
    ini = Path(check_project.ini)
    lines = ini.read_text().splitlines()
    query = "sslmode=verify-full&channel_binding=require&options=endpoint%%3Dquiet-sea"
    ini.write_text(
        "\n".join(
            f"{line}?{query}" if line.startswith("sqlalchemy.url") else line for line in lines
        )
    )
    check_project.revision(
        "r1",
        "r0",
        'op.add_column("person", sa.Column("x", sa.Integer))',
        'op.drop_column("person", "x")',
    )
    assert codes_of(check_in_process(check_project, cache)) == []
