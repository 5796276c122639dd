"""A run on a real server: its connection, its single-flight lock and its ledger."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest
import sqlalchemy as sa
from execution.fakes import operation, step
from helpers import rows
from sqlalchemy.pool import NullPool

from liftlock.events import silent
from liftlock.execution.connection import ProjectConnection
from liftlock.execution.journal import Journal
from liftlock.execution.limits import BackfillThrottle, RunLimits
from liftlock.execution.memory import RunMemory
from liftlock.execution.session_settings import SessionSettings
from liftlock.execution.transaction import Transaction, commit_open
from liftlock.postgres.advisory_lock import LockRequest, hold_lock
from liftlock.postgres.ledger import Ledger, StepRecord
from liftlock.postgres.signals import Signals
from liftlock.postgres.standbys import Standbys
from liftlock.settings import Address

KEY = ("shape", 0)
each_driver = pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "pg8000"])
"""Run a test over each driver that isn't asynchronous."""
COMMITTED_STEPS = "SELECT does FROM liftlock.steps ORDER BY position"


@dataclass
class ServerRun:
    """A run of one revision.

    Parameters:
        database: the database.
        connection: the project's connection to it.
        limits: the limits of the run.
        settings: the settings that the revision makes.
        ledger: the ledger of the database.
        memory: what earlier attempts learned.
    """

    database: Address
    connection: ProjectConnection
    limits: RunLimits
    settings: SessionSettings
    ledger: Ledger
    memory: RunMemory = field(default_factory=RunMemory)

    def attempt(self, *, external: bool = False, signals: Signals | None = None) -> ServerAttempt:
        """Begin an attempt, after what the ledger has of earlier ones."""
        journal = Journal(self.ledger, self.ledger.resume("a1", "up", "source"), self.memory)
        commit_open(self.connection.connection)
        limits = self.limits if signals is None else replace(self.limits, signals=signals)
        transaction = Transaction(
            self.connection, self.settings, journal, limits, self.memory, external=external
        )
        return ServerAttempt(self, transaction, journal)

    def others_see(self, relation: str) -> bool:
        """Return whether another session sees a table or a view."""
        (seen,) = rows(self.database, f"SELECT to_regclass('{relation}') IS NOT NULL")
        return seen

    def committed_steps(self) -> list[str]:
        """Return the names of the steps that the ledger has, as another session sees it."""
        return rows(self.database, COMMITTED_STEPS)

    def setting(self, name: str) -> str:
        """Return the value of a parameter of the project's session."""
        return self.connection.send(f"SELECT current_setting('{name}') AS value")[0]["value"]

    def pid(self) -> int:
        """Return the backend of the project's session."""
        return self.connection.send("SELECT pg_backend_pid() AS pid")[0]["pid"]


@dataclass
class ServerAttempt:
    """One attempt at the revision of a run."""

    run: ServerRun
    transaction: Transaction
    journal: Journal

    def send(self, *statements: str) -> None:
        """Send statements as liftlock does for its steps."""
        for statement in statements:
            self.run.connection.send(statement)

    def record(self, name: str = "plain") -> None:
        """Record a finished step for the next commit."""
        number = len(self.run.committed_steps())
        self.journal.add(StepRecord(KEY, number, number, operation(), step(name=name)))


@contextlib.contextmanager
def server_run(database: Address, driver: str) -> Iterator[ServerRun]:
    """Begin a run over a driver, with the stall budget of 100 ms."""
    url = sa.URL.create(
        f"postgresql+{driver}",
        username=database.user,
        password=database.password,
        host=database.host,
        port=int(database.port),
        database=database.dbname,
    )
    request = LockRequest(database, "public.alembic_version", "upgrade", deadline=5)
    engine = sa.create_engine(url, poolclass=NullPool)
    with hold_lock(request, Signals(), silent) as lock, engine.connect() as sqlalchemy_connection:
        connection = ProjectConnection(sqlalchemy_connection)
        settings = SessionSettings(connection)
        ledger = Ledger(settings.ledger_rows, request.version_table)
        ledger.prepare()
        ledger.begin_run("upgrade", "")
        commit_open(sqlalchemy_connection)
        limits = RunLimits(
            deadline=5,
            budget=100,
            small_table_bytes=0,
            allowed=frozenset(),
            throttle=BackfillThrottle(1, 10, 1),
            signals=Signals(),
            lock=lock,
            standbys=Standbys(database, (), silent),
            notify=silent,
        )
        yield ServerRun(database, connection, limits, settings, ledger)
