"""Roughly how long a step takes, by the size of its table: for a reader who wonders whether it is minutes or hours."""

from __future__ import annotations

from collections.abc import Mapping

from liftlock.model.facts import Table
from liftlock.model.observed import Work
from liftlock.model.report import Size
from liftlock.model.step import Means, Pace, Step

ROWS_BACKFILLED = 100_000
ROWS_INDEXED = 1_000_000
BYTES_SCANNED = 200_000_000
"""Per second, on a small machine: a third to a half of what `benchmarks/online_work.py` measures."""


def seconds(step: Step, table: Table | None) -> float | None:
    """The estimate; 0 for what is brief, None where nothing is known of the table.

    Parameters:
        step: of a recipe.
        table: the table that the operation is about.
    """
    if step.pace is Pace.BRIEF:
        return 0.0
    if table is None or table.new:
        return None
    rows, scan = max(table.rows, 0), table.bytes / BYTES_SCANNED
    if step.means is Means.BACKFILL:
        return scan + rows / ROWS_BACKFILLED
    if step.part.startswith("build"):
        return 2 * scan + rows / ROWS_INDEXED
    return 0.0 if step.means is Means.CONCURRENT else scan


def working(work: Work, sizes: Mapping[str, Size]) -> float:
    """Roughly how many seconds the work of an observed statement takes on tables of these sizes.

    Parameters:
        work: what grows with the tables.
        sizes: of tables, by their names without a schema.
    """

    def scan(name: str) -> float:
        return sizes[name].bytes / BYTES_SCANNED if name in sizes else 0.0

    written = sum(3 * scan(name) for name in work.rewrites)
    built = sum(2 * scan(name) + (sizes[name].rows if name in sizes else 0) / ROWS_INDEXED for name in work.builds)
    return written + built + sum(scan(name) for name in work.scans)


def told(estimate: float | None) -> str:
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
