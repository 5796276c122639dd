from __future__ import annotations

import time

import pytest
from execution.fakes import Clock

from liftlock.events import Event
from liftlock.execution.backfill_report import BackfillReport
from liftlock.postgres.batches import Batch
from liftlock.postgres.cursor import Cursor


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock in place of the monotonic one."""
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


@pytest.fixture
def events(clock: Clock) -> list[Event]:  # noqa: ARG001 - time stands still
    """The events that were sent."""
    return []


@pytest.fixture
def report(events: list[Event]) -> BackfillReport:
    """A report that has sent nothing."""
    return BackfillReport(events.append)


def batch(rows: int, *, total: float = 1000, rate: float = 100, last: bool = False) -> Batch:
    """Return a batch of a table with this estimated number of rows."""
    return Batch(Cursor("item", total), rows=rows, rate=rate, last=last)


def test_progress_is_reported_with_its_facts(report: BackfillReport, events: list[Event]) -> None:
    """The text is for people, the facts are for programs."""
    report.advanced("item", batch(250, rate=99.6))
    assert events == [
        Event(
            "backfill.advanced",
            "backfill of item: 250 rows, 100 a second, 25 %, 8 s left",
            {"relation": "item", "rows": 250, "total": 1000, "rate": 100, "last": False},
        )
    ]


@pytest.mark.parametrize(("milliseconds", "reports"), [(0, 1), (499, 1), (501, 2), (5000, 2)])
def test_progress_is_reported_at_most_twice_a_second(
    report: BackfillReport,
    events: list[Event],
    clock: Clock,
    milliseconds: float,
    reports: int,
) -> None:
    """A batch takes about 50 ms, so most of them aren't reported."""
    report.advanced("item", batch(1))
    clock.pass_milliseconds(milliseconds)
    report.advanced("item", batch(2))
    assert len(events) == reports


def test_the_last_batch_is_always_reported(report: BackfillReport, events: list[Event]) -> None:
    """Also right after another one."""
    report.advanced("item", batch(900))
    report.advanced("item", batch(1000, last=True))
    assert events[1].text == "backfill of item: 1000 rows, 100 a second, done"
    assert events[1].facts["last"] is True


@pytest.mark.parametrize(
    ("reported", "left"),
    [
        (batch(250, rate=100, total=1000), ", 25 %, 8 s left"),
        (batch(0, rate=100, total=1000), ", 0 %, 10 s left"),
        (batch(5, rate=0, total=1000), ""),
        (batch(0, rate=100, total=0), ""),
        (batch(0, rate=100, total=-1), ""),
        (batch(1500, rate=100, total=1000), ", 100 %, 0 s left"),
        (batch(1500, rate=100, total=0), ", 100 %, 0 s left"),
    ],
)
def test_time_left(report: BackfillReport, events: list[Event], reported: Batch, left: str) -> None:
    """Estimated from the planner's number of rows, which may be unknown, or too small."""
    report.advanced("item", reported)
    assert events[0].text.partition(" a second")[2] == left


def test_workers_report_together(report: BackfillReport, events: list[Event], clock: Clock) -> None:
    """Their reports count for the interval too, and none of them is the last one."""
    report.advanced_in_parallel("item", 500, 200.0, 1000.0)
    report.advanced("item", batch(501))
    clock.pass_milliseconds(600)
    report.advanced("item", batch(502))
    assert [event.facts["rows"] for event in events] == [500, 502]
    assert events[0].text == "backfill of item: 500 rows, 200 a second, 50 %, 2 s left"
    assert events[0].facts["last"] is False


def test_a_pause_is_a_warning(report: BackfillReport, events: list[Event]) -> None:
    """With its reason."""
    report.paused("item", "a replica lags by more than 10 s")
    assert events == [
        Event(
            "backfill.paused",
            "backfill of item: a replica lags by more than 10 s",
            {"reason": "a replica lags by more than 10 s"},
            warning=True,
        )
    ]
