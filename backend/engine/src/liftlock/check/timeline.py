"""How long a revision's statements take, one after another, and who waits meanwhile: for tables of known or of assumed sizes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from liftlock.broker.table_size import Size
from liftlock.check.report import Estimate
from liftlock.model.lock import LockMode
from liftlock.planning.cost import BYTES_SCANNED, ROWS_BACKFILLED, ROWS_INDEXED
from liftlock.shadow.observed import ObservedStatement
from liftlock.shadow.result import RevisionResult, RunResult

MOMENT = 0.01
"""Seconds; of a statement that only changes the catalog, with its commit."""
ASSUMED = Size(1_000_000_000, 10_000_000, 0)
"""A table that nobody has looked at."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A statement on a timeline.

    Parameters:
        statement: itself.
        begins, lasts: in seconds.
        rows: tables of which its transaction has locked rows.
    """

    statement: ObservedStatement
    begins: float
    lasts: float
    rows: frozenset[str]

    @property
    def ends(self) -> float:
        """In seconds."""
        return self.begins + self.lasts

    @property
    def waits(self) -> str:
        """Whose queries wait meanwhile: of the worst off; ``nothing`` for nobody's."""
        if "reads and writes" in self.statement.blocked:
            return "reads and writes"
        return "writes" if self.statement.blocked or self.rows else "nothing"


def timeline(
    observed: Iterable[ObservedStatement], sizes: Mapping[str, Size]
) -> tuple[Interval, ...]:
    """The statements one after another.

    Parameters:
        observed: of one way to run a revision; what failed is left out.
        sizes: of the tables.
    """
    spans: list[Interval] = []
    rows: dict[int, frozenset[str]] = {}
    for one in observed:
        if one.error:
            continue
        rows[one.transaction] = rows.get(one.transaction, frozenset()) | one.locks_rows
        begins = spans[-1].ends if spans else 0.0
        spans.append(
            Interval(one, begins, seconds_of_work(one, sizes) or MOMENT, rows[one.transaction])
        )
    return tuple(spans)


def seconds_taken(spans: Sequence[Interval]) -> float:
    """How long all of it takes, in seconds."""
    return spans[-1].ends if spans else 0.0


def blocks(spans: Iterable[Interval]) -> float:
    """How long queries wait at most, in seconds: while the same relation, or rows of it, are locked against them.

    A transaction's later statements hold what its earlier ones took.
    """
    longest, since = 0.0, dict[tuple[int, str], float]()
    for one in spans:
        for name in one.rows.union(*one.statement.blocked.values()):
            begun = since.setdefault((one.statement.transaction, name), one.begins)
            longest = max(longest, one.ends - begun)
    return longest


def estimated(
    checked: Iterable[RevisionResult], sizes: Mapping[str, Size]
) -> dict[str, tuple[Estimate, Estimate]]:
    """The estimates of a report: of plain Alembic and of liftlock, by revision; none without sizes."""
    found = {}
    for one in checked if sizes else ():
        found[one.revision.id] = _estimate(one.alembic, sizes), _estimate(one.liftlock, sizes)
    return found


def _estimate(trial: RunResult, sizes: Mapping[str, Size]) -> Estimate:
    spans = timeline(trial.observed, sizes)
    each = (Estimate(span.lasts, 0.0 if span.waits == "nothing" else span.lasts) for span in spans)
    return Estimate(
        seconds_taken(spans),
        blocks(spans),
        tuple(None if one.error else next(each) for one in trial.observed),
    )


def assumed(checked: Iterable[RevisionResult], sizes: Mapping[str, Size]) -> Mapping[str, Size]:
    """The sizes of the tables that the revisions work on: assumed where no real database was looked at."""
    if sizes:
        return sizes
    observed = [
        seen for one in checked for trial in (one.alembic, one.liftlock) for seen in trial.observed
    ]
    worked = {
        name
        for seen in observed
        for name in (*seen.work.rewrites, *seen.work.scans, *seen.work.builds, *seen.work.updates)
    }
    return dict.fromkeys(
        worked | {held.relation for seen in observed if seen.work.validates for held in seen.held},
        ASSUMED,
    )


_PROVES = frozenset(
    {LockMode.SHARE_UPDATE_EXCLUSIVE, LockMode.SHARE_ROW_EXCLUSIVE, LockMode.ACCESS_EXCLUSIVE}
)
"""Locks under which a foreign key is proven, on the table that has it."""


def seconds_of_work(statement: ObservedStatement, sizes: Mapping[str, Size]) -> float:
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
    validated = (
        max((scan(one.relation) for one in statement.held if one.mode in _PROVES), default=0.0)
        if work.validates
        else 0.0
    )
    return written + built + updated + validated + sum(scan(name) for name in work.scans)
