"""Runs of a project in forked children, killed where a test says; and what a database then holds."""

from __future__ import annotations

import itertools
import os
import re
import signal
from collections.abc import Callable

import psycopg
from helpers import Project, connected, dump, rows

from liftlock import settings
from liftlock.commands.downgrade import downgrade
from liftlock.commands.upgrade import upgrade
from liftlock.errors import LiftlockError
from liftlock.events import silent
from liftlock.postgres.interrupts import Interrupts
from liftlock.settings import Address


def catalog(address: Address) -> tuple[object, ...]:
    """The whole schema, as PostgreSQL's tools and tables tell it."""
    constraints = """SELECT conrelid::regclass::text, conname, contype, convalidated, condeferrable, conindid::regclass::text,
        pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid <> 0 AND connamespace = 'public'::regnamespace ORDER BY 1, 2"""
    indexes = """SELECT indexrelid::regclass::text, indisvalid, indisready, indisunique, indisprimary, indisreplident,
        pg_get_indexdef(indexrelid) FROM pg_index AS i JOIN pg_class AS c ON c.oid = indrelid
        WHERE relnamespace = 'public'::regnamespace ORDER BY 1"""
    attributes = """SELECT attrelid::regclass::text, attname, attnotnull, atttypid::regtype::text, atttypmod, attidentity, attstattarget,
        attoptions, attacl::text, attstorage, attcollation::regcollation::text
        FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = attrelid
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND attnum > 0 AND NOT attisdropped ORDER BY 1, 2"""
    return (unordered(dump(address)), rows(address, constraints), rows(address, indexes), rows(address, attributes))


def unordered(text: str) -> str:
    """A dump without the order of the columns of a table: a new one, of a type change, stands last."""
    table = re.compile(r"(?<=^CREATE TABLE )(\S+ \()\n(.*?)\n(?=\);)", re.MULTILINE | re.DOTALL)
    return table.sub(lambda found: "\n".join([found[1], *sorted(line.rstrip(",") for line in found[2].split("\n"))]), text)


def contents(address: Address, skip: str = "token|draw") -> dict[str, object]:
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
    ours = """SELECT conname FROM pg_constraint WHERE conname LIKE 'liftlock%'
        UNION ALL SELECT relname FROM pg_class WHERE relname LIKE 'liftlock%'
        UNION ALL SELECT attname FROM pg_attribute WHERE attname LIKE 'liftlock%'
        UNION ALL SELECT tgname FROM pg_trigger WHERE tgname LIKE '%liftlock%'
        UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'liftlock'::regnamespace"""
    assert rows(address, ours) == []
    assert rows(address, "SELECT count(*) FROM liftlock.executions WHERE finished_at IS NULL") == [0]
    assert rows(address, "SELECT count(*) FROM liftlock.answers") == [0]
    mine = """SELECT count(*) FROM pg_locks
        WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
    assert rows(address, mine) == [0]
