"""Roughly how long a step takes, by the size of its table: for a reader who wonders whether it is minutes or hours."""

from __future__ import annotations

from liftlock.model.step import Pace, Step, StepKind
from liftlock.model.table import Table

ROWS_BACKFILLED = 100_000
ROWS_INDEXED = 1_000_000
BYTES_SCANNED = 200_000_000
"""Per second, on a small machine: a third to a half of what `benchmarks/online_work.py` measures."""


def seconds_of_step(step: Step, table: Table | None) -> float | None:
    """The estimate; 0 for what is brief, None where nothing is known of the table.

    Parameters:
        step: of a recipe.
        table: the table that the operation is about.
    """
    if step.pace is Pace.BRIEF:
        return 0.0
    if table is None or table.created_by_run:
        return None
    rows, scan = max(table.rows, 0), table.bytes / BYTES_SCANNED
    if step.kind is StepKind.BACKFILL:
        return scan + rows / ROWS_BACKFILLED
    if step.name.startswith("build"):
        return 2 * scan + rows / ROWS_INDEXED
    return 0.0 if step.kind is StepKind.CONCURRENT else scan


def describe_duration(estimate: float | None) -> str:
    """The estimate in words: by order of magnitude, since it isn't worth more."""
    if estimate is None:
        return "as long as it takes"
    for most, unit in (
        (1, "milliseconds"),
        (10, "seconds"),
        (100, "up to 2 minutes"),
        (1000, "up to 20 minutes"),
        (10_000, "up to 3 hours"),
    ):
        if estimate < most:
            return unit
    return f"about {estimate / 3600:.0f} hours"
