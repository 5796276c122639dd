from __future__ import annotations

import pytest
from execution.fakes import FakeConnection

from liftlock.execution.session_timeouts import Holds, SessionTimeouts

IDLE = "idle_in_transaction_session_timeout"


def timeouts(
    connection: FakeConnection | None = None, *, losses: int = 0, off: bool = False
) -> SessionTimeouts:
    """Return the timeouts of a transaction with a stall budget of 100 ms."""
    return SessionTimeouts(connection or FakeConnection(), 100, lambda: losses, off=off)


@pytest.mark.parametrize(
    ("holds", "brief", "expected"),
    [
        (Holds.ROWS, False, {IDLE: "10000ms"}),
        (Holds.BATCH, False, {IDLE: "300ms"}),
        (Holds.TABLES, False, {IDLE: "300ms"}),
        (Holds.TABLES, True, {IDLE: "300ms", "transaction_timeout": "1000ms"}),
    ],
)
def test_timeouts_for_locks(holds: Holds, *, brief: bool, expected: dict[str, str]) -> None:
    """Code of the revision runs while rows are locked; strong table locks are brief."""
    assert timeouts().due(holds, brief=brief) == expected


def test_each_lost_session_doubles_the_timeouts() -> None:
    """The revision may compute for long, so it gets through at last."""
    due = timeouts(losses=3).due(Holds.TABLES, brief=True)
    assert due == {IDLE: "2400ms", "transaction_timeout": "8000ms"}


def test_postgresql_16_has_no_limit_of_a_transaction() -> None:
    """An unknown parameter would be an error."""
    connection = FakeConnection()
    connection.server_major = 16
    assert timeouts(connection).due(Holds.TABLES, brief=True) == {IDLE: "300ms"}
    timeouts(connection).lift()
    assert connection.settings == {"statement_timeout": "0"}


def test_timeouts_are_set_once_in_a_transaction() -> None:
    """Unless it takes stronger locks."""
    due = timeouts()
    assert due.due(Holds.ROWS)
    assert not due.due(Holds.ROWS)
    assert due.due(Holds.TABLES)
    assert not due.due(Holds.BATCH)
    due.transaction_ended()
    assert due.due(Holds.ROWS)


def test_transaction_of_the_project_has_no_timeouts() -> None:
    """A lost session couldn't be replaced."""
    connection = FakeConnection()
    timeouts(connection, off=True).limit(Holds.TABLES)
    assert connection.settings == {}


def test_duration_is_lifted_only_where_it_is_limited() -> None:
    """When the rest of the revision becomes one transaction."""
    connection = FakeConnection()
    due = timeouts(connection)
    due.lift_duration()
    assert connection.settings == {}
    due.limit(Holds.TABLES)
    due.lift_duration()
    assert connection.settings == {IDLE: "300ms", "transaction_timeout": "0"}
