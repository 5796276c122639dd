from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest
from helpers import at, connected, rows, until

from liftlock.errors import NotNow
from liftlock.events import Event, silent
from liftlock.postgres.advisory_lock import (
    LockHeldError,
    LockRequest,
    MigrationLock,
    claim_key,
    hold_lock,
    key_for,
    wait_for_lock,
)
from liftlock.postgres.session import connect, query
from liftlock.postgres.signals import Signals
from liftlock.settings import Address

TABLE = "public.alembic_version"
SESSIONS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'liftlock%'
"""
OTHER_SESSIONS = SESSIONS + " AND pid <> {pid}"


@pytest.fixture
def signals() -> Iterator[Signals]:
    """Signals, entered."""
    with Signals() as entered:
        yield entered


def lock(
    address: Address, signals: Signals, table: str = TABLE
) -> AbstractContextManager[MigrationLock]:
    """Take the lock."""
    return hold_lock(LockRequest(address, table, "upgrade", 5), signals, silent)


def wait(
    address: Address, seconds: float, signals: Signals, events: list[Event] | None = None
) -> None:
    """Wait for the lock."""
    notify = [].append if events is None else events.append
    request = LockRequest(address, TABLE, "upgrade", seconds)
    wait_for_lock(request, time.monotonic(), signals, notify)


def test_each_version_table_has_its_own_key() -> None:
    """Two projects in one database don't wait for each other; the key fits a bigint."""
    first = key_for("public.alembic_version")
    second = key_for("tenant.alembic_version")
    assert first != second
    assert 0 <= first < 2**63
    assert claim_key("public.alembic_version") not in {first, first ^ 1}  # ^ 1 is the fence's


def test_the_key_never_changes() -> None:
    """Two versions of liftlock must exclude each other."""
    assert key_for("public.alembic_version") == 8354405854851669902


def test_only_one_run_holds_the_lock(database: Address, signals: Signals) -> None:
    """Another one gets an error at once, and leaves no session."""
    refused = pytest.raises(LockHeldError)
    with (
        lock(database, signals),
        refused,
        Signals() as other_signals,
        lock(database, other_signals),
    ):
        raise AssertionError
    until(lambda: rows(database, SESSIONS) == [0], 10, "the sessions have ended")


def test_a_second_run_waits_and_names_the_holder(database: Address, signals: Signals) -> None:
    """It continues when the first run has ended."""
    events: list[Event] = []
    taken = threading.Event()

    def first_run() -> None:
        with Signals() as own_signals, lock(database, own_signals):
            taken.set()
            time.sleep(1)

    thread = threading.Thread(target=first_run)
    thread.start()
    taken.wait()
    wait(database, 20, signals, events)
    thread.join()
    assert events[0].name == "flight.awaited"
    assert events[0].text.startswith("waiting for another run: pid ")
    assert "liftlock upgrade@" in events[0].text


def test_a_waiting_run_has_no_session_between_two_looks(
    database: Address, signals: Signals
) -> None:
    """The pauses become longer than the looks, so it is seen without a session most of the time."""
    seen = []

    def wait_in_vain() -> None:
        with contextlib.suppress(NotNow):
            wait(database, 4, Signals())

    with lock(database, signals) as held:
        thread = threading.Thread(target=wait_in_vain)
        thread.start()
        while thread.is_alive():
            seen += rows(database, OTHER_SESSIONS.format(pid=held.pid))
            time.sleep(0.02)
    assert seen.count(0) > len(seen) / 2
    assert max(seen) <= 1


def test_a_refused_connection_is_a_reason_to_wait(database: Address, signals: Signals) -> None:
    """No other run is blamed for it at the deadline."""
    events: list[Event] = []
    with connected(database) as session:
        session.execute("CREATE ROLE crowd LOGIN PASSWORD 'crowd' CONNECTION LIMIT 0")
    try:
        crowd = at(database, database.dbname, user="crowd", password="crowd")
        with pytest.raises(NotNow) as caught:
            wait(crowd, 0.5, signals, events)
    finally:
        with connected(database) as session:
            session.execute("DROP ROLE crowd")
    assert caught.value.code == "LL-TOO-MANY-CONNECTIONS"
    assert events[0].text.startswith("waiting for too many connections: ")


def test_the_wait_ends_at_the_deadline(database: Address, signals: Signals) -> None:
    """With an error that names the holder."""
    refused = pytest.raises(NotNow, match="liftlock upgrade@")
    with lock(database, signals), refused as caught:
        wait(database, 0.5, signals)
    assert caught.value.code == "LL-OTHER-RUN-ACTIVE"


def test_the_holder_may_have_another_role(database: Address, signals: Signals) -> None:
    """The time at which its session began is hidden then."""
    role = f"other_{database.dbname}"
    with connected(database) as session:
        session.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'other'")
    other = at(database, database.dbname, user=role, password="other")
    with lock(database, signals), pytest.raises(NotNow, match="pid ") as caught:
        wait(other, 0.5, signals)
    assert caught.value.code == "LL-OTHER-RUN-ACTIVE"


def test_a_waiting_run_holds_no_snapshot(database: Address, signals: Signals) -> None:
    """CREATE INDEX CONCURRENTLY, which waits for snapshots, doesn't wait for it."""
    refused = threading.Event()

    def waiting_run() -> None:
        with pytest.raises(NotNow):
            wait(database, 3, Signals())
        refused.set()

    with connected(database) as session, lock(database, signals):
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
        lock(database, signals),
        Signals() as other_signals,
        lock(database, other_signals, table="tenant.alembic_version"),
    ):
        pass


def test_a_lost_lock_is_noticed_before_a_commit(database: Address, signals: Signals) -> None:
    """By the check, when the session that held it was terminated."""
    with lock(database, signals) as held:
        held.check()
        with connected(database) as session:
            session.execute("SELECT pg_terminate_backend(%s)", [held.pid])
        with pytest.raises(NotNow, match="single-flight") as caught:
            held.check()
    assert caught.value.code == "LL-SINGLE-FLIGHT-LOST"
    assert held.monitor.failure is caught.value.__cause__


def test_the_lock_is_released(database: Address, signals: Signals) -> None:
    """Another session can take it."""
    with lock(database, signals) as held:
        assert held.key == key_for(TABLE)
    with connected(database) as session:
        row = session.execute("SELECT pg_try_advisory_lock(%s)", [key_for(TABLE)]).fetchone()
    assert row == (True,)


def test_further_sessions_take_the_role_of_the_lock(database: Address, signals: Signals) -> None:
    """Workers of a backfill see what the project's connection sees."""
    with lock(database, signals) as held:
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
