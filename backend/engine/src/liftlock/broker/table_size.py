"""The size of a table in a real database."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a table, including its partitions, and its write load.

    Parameters:
        bytes: size of the table without its indexes.
        rows: the planner's estimate of the number of rows (``pg_class.reltuples``).
        writes: rows inserted, updated and deleted a second; None on a standby, where the
            statistics don't include the primary's writes.
    """

    bytes: int
    rows: float
    writes: float | None
