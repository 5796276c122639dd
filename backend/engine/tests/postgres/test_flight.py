"""Single flight, with real locks."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

import pytest
from helpers import connected

from liftlock.errors import NotNow
from liftlock.events import Event
from liftlock.postgres.advisory_lock import MigrationLock, key_for, single_flight
from liftlock.postgres.session import connect, query
from liftlock.postgres.signals import Signals
from liftlock.settings import Address

TABLE = "public.alembic_version"


@pytest.fixture
def interrupts() -> Iterator[Signals]:
    """Signals, taken."""
    with Signals() as entered:
        yield entered


def fly(
    address: Address, seconds: float, interrupts: Signals, told: list[Event], table: str = TABLE
):
    """Take the lock."""
    return single_flight(address, table, "upgrade", seconds, interrupts, told.append)


def test_the_second_waits_and_says_for_whom(database: Address, interrupts: Signals) -> None:
    """Its wait names the holder; it goes on when the holder is done."""
    told: list[Event] = []
    landed = threading.Event()

    def first() -> None:
        with Signals() as own, fly(database, 5, own, []):
            landed.set()
            time.sleep(1)

    thread = threading.Thread(target=first)
    thread.start()
    landed.wait()
    with fly(database, 20, interrupts, told):
        pass
    thread.join()
    assert told[0].name == "flight.awaited"
    assert "liftlock upgrade@" in told[0].text


def test_waiting_is_bounded(database: Address, interrupts: Signals) -> None:
    """At the deadline it is not now, with the holder's name."""
    expected = pytest.raises(NotNow, match="liftlock upgrade@")
    with (
        fly(database, 5, interrupts, []),
        expected as caught,
        Signals() as other,
        fly(database, 0.5, other, []),
    ):
        raise AssertionError
    assert caught.value.code == "LL-OTHER-RUN-ACTIVE"


def test_a_waiter_holds_no_snapshot(database: Address, interrupts: Signals) -> None:
    """So CREATE INDEX CONCURRENTLY, which waits for snapshots, can't deadlock with it."""
    stop = threading.Event()

    def waiter() -> None:
        with Signals() as own, pytest.raises(NotNow), fly(database, 3, own, []):
            raise AssertionError
        stop.set()

    with connected(database) as session, fly(database, 5, interrupts, []):
        session.execute("CREATE TABLE t AS SELECT 1 AS a")
        thread = threading.Thread(target=waiter)
        thread.start()
        time.sleep(0.5)
        session.execute("CREATE INDEX CONCURRENTLY ON t (a)")
        assert not stop.is_set()
        thread.join()


def test_other_version_tables_do_not_wait(database: Address, interrupts: Signals) -> None:
    """The lock belongs to the database and the version table."""
    with (
        fly(database, 5, interrupts, []),
        Signals() as other,
        fly(database, 0.5, other, [], "tenant.alembic_version"),
    ):
        pass


def test_a_lost_lock_is_noticed(database: Address, interrupts: Signals) -> None:
    """Before anything more is committed."""
    with fly(database, 5, interrupts, []) as flight:
        flight.check()
        with connected(database) as session:
            session.execute("SELECT pg_terminate_backend(%s)", [flight.pid])
        with pytest.raises(NotNow, match="single-flight"):
            flight.check()


def test_it_is_let_go(database: Address, interrupts: Signals) -> None:
    """Nothing is left in pg_locks."""
    with fly(database, 5, interrupts, []) as flight:
        assert isinstance(flight, MigrationLock)
    with connected(database) as session:
        row = session.execute("SELECT pg_try_advisory_lock(%s)", [key_for(TABLE)]).fetchone()
    assert row == (True,)


def test_a_lock_on_a_row_is_no_lock_on_its_table(database: Address) -> None:
    """Who waits for a row holds a heavy lock on it meanwhile, and who appends to a table one on its end: both name the table."""
    with (
        connected(database) as first,
        contextlib.closing(connect(database, "test")) as other,
        connected(database) as waiting,
    ):
        first.execute("CREATE TABLE t (a integer)")
        first.execute("INSERT INTO t VALUES (1)")
        pid = waiting.info.backend_pid
        with first.transaction():
            first.execute("UPDATE t SET a = 2")
            thread = threading.Thread(target=lambda: waiting.execute("UPDATE t SET a = 3"))
            thread.start()
            end = time.monotonic() + 30
            while not other.execute(
                "SELECT 1 FROM pg_locks WHERE pid = %s AND locktype = 'tuple' AND granted", [pid]
            ).fetchone():
                assert time.monotonic() < end
                time.sleep(0.01)
            assert query(other, "held", pid=pid) == []
        thread.join()
