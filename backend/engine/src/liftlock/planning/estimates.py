"""Roughly how long a step takes, by the size of its table: for a reader who wonders whether it is minutes or hours."""

from __future__ import annotations

from collections.abc import Mapping

from liftlock.model.facts import Table
from liftlock.model.lock import LockMode
from liftlock.model.observed import Observed
from liftlock.model.report import Size
from liftlock.model.step import Means, Pace, Step

_PROVES = frozenset({LockMode.SHARE_UPDATE_EXCLUSIVE, LockMode.SHARE_ROW_EXCLUSIVE, LockMode.ACCESS_EXCLUSIVE})
"""Locks under which a foreign key is proven, on the table that has it."""
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


def working(statement: Observed, sizes: Mapping[str, Size]) -> float:
    """Roughly how many seconds an observed statement works on tables of these sizes; 0 for what is brief.

    Parameters:
        statement: what was observed.
        sizes: of tables, by their names as SQL text.
    """

    def scan(name: str) -> float:
        return sizes[name].bytes / BYTES_SCANNED if name in sizes else 0.0

    def rows(name: str) -> float:
        return sizes[name].rows if name in sizes else 0.0

    work = statement.work
    written = sum(3 * scan(name) for name in work.rewrites)
    built = sum(2 * scan(name) + rows(name) / ROWS_INDEXED for name in work.builds)
    updated = sum(scan(name) + rows(name) / ROWS_BACKFILLED for name in work.updates)
    validated = max((scan(one.relation) for one in statement.held if one.mode in _PROVES), default=0.0) if work.validates else 0.0
    return written + built + updated + validated + sum(scan(name) for name in work.scans)


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
