from __future__ import annotations

from typing import Any

import pytest

from liftlock.errors import NotNow
from liftlock.events import silent
from liftlock.execution.limits import BackfillThrottle, RunLimits
from liftlock.postgres.signals import Signals


class Lock:
    """A single-flight lock that is held, or lost."""

    def __init__(self) -> None:
        self.checks = 0
        self.lost = False

    def check(self) -> None:
        """Raise an error if the lock is lost."""
        self.checks += 1
        if self.lost:
            raise NotNow("LL-SINGLE-FLIGHT-LOST", "", now="")


def limits(lock: Lock, signals: Signals, **changes: Any) -> RunLimits:
    """Return the limits of a run."""
    return RunLimits(
        **{
            "deadline": 60.0,
            "budget": 100,
            "small_table_bytes": 0,
            "allowed": frozenset(),
            "throttle": BackfillThrottle(1.0, 10.0, 1),
            "signals": signals,
            "lock": lock,
            "standbys": None,
            "notify": silent,
            **changes,
        }
    )


@pytest.mark.parametrize(("budget", "seconds"), [(100, 0.05), (1000, 0.5), (1, 0.0005)])
def test_a_batch_takes_half_of_the_stall_budget(budget: int, seconds: float) -> None:
    """The budget is in milliseconds."""
    assert limits(Lock(), Signals(), budget=budget).batch_seconds == pytest.approx(seconds)


def test_a_run_continues_without_a_signal_and_with_its_lock() -> None:
    """Nothing is raised."""
    lock = Lock()
    limits(lock, Signals()).check()
    assert lock.checks == 1


def test_a_signal_stops_a_run() -> None:
    """It needs no query, so it comes before the check of the lock."""
    lock, signals = Lock(), Signals()
    signals.stopped = "SIGTERM"
    with pytest.raises(NotNow, match="Stopped by SIGTERM") as caught:
        limits(lock, signals).check()
    assert caught.value.code == "LL-STOPPED-BY-SIGNAL"
    assert lock.checks == 0


def test_a_lost_lock_stops_a_run() -> None:
    """Another run may have taken it."""
    lock = Lock()
    lock.lost = True
    with pytest.raises(NotNow) as caught:
        limits(lock, Signals()).check()
    assert caught.value.code == "LL-SINGLE-FLIGHT-LOST"


def test_statements_share_transactions_unless_an_observer_asks_otherwise() -> None:
    """By default they aren't isolated."""
    assert not limits(Lock(), Signals()).isolate_statements
