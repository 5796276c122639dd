"""The size of a table of a real database."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Size:
    """A table of a real database, with its partitions.

    Parameters:
        bytes: without indexes.
        rows: as the planner counts them.
        writes: rows written a second; None on a standby, which counts only its own.
    """

    bytes: int
    rows: float
    writes: float | None
