from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from liftlock.events import Event
from liftlock.postgres import monitor as monitor_module
from liftlock.postgres.monitor import SessionMonitor, describe_session
from liftlock.postgres.signals import Signals

PID = 4711
BEGUN = datetime(2024, 1, 1, tzinfo=UTC)
BLOCKER: dict[str, Any] = {
    "pid": 12,
    "application_name": "report",
    "state": "idle in transaction",
    "usename": "shop",
    "xact_start": BEGUN,
    "backend_type": "client backend",
    "seconds": 61.4,
    "query": "SELECT *\n  FROM item",
    "maintains": [],
}
LOCK = {"relation": "item", "mode": "AccessExclusiveLock"}


class Server:
    """A server that answers the monitor's queries, in place of a session."""

    def __init__(self) -> None:
        self.answers: dict[str, list[dict[str, Any]]] = {}
        self.error: psycopg.Error | None = None
        self.asked: list[str] = []
        self.during_table_locks: object = None

    def query(
        self, _session: object, name: str, *_statements: object, **_parameters: object
    ) -> list[dict[str, Any]]:
        """Return the answer to a named query."""
        self.asked.append(name)
        if self.error:
            raise self.error
        if name == "table_locks" and callable(self.during_table_locks):
            self.during_table_locks()
        return self.answers.get(name, [])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server that knows nothing; and no time in which a watch observes nothing."""
    server = Server()
    monkeypatch.setattr(monitor_module, "query", server.query)
    monkeypatch.setattr(monitor_module, "_GRACE_SECONDS", -1.0)
    return server


@pytest.fixture
def events() -> list[Event]:
    """The events of the monitor."""
    return []


@pytest.fixture
def monitor(server: Server, events: list[Event]) -> SessionMonitor:
    """A monitor that may cancel reports."""
    return SessionMonitor(server, events.append, ["rep*"])


def stopped() -> Signals:
    """Return signals that have received SIGTERM."""
    signals = Signals()
    signals.stopped = "SIGTERM"
    return signals


def test_nothing_is_asked_outside_a_watch(server: Server, monitor: SessionMonitor) -> None:
    """There is no working session to ask about."""
    monitor.tick(stopped())
    assert monitor.table_locks() == []
    assert server.asked == []


def test_a_signal_cancels_the_statement(server: Server, monitor: SessionMonitor) -> None:
    """Nothing else is asked then."""
    with monitor.watch(PID, patience=10):
        monitor.tick(stopped())
    assert server.asked == ["cancel"]


def test_blockers_are_kept_until_they_are_forgotten(
    server: Server, monitor: SessionMonitor
) -> None:
    """Also when they are gone: the message after a lock timeout names them."""
    with monitor.watch(PID, patience=10):
        server.answers["blockers"] = [BLOCKER]
        monitor.tick(Signals())
        server.answers["blockers"] = []
        monitor.tick(Signals())
    assert monitor.blockers() == [BLOCKER]
    assert monitor.blocker_lines() == [describe_session(BLOCKER)]
    monitor.forget_blockers()
    assert monitor.blockers() == []
    assert not monitor.gave_up


def test_a_statement_that_is_blocked_for_too_long_is_cancelled(
    server: Server, monitor: SessionMonitor
) -> None:
    """A new watch begins without that verdict."""
    server.answers["blockers"] = [BLOCKER]
    with monitor.watch(PID, patience=-1):
        monitor.tick(Signals())
        assert monitor.gave_up
    assert "cancel" in server.asked
    with monitor.watch(PID, patience=10):
        assert not monitor.gave_up


def test_a_statement_with_a_table_lock_is_cancelled_if_only_row_locks_are_allowed(
    server: Server, monitor: SessionMonitor
) -> None:
    """The lock is reported afterwards."""
    server.answers["table_locks"] = [LOCK, LOCK]
    with monitor.watch(PID, patience=10):
        with monitor.observe_locks(rows_only=False):
            monitor.tick(Signals())
        assert "cancel" not in server.asked
        with monitor.observe_locks(rows_only=True):
            assert monitor.lock_report() == ""
            monitor.tick(Signals())
    assert server.asked.count("cancel") == 1
    assert monitor.lock_report() == "item (AccessExclusiveLock)"


def test_table_locks_are_not_attributed_to_the_next_statement(
    server: Server, monitor: SessionMonitor
) -> None:
    """The answer to a query of the other thread may arrive after the statement has ended."""
    with monitor.watch(PID, patience=10), monitor.observe_locks(rows_only=False):
        server.answers["table_locks"] = [LOCK]
        following = monitor.observe_locks(rows_only=True)
        server.during_table_locks = following.__enter__
        monitor.tick(Signals())
        assert monitor.lock_report() == ""
        assert "cancel" not in server.asked


def test_waiters_are_remembered_until_they_are_asked_for(
    server: Server, monitor: SessionMonitor
) -> None:
    """A backfill makes its batches smaller after that."""
    server.answers["waiters"] = [{"pid": 12}]
    with monitor.watch(PID, patience=10):
        monitor.tick(Signals())
    assert monitor.had_waiters()
    assert not monitor.had_waiters()


def test_a_failure_ends_the_observation(server: Server, monitor: SessionMonitor) -> None:
    """It is kept for the check of the lock."""
    server.error = psycopg.OperationalError("gone")
    with monitor.watch(PID, patience=10):
        monitor.tick(Signals())
        monitor.tick(Signals())
    assert monitor.failure is server.error
    assert server.asked == ["blockers"]


def test_long_waits_are_reported(
    server: Server,
    monitor: SessionMonitor,
    events: list[Event],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the blockers, which are cancelled where that is allowed, and an index's progress."""
    monkeypatch.setattr(monitor_module, "_REPORT_SECONDS", 0.0)
    server.answers["blockers"] = [BLOCKER]
    server.answers["cancel_blocker"] = [{"done": True}]
    progress = {"relation": "item", "phase": "building index", "percent": 40}
    server.answers["index_progress"] = [progress]
    with monitor.watch(PID, patience=10):
        monitor.tick(Signals())
    assert [event.name for event in events] == [
        "lock.awaited",
        "blocker.cancelled",
        "step.advanced",
    ]
    assert events[0].text == "waiting for " + describe_session(BLOCKER)
    assert events[2].text == "building an index on item: building index, 40 %"


