from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest
from helpers import connected

from liftlock.errors import NotNow
from liftlock.events import Event
from liftlock.postgres.advisory_lock import LockRequest, MigrationLock, hold_lock, key_for
from liftlock.postgres.session import connect, query
from liftlock.postgres.signals import Signals
from liftlock.settings import Address

TABLE = "public.alembic_version"


@pytest.fixture
def signals() -> Iterator[Signals]:
    """Signals, entered."""
    with Signals() as entered:
        yield entered


def lock(
    address: Address,
    seconds: float,
    signals: Signals,
    events: list[Event] | None = None,
    table: str = TABLE,
) -> AbstractContextManager[MigrationLock]:
    """Take the lock."""
    notify = [].append if events is None else events.append
    return hold_lock(LockRequest(address, table, "upgrade", seconds), signals, notify)


def test_each_version_table_has_its_own_key() -> None:
    """Two projects in one database don't wait for each other; the key fits a bigint."""
    first = key_for("public.alembic_version")
    second = key_for("tenant.alembic_version")
    assert first != second
    assert 0 <= first < 2**63


def test_the_key_never_changes() -> None:
    """Two versions of liftlock must exclude each other."""
    assert key_for("public.alembic_version") == 8354405854851669902


def test_a_second_run_waits_and_names_the_holder(database: Address, signals: Signals) -> None:
    """It continues when the first run has ended."""
    events: list[Event] = []
    taken = threading.Event()

    def first_run() -> None:
        with Signals() as own_signals, lock(database, 5, own_signals):
            taken.set()
            time.sleep(1)

    thread = threading.Thread(target=first_run)
    thread.start()
    taken.wait()
    with lock(database, 20, signals, events):
        pass
    thread.join()
    assert events[0].name == "flight.awaited"
    assert "liftlock upgrade@" in events[0].text


def test_the_wait_ends_at_the_deadline(database: Address, signals: Signals) -> None:
    """With an error that names the holder."""
    refused = pytest.raises(NotNow, match="liftlock upgrade@")
    with (
        lock(database, 5, signals),
        refused as caught,
        Signals() as other_signals,
        lock(database, 0.5, other_signals),
    ):
        raise AssertionError
    assert caught.value.code == "LL-OTHER-RUN-ACTIVE"


def test_a_waiting_run_holds_no_snapshot(database: Address, signals: Signals) -> None:
    """CREATE INDEX CONCURRENTLY, which waits for snapshots, doesn't wait for it."""
    refused = threading.Event()

    def waiting_run() -> None:
        with Signals() as own_signals, pytest.raises(NotNow), lock(database, 3, own_signals):
            raise AssertionError
        refused.set()

    with connected(database) as session, lock(database, 5, signals):
        session.execute("CREATE TABLE t AS SELECT 1 AS a")
        thread = threading.Thread(target=waiting_run)
        thread.start()
        time.sleep(0.5)
        session.execute("CREATE INDEX CONCURRENTLY ON t (a)")
        assert not refused.is_set()
        thread.join()


def test_runs_on_other_version_tables_do_not_wait(database: Address, signals: Signals) -> None:
    """The lock belongs to the database and the version table."""
    with (
        lock(database, 5, signals),
        Signals() as other_signals,
        lock(database, 0.5, other_signals, table="tenant.alembic_version"),
    ):
        pass


def test_a_lost_lock_is_noticed_before_a_commit(database: Address, signals: Signals) -> None:
    """By the check, when the session that held it was terminated."""
    with lock(database, 5, signals) as held:
        held.check()
        with connected(database) as session:
            session.execute("SELECT pg_terminate_backend(%s)", [held.pid])
        with pytest.raises(NotNow, match="single-flight") as caught:
            held.check()
    assert caught.value.code == "LL-SINGLE-FLIGHT-LOST"
    assert held.monitor.failure is caught.value.__cause__


def test_the_lock_is_released(database: Address, signals: Signals) -> None:
    """Another session can take it."""
    with lock(database, 5, signals) as held:
        assert held.key == key_for(TABLE)
    with connected(database) as session:
        row = session.execute("SELECT pg_try_advisory_lock(%s)", [key_for(TABLE)]).fetchone()
    assert row == (True,)


def test_further_sessions_take_the_role_of_the_lock(database: Address, signals: Signals) -> None:
    """Workers of a backfill see what the project's connection sees."""
    with lock(database, 5, signals) as held:
        held.assume_role("pg_monitor")
        with contextlib.closing(held.open_session()) as session:
            row = session.execute("SELECT current_user AS role").fetchone()
    assert row == {"role": "pg_monitor"}


def test_a_row_lock_is_no_table_lock(database: Address) -> None:
    """A session that waits for a row holds a heavyweight lock of type tuple on it.

    One that extends a table holds a lock of type extend. Both name the table in pg_locks.
    """
    with (
        connected(database) as first,
        contextlib.closing(connect(database, "test")) as observer,
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
            while not observer.execute(
                "SELECT 1 FROM pg_locks WHERE pid = %s AND locktype = 'tuple' AND granted", [pid]
            ).fetchone():
                assert time.monotonic() < end
                time.sleep(0.01)
            assert query(observer, "table_locks", pid=pid) == []
        thread.join()
