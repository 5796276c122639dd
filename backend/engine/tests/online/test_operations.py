"""Each operation in its online form: plain Alembic's schema, exactly once, whenever the runner is killed."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from helpers import Project, at, connected, dump, make_project, rows
from online.operations import CASES, SEED

from liftlock import settings
from liftlock.commands.downgrade import downgrade
from liftlock.commands.upgrade import upgrade
from liftlock.errors import LiftlockError
from liftlock.events import silent
from liftlock.postgres.interrupts import Interrupts
from liftlock.settings import Address

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def template(server: Address, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A seeded database at the first revision, with a ledger."""
    name = f"template_{os.getpid()}"
    with connected(server) as session:
        session.execute(f"CREATE DATABASE {name}")
    project = make_project(tmp_path_factory.mktemp("seed"), at(server, name))
    project.revision("r0", None, SEED)
    done = project.run("upgrade")
    assert done.returncode == 0, done.stderr
    return name


@pytest.fixture
def fresh(server: Address, template: str, tmp_path: Path) -> Iterator[Callable[[str], Project]]:
    """Makes projects on copies of the seeded database, with the case as their second revision."""
    names = []

    def make(case: str) -> Project:
        name = f"online_{os.getpid()}_{next(_numbers)}"
        with connected(server) as session:
            session.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        names.append(name)
        (tmp_path / name).mkdir()
        project = make_project(tmp_path / name, at(server, name))
        project.revision("r0", None, SEED)
        project.revision("r1", "r0", CASES[case].up, CASES[case].down)
        return project

    yield make
    with connected(server) as session:
        for name in names:
            session.execute(f"DROP DATABASE {name} WITH (FORCE)")


def catalog(address: Address) -> tuple[object, ...]:
    """The whole schema, as PostgreSQL's tools and tables tell it."""
    constraints = """SELECT conrelid::regclass::text, conname, contype, convalidated, condeferrable, conindid::regclass::text,
        pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid <> 0 AND connamespace = 'public'::regnamespace ORDER BY 1, 2"""
    indexes = """SELECT indexrelid::regclass::text, indisvalid, indisready, indisunique, indisprimary, indisreplident,
        pg_get_indexdef(indexrelid) FROM pg_index AS i JOIN pg_class AS c ON c.oid = indrelid
        WHERE relnamespace = 'public'::regnamespace ORDER BY 1"""
    attributes = """SELECT attrelid::regclass::text, attname, attnotnull, atttypid::regtype::text, atttypmod, attidentity, attstattarget
        FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = attrelid
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped ORDER BY 1, attnum"""
    return (dump(address), rows(address, constraints), rows(address, indexes), rows(address, attributes))


def contents(address: Address, skip: str = "token|drawn") -> dict[str, object]:
    """All rows of all tables, but for columns whose values are drawn by chance: of these, how many are null."""
    tables = rows(address, "SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'")
    found = {}
    for table in tables:
        chance = f"""SELECT attname FROM pg_attribute
            WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped AND attname ~ '{skip}'"""
        names = rows(address, chance)
        nulls = [rows(address, f'SELECT count(*) FROM {table} WHERE "{name}" IS NULL') for name in names]
        shown = f"to_jsonb(t) - ARRAY[{', '.join(repr(name) for name in names)}]::text[]"
        found[table] = (rows(address, f"SELECT ({shown})::text FROM {table} AS t ORDER BY 1"), nulls)
    return found


def expected(project: Project, *arguments: str) -> tuple[object, ...]:
    """What plain Alembic makes."""
    done = project.run(*arguments, program="alembic")
    assert done.returncode == 0, done.stderr
    return (*catalog(project.database), contents(project.database))


def child(project: Project, command: str, kill: Callable[[], None] | None = None, **variables: str) -> int:
    """Run a command in a forked child; its exit code, or the negative number of the signal that ended it."""
    pid = os.fork()
    if pid:
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status)
    code = 99
    try:
        given = {"ALEMBIC_CONFIG": project.ini, "LIFTLOCK_SMALL_TABLE": "0", "LIFTLOCK_DEADLINE": "60", **variables}
        found = settings.read(given)
        if kill:
            kill()
        with Interrupts() as interrupts:
            if command == "upgrade":
                upgrade(found, interrupts=interrupts, notify=silent)
            else:
                downgrade(found, "r0", interrupts=interrupts, notify=silent)
        code = 0
    except LiftlockError as error:
        os.write(2, f"{error}\n".encode())
        code = error.exit_code
    except BaseException as error:  # noqa: BLE001 - the child must not go on as a second pytest
        import traceback  # noqa: PLC0415

        os.write(2, "".join(traceback.format_exception(error)).encode())
    finally:
        os._exit(code)