@pytest.mark.parametrize(
    ("changes", "asked"),
    [
        ({}, True),
        ({"application_name": "shop"}, False),
        ({"pid": 0}, False),
        ({"xact_start": None}, False),
    ],
)
def test_only_named_sessions_with_a_transaction_are_cancelled(
    server: Server, monitor: SessionMonitor, changes: dict[str, object], *, asked: bool
) -> None:
    """A prepared transaction has no session, and an autovacuum may hide its transaction."""
    server.answers["blockers"] = [BLOCKER | changes]
    with monitor.watch(PID, patience=10):
        monitor.tick(Signals())
    monitor.cancel_blockers()
    assert ("cancel_blocker" in server.asked) is asked


def test_each_maintained_table_is_returned_once(server: Server, monitor: SessionMonitor) -> None:
    """Blockers may share one."""
    server.answers["blockers"] = [
        BLOCKER | {"maintains": ["b", "a"]},
        BLOCKER | {"maintains": ["a"]},
    ]
    with monitor.watch(PID, patience=10):
        monitor.tick(Signals())
    assert monitor.maintained_tables() == ("b", "a")


def test_waiting_for_blockers_ends_with_their_transactions(
    server: Server, monitor: SessionMonitor
) -> None:
    """Without blockers there is nothing to wait for."""
    monitor.wait_for_blockers(10)
    assert server.asked == []
    server.answers["blockers"] = [BLOCKER]
    with monitor.watch(PID, patience=10):
        monitor.tick(Signals())
    monitor.wait_for_blockers(10)
    assert server.asked[-1] == "still_open"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "pid 12, 'report', idle in transaction for 61 s: SELECT * FROM item"),
        (
            {"application_name": ""},
            "pid 12, 'shop', idle in transaction for 61 s: SELECT * FROM item",
        ),
        (
            {"pid": 0, "application_name": "transfer", "state": "prepared", "query": "COMMIT"},
            "no session, 'transfer', prepared for 61 s: COMMIT",
        ),
        (
            {
                "application_name": None,
                "usename": None,
                "backend_type": "autovacuum worker",
                "state": None,
                "seconds": None,
                "query": None,
            },
            "pid 12, 'autovacuum worker', hidden for 0 s: ",
        ),
        (
            {"application_name": None, "usename": None, "backend_type": None, "query": "x" * 500},
            f"pid 12, 'unnamed', idle in transaction for 61 s: {'x' * 120}",
        ),
    ],
)
def test_a_session_is_described_in_one_line(changes: dict[str, object], text: str) -> None:
    """With what the role may see of it."""
    assert describe_session(BLOCKER | changes) == text
