from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from liftlock.errors import LiftlockError, NotNow, SettingsError
from liftlock.events import Event
from liftlock.postgres import wait as wait_module
from liftlock.postgres.probe import ProbeResult, diagnose
from liftlock.postgres.signals import Signals
from liftlock.postgres.wait import wait
from liftlock.settings import Address

ADDRESS = Address(host="db", port="5432", user="shop", password="p", dbname="shop")


def problem(message: str) -> ProbeResult:
    """Return the result of a probe that fails with this message."""
    return ProbeResult(diagnose(psycopg.OperationalError(message)), ADDRESS, message)


REFUSED = problem("connection refused")
STARTING = problem("the database system is starting up")
WRONG_PASSWORD = problem("password authentication failed")


def waited(
    monkeypatch: pytest.MonkeyPatch, *results: ProbeResult | None, seconds: float = 5
) -> list[Event]:
    """Wait while the probe has these results; return the events."""
    remaining: Iterator[ProbeResult | None] = iter(results)
    monkeypatch.setattr(wait_module, "probe", lambda _address, **_options: next(remaining))
    events: list[Event] = []
    wait(ADDRESS, seconds, interrupts=Signals(), notify=events.append)
    return events


def test_a_usable_database_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no event says so."""
    assert waited(monkeypatch, None) == []


def test_each_new_problem_is_reported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the end of the wait."""
    events = waited(monkeypatch, REFUSED, REFUSED, STARTING, None)
    names = ["database.awaited", "database.awaited", "database.reached"]
    assert [event.name for event in events] == names
    assert events[0].text.startswith("waiting for the database (0 of 5 s): refused: shop@db:5432")
    assert "starting up" in events[1].text


@pytest.mark.parametrize(
    ("results", "seconds", "family"),
    [((REFUSED, WRONG_PASSWORD), 5, SettingsError), ((REFUSED,), 0, NotNow)],
)
def test_a_problem_that_persists_is_raised(
    monkeypatch: pytest.MonkeyPatch,
    results: tuple[ProbeResult, ...],
    seconds: float,
    family: type[LiftlockError],
) -> None:
    """A permanent one at once, a temporary one at the end of the time."""
    with pytest.raises(family) as caught:
        waited(monkeypatch, *results, seconds=seconds)
    assert caught.value.what.endswith(results[-1].words)