def terminate(address: Address) -> None:
    """End every session of liftlock's on a database, as an administrator or a failing network would."""
    with connected(address) as session:
        session.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE 'liftlock%'"
        )


def terminator(number: int, address: Address) -> Callable[[], None]:
    """Ends all sessions right after the commit of that number; the process goes on."""

    def install() -> None:
        real, seen = psycopg.Connection.commit, itertools.count(1)

        def commit(self: psycopg.Connection[object]) -> None:
            real(self)
            if next(seen) == number:
                terminate(address)

        psycopg.Connection.commit = commit  # type: ignore[method-assign]

    return install


def killer(number: int, *, before: bool) -> Callable[[], None]:
    """Kills the process right before, or right after, its commit of that number."""

    def install() -> None:
        real, seen = psycopg.Connection.commit, itertools.count(1)

        def commit(self: psycopg.Connection[object]) -> None:
            mine = next(seen)
            if mine == number and before:
                os.kill(os.getpid(), signal.SIGKILL)
            real(self)
            if mine == number:
                os.kill(os.getpid(), signal.SIGKILL)

        psycopg.Connection.commit = commit  # type: ignore[method-assign]

    return install


def nothing_is_left(address: Address) -> None:
    """No helper, no lock, no session of ours; nothing unfinished in the ledger."""
    assert rows(address, "SELECT conname FROM pg_constraint WHERE conname LIKE 'liftlock%'") == []
    assert rows(address, "SELECT count(*) FROM liftlock.executions WHERE finished_at IS NULL") == [0]
    assert rows(address, "SELECT count(*) FROM liftlock.answers") == [0]
    mine = """SELECT count(*) FROM pg_locks
        WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
    assert rows(address, mine) == [0]


@pytest.mark.parametrize("case", CASES)
def test_same_schema(fresh: Callable[[str], Project], case: str) -> None:
    """Up and down, the catalog and the rows are those of plain Alembic; and the online form was taken."""
    plain, ours = fresh(case), fresh(case)
    wanted = expected(plain, "upgrade", "head")
    assert child(ours, "upgrade") == 0
    assert (*catalog(ours.database), contents(ours.database)) == wanted
    parts = rows(ours.database, "SELECT DISTINCT does FROM liftlock.steps")
    assert CASES[case].part in ("", *parts)
    nothing_is_left(ours.database)
    wanted = expected(plain, "downgrade", "r0")
    assert child(ours, "downgrade") == 0
    assert (*catalog(ours.database), contents(ours.database)) == wanted
    nothing_is_left(ours.database)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("case", CASES)
def test_killed_at_every_boundary(fresh: Callable[[str], Project], case: str, *, before: bool) -> None:
    """SIGKILL at the first commit, at the second and so on, each time of a run that resumes the last one."""
    plain, ours = fresh(case), fresh(case)
    wanted = expected(plain, "upgrade", "head")
    code, number = -9, 0
    while code == -9:
        number += 1
        assert number < 60
        code = child(ours, "upgrade", killer(number, before=before))
    assert code == 0
    assert number > 3, "it was never killed"
    assert (*catalog(ours.database), contents(ours.database)) == wanted
    nothing_is_left(ours.database)


@pytest.mark.parametrize("case", CASES)
def test_sessions_ended_at_every_boundary(fresh: Callable[[str], Project], case: str) -> None:
    """pg_terminate_backend of each session, after the first commit, the second and so on: not now, and the next run goes on."""
    plain, ours = fresh(case), fresh(case)
    wanted = expected(plain, "upgrade", "head")
    code, number = 4, 0
    while code == 4:
        number += 1
        assert number < 60
        code = child(ours, "upgrade", terminator(number, ours.database))
    assert code == 0
    assert number > 3, "nothing was ever ended"
    assert (*catalog(ours.database), contents(ours.database)) == wanted
    nothing_is_left(ours.database)


@pytest.mark.parametrize("case", CASES)
def test_a_further_run_locks_nothing(fresh: Callable[[str], Project], case: str) -> None:
    """At head, a run gets through while another session holds locks that conflict with any change of a table."""
    ours = fresh(case)
    assert child(ours, "upgrade") == 0
    tables = rows(ours.database, "SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'")
    user = [table for table in tables if table != "alembic_version"]
    with psycopg.connect(**ours.database.keywords()) as session:  # type: ignore[arg-type]
        session.execute(f"LOCK TABLE {', '.join(user)} IN SHARE UPDATE EXCLUSIVE MODE")
        before = rows(ours.database, "SELECT count(*) FROM liftlock.runs")
        assert child(ours, "upgrade", LIFTLOCK_DEADLINE="5") == 0
        assert rows(ours.database, "SELECT count(*) FROM liftlock.runs") == before
