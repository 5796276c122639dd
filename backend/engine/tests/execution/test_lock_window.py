from __future__ import annotations

import time

import pytest
from execution.fakes import Clock

from liftlock.execution.lock_window import LockWindow


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock in place of the monotonic one."""
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


def test_a_window_begins_closed(clock: Clock) -> None:
    """A transaction that asked for no lock has its whole stall budget."""
    window = LockWindow(100)
    clock.pass_milliseconds(500)
    assert not window.is_open
    assert not window.is_exclusive
    assert not window.is_half_used
    assert window.elapsed == 0
    assert window.remaining == 100


def test_time_counts_from_the_first_lock(clock: Clock) -> None:
    """Later locks don't extend the stall budget."""
    window = LockWindow(100)
    window.open()
    clock.pass_milliseconds(30)
    window.open()
    clock.pass_milliseconds(10)
    assert window.is_open
    assert window.elapsed == pytest.approx(40)
    assert window.remaining == pytest.approx(60)


@pytest.mark.parametrize(
    ("milliseconds", "half_used"), [(0, False), (49, False), (51, True), (500, True)]
)
def test_half_of_the_stall_budget(clock: Clock, milliseconds: float, *, half_used: bool) -> None:
    """More than half is used up."""
    window = LockWindow(100)
    window.open()
    clock.pass_milliseconds(milliseconds)
    assert window.is_half_used is half_used


@pytest.mark.parametrize("milliseconds", [90, 95, 100, 5000])
def test_the_lock_timeout_is_never_zero(clock: Clock, milliseconds: float) -> None:
    """For PostgreSQL, a lock timeout of 0 means none; 10 ms is the least."""
    window = LockWindow(100)
    window.open()
    clock.pass_milliseconds(milliseconds)
    assert window.remaining == pytest.approx(10)


def test_closing_forgets_the_locks(clock: Clock) -> None:
    """The next transaction has its whole stall budget again."""
    window = LockWindow(100)
    window.open()
    window.note_exclusive()
    clock.pass_milliseconds(80)
    window.close()
    assert not window.is_open
    assert not window.is_exclusive
    assert window.remaining == 100
    window.open()
    assert window.elapsed == 0


def test_a_clock_at_zero_is_a_time_too(clock: Clock) -> None:
    """The window is open also if it was opened at the second 0."""
    clock.seconds = 0.0
    window = LockWindow(100)
    window.open()
    clock.pass_milliseconds(20)
    assert window.is_open
    assert window.elapsed == pytest.approx(20)
