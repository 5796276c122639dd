"""Runs of a project in forked children, killed where a test says; and what a database then holds."""

from __future__ import annotations

import itertools
import os
import re
import signal
import traceback
from collections.abc import Callable
from pathlib import Path

import alembic.command
import psycopg
from alembic.config import Config
from helpers import Project, connected, dump, rows
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from liftlock import settings
from liftlock.commands.downgrade import downgrade
from liftlock.commands.upgrade import upgrade
from liftlock.errors import LiftlockError
from liftlock.events import silent
from liftlock.execution.connection import ProjectConnection
from liftlock.postgres.signals import Signals
from liftlock.settings import Address


def catalog(address: Address, *, moved: bool = False) -> tuple[object, ...]:
    """The whole schema, as PostgreSQL's tools and tables tell it.

    Parameters:
        address: the database.
        moved: whether a column may stand elsewhere, since its type change needed a new one.
    """
    constraints = """SELECT conrelid::regclass::text, conname, contype, convalidated, condeferrable, conindid::regclass::text,
        pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid <> 0 AND connamespace = 'public'::regnamespace ORDER BY 1, 2"""
    indexes = """SELECT indexrelid::regclass::text, indisvalid, indisready, indisunique, indisprimary, indisreplident,
        pg_get_indexdef(indexrelid) FROM pg_index AS i JOIN pg_class AS c ON c.oid = indrelid
        WHERE relnamespace = 'public'::regnamespace ORDER BY 1"""
    attributes = """SELECT attrelid::regclass::text, attname, attnotnull, atttypid::regtype::text, atttypmod, attidentity, attstattarget,
        attoptions, attacl::text, attstorage, attcollation::regcollation::text
        FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = attrelid
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND attnum > 0 AND NOT attisdropped ORDER BY 1, 2"""
    return (
        unordered(dump(address)) if moved else dump(address),
        rows(address, constraints),
        rows(address, indexes),
        rows(address, attributes),
    )


def unordered(text: str) -> str:
    """A dump without the order of the columns of a table: a new one, of a type change, stands last."""
    table = re.compile(r"(?<=^CREATE TABLE )(\S+ \()\n(.*?)\n(?=\);)", re.MULTILINE | re.DOTALL)
    return table.sub(
        lambda found: "\n".join(
            [found[1], *sorted(line.rstrip(",") for line in found[2].split("\n"))]
        ),
        text,
    )


def contents(address: Address, *, gapless: bool = False) -> dict[str, object]:
    """All rows of all tables; of columns whose values are drawn, how many there are.

    Parameters:
        address: the database.
        gapless: whether numbers of a sequence are compared too; what was rolled back leaves a gap there.
    """
    tables = rows(
        address,
        "SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'",
    )
    found = {}
    for table in tables:
        chance = f"""SELECT attname, atttypid IN ('integer'::regtype, 'bigint'::regtype) FROM pg_attribute
            WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped AND attname ~ '^(token|draw)'"""
        names = rows(address, chance)
        counted, listed = (
            'SELECT count("{0}"), count(DISTINCT "{0}") FROM {1}',
            'SELECT "{0}" FROM {1} ORDER BY 1',
        )
        values = [
            rows(address, (listed if number and gapless else counted).format(name, table))
            for name, number in names
        ]
        shown = f"to_jsonb(t) - ARRAY[{', '.join(repr(name) for name, _ in names)}]::text[]"
        found[table] = (
            rows(address, f"SELECT ({shown})::text FROM {table} AS t ORDER BY 1"),
            values,
        )
    return found


def expected(
    project: Project, command: str, target: str, *, moved: bool = False, gapless: bool = False
) -> tuple[object, ...]:
    """What plain Alembic makes."""
    assert forked(lambda: getattr(alembic.command, command)(Config(project.ini), target)) == 0
    return state(project.database, moved=moved, gapless=gapless)


def state(address: Address, *, moved: bool = False, gapless: bool = False) -> tuple[object, ...]:
    """The whole schema and all rows."""
    return (*catalog(address, moved=moved), contents(address, gapless=gapless))


def child(
    project: Project, command: str, kill: Callable[[], None] | None = None, **variables: str
) -> int:
    """Run a command of liftlock's in a forked child; its exit code, or the negative number of the signal that ended it."""

    def run() -> None:
        given = {
            "ALEMBIC_CONFIG": project.ini,
            "LIFTLOCK_SMALL_TABLE": "0",
            "LIFTLOCK_DEADLINE": "60",
            **variables,
        }
        found = settings.read(given)
        if kill:
            kill()
        with Signals() as interrupts:
            if command == "upgrade":
                upgrade(found, interrupts=interrupts, notify=silent)
            else:
                downgrade(found, "r0", interrupts=interrupts, notify=silent)

    return forked(run)


