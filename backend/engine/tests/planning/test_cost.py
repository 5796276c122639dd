"""Estimates of durations."""

from __future__ import annotations

from dataclasses import replace

import pytest
from planning.examples import BIG, CREATE_INDEX, DEFAULT, NEW, REWRITES, facts

from liftlock.model.operation import Operation
from liftlock.model.step import Pace, Step, StepKind
from liftlock.model.table import Table
from liftlock.planning.cost import describe_duration, seconds_of_step
from liftlock.planning.plan import plan


@pytest.mark.parametrize(
    ("operation", "name", "expected"),
    [
        (CREATE_INDEX, "build", "up to 2 minutes"),
        (DEFAULT, "backfill", "up to 20 minutes"),
        (DEFAULT, "add", "milliseconds"),
        (DEFAULT, "validate helper for b", "seconds"),
    ],
)
def test_estimate_by_size(operation: Operation, name: str, expected: str) -> None:
    """A gigabyte and ten million rows."""
    steps = plan(operation, facts(dry_run=REWRITES))
    (step,) = [step for step in steps if step.name == name]
    assert describe_duration(seconds_of_step(step, BIG)) == expected


@pytest.mark.parametrize("table", [None, NEW], ids=["absent", "new"])
def test_no_estimate_without_statistics(table: Table | None) -> None:
    """A table that the run creates is empty now, and may be full when the step runs."""
    step = Step("validate", "…", Pace.ONLINE, None)
    assert seconds_of_step(step, table) is None
    assert seconds_of_step(replace(step, pace=Pace.BRIEF), table) == 0


def test_concurrent_step_that_builds_nothing_takes_no_time() -> None:
    """DROP INDEX CONCURRENTLY doesn't read the table."""
    step = Step("drop", "…", Pace.ONLINE, None, kind=StepKind.CONCURRENT)
    assert seconds_of_step(step, BIG) == 0


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, "as long as it takes"),
        (0, "milliseconds"),
        (9, "seconds"),
        (10, "up to 2 minutes"),
        (999, "up to 20 minutes"),
        (1000, "up to 3 hours"),
        (36_000, "about 10 hours"),
    ],
)
def test_duration_in_words(seconds: float | None, expected: str) -> None:
    """By the order of magnitude."""
    assert describe_duration(seconds) == expected
