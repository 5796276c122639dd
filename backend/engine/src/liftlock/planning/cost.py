"""Estimates of how long a step takes, by the size of its table.

They tell minutes from hours and are no more precise than that. The constants are a third to a half
of the rates that ``benchmarks/online_work.py`` measures on a small machine.
"""

from __future__ import annotations

from liftlock.model.step import Pace, Step, StepKind
from liftlock.model.table import Table

# Per second.
ROWS_BACKFILLED = 100_000
ROWS_INDEXED = 1_000_000
BYTES_SCANNED = 200_000_000

_DURATIONS = (
    (1, "milliseconds"),
    (10, "seconds"),
    (100, "up to 2 minutes"),
    (1000, "up to 20 minutes"),
    (10_000, "up to 3 hours"),
)


def seconds_of_step(step: Step, table: Table | None) -> float | None:
    """Estimate a step's duration in seconds: 0 for a brief step, None without facts.

    Parameters:
        step: the step.
        table: the table of its operation.
    """
    if step.pace is Pace.BRIEF:
        return 0.0
    if table is None or table.created_by_run or step.kind is StepKind.SNAPSHOTS:
        return None
    rows = max(table.rows, 0)
    scan = table.bytes / BYTES_SCANNED
    if step.kind is StepKind.BACKFILL:
        return scan + rows / ROWS_BACKFILLED
    if step.name.startswith("build"):
        # A concurrent build scans the table twice.
        return 2 * scan + rows / ROWS_INDEXED
    if step.kind is StepKind.CONCURRENT:
        return 0.0
    return scan


def describe_duration(estimate: float | None) -> str:
    """Return an estimate in words, by its order of magnitude."""
    if estimate is None:
        return "as long as it takes"
    for most, words in _DURATIONS:
        if estimate < most:
            return words
    return f"about {estimate / 3600:.0f} hours"