def forked(run: Callable[[], None]) -> int:
    """Run something in a forked child, which needs no start; its exit code, or the negative number of the signal that ended it."""
    pid = os.fork()
    if pid:
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status)
    code = 99
    try:
        run()
        code = 0
    except LiftlockError as error:
        os.write(2, f"{error}\n".encode())
        code = error.exit_code
    except BaseException as error:
        os.write(2, "".join(traceback.format_exception(error)).encode())
    finally:
        os._exit(code)


STEPS = """SELECT concat_ws(' ', count(*), count(e.finished_at), (SELECT count(*) FROM liftlock.steps),
        (SELECT count(finished_at) FROM liftlock.steps), (SELECT string_agg(cursor::text, ' ') FROM liftlock.steps))
    FROM liftlock.executions AS e"""
"""How far a database has come: of revisions, steps and batches, how many are begun and how many are finished."""


def _each_commit(act: Callable[[psycopg.Connection[object], str], None]) -> None:
    """Have something done right before, and right after, each commit of this process."""
    real = psycopg.Connection.commit

    def commit(self: psycopg.Connection[object]) -> None:
        act(self, "before")
        real(self)
        act(self, "after")

    psycopg.Connection.commit = commit  # type: ignore[method-assign]


def at_each_boundary(
    noted: Path, act: Callable[[psycopg.Connection[object]], None], *moments: str
) -> Callable[[], None]:
    """Does something once right before, or after, the commit of each step and batch; what it has met is noted in a file.

    Parameters:
        noted: the file; runs that go on with each other share it.
        act: what is done, to the connection that commits.
        moments: ``before``, ``after``.
    """

    def once(session: psycopg.Connection[object], moment: str) -> None:
        if moment not in moments or session.info.transaction_status is TransactionStatus.INERROR:
            return
        fresh = session.info.transaction_status is TransactionStatus.IDLE
        with psycopg.ClientCursor(session, row_factory=tuple_row) as cursor:
            (far,) = cursor.execute(STEPS).fetchone() or ("",)
        if fresh:
            session.rollback()
        if f"{moment} {far}" not in noted.read_text().splitlines():
            with noted.open("a") as file:
                file.write(f"{moment} {far}\n")
            act(session)

    return lambda: _each_commit(once)


def kill(_session: psycopg.Connection[object]) -> None:
    """End this process at once."""
    os.kill(os.getpid(), signal.SIGKILL)


def end_sessions(address: Address, which: str) -> Callable[[psycopg.Connection[object]], None]:
    """Ends sessions of liftlock's, as an administrator or a failing network would: ``the one at work`` or ``the others``."""

    def end(session: psycopg.Connection[object]) -> None:
        sign = "=" if which == "the one at work" else "<>"
        with connected(address) as administrator:
            administrator.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                f" AND application_name LIKE 'liftlock%' AND pid {sign} {session.info.backend_pid}"
            )

    return end


def killer(number: int, *, before: bool) -> Callable[[], None]:
    """Kills the process right before, or right after, its commit of that number."""
    seen = itertools.count(1)

    def one(session: psycopg.Connection[object], moment: str) -> None:
        if (moment == "before") is before and next(seen) == number:
            kill(session)

    return lambda: _each_commit(one)


def noting(file: Path) -> Callable[[], None]:
    """Notes each statement of the engine's own steps that was sent and succeeded."""

    def install() -> None:
        real = ProjectConnection.send

        def send(self: ProjectConnection, sql: str) -> list[dict[str, object]]:
            found = real(self, sql)
            with file.open("a") as out:
                out.write(f"{sql}\n")
            return found

        ProjectConnection.send = send  # type: ignore[method-assign]

    return install


def nothing_is_left(address: Address) -> None:
    """No helper, no lock, no session of ours; nothing unfinished in the ledger."""
    ours = """SELECT conname FROM pg_constraint WHERE conname LIKE 'liftlock%'
        UNION ALL SELECT relname FROM pg_class WHERE relname LIKE 'liftlock%'
        UNION ALL SELECT attname FROM pg_attribute WHERE attname LIKE 'liftlock%'
        UNION ALL SELECT tgname FROM pg_trigger WHERE tgname LIKE '%liftlock%'
        UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'liftlock'::regnamespace"""
    assert rows(address, ours) == []
    assert rows(address, "SELECT count(*) FROM liftlock.executions WHERE finished_at IS NULL") == [
        0
    ]
    assert rows(address, "SELECT count(*) FROM liftlock.answers") == [0]
    mine = """SELECT count(*) FROM pg_locks
        WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
    assert rows(address, mine) == [0]
