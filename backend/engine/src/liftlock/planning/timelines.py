"""How long a revision's statements take, one after another, and who waits meanwhile: for tables of known or of assumed sizes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from liftlock.model.checked import Checked, Trial
from liftlock.model.observed import Observed
from liftlock.model.report import Estimate, Size
from liftlock.planning import estimates

MOMENT = 0.01
"""Seconds; of a statement that only changes the catalog, with its commit."""
ASSUMED = Size(1_000_000_000, 10_000_000, 0)
"""A table that nobody has looked at."""


@dataclass(frozen=True, slots=True)
class Span:
    """A statement on a timeline.

    Parameters:
        statement: itself.
        begins, lasts: in seconds.
        rows: tables of which its transaction has locked rows.
    """

    statement: Observed
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


def timeline(observed: Iterable[Observed], sizes: Mapping[str, Size]) -> tuple[Span, ...]:
    """The statements one after another.

    Parameters:
        observed: of one way to run a revision; what failed is left out.
        sizes: of the tables.
    """
    spans: list[Span] = []
    rows: dict[int, frozenset[str]] = {}
    for one in observed:
        if one.error:
            continue
        rows[one.transaction] = rows.get(one.transaction, frozenset()) | one.locks_rows
        begins = spans[-1].ends if spans else 0.0
        spans.append(Span(one, begins, estimates.working(one, sizes) or MOMENT, rows[one.transaction]))
    return tuple(spans)


def takes(spans: Sequence[Span]) -> float:
    """How long all of it takes, in seconds."""
    return spans[-1].ends if spans else 0.0


def blocks(spans: Iterable[Span]) -> float:
    """How long queries wait at most, in seconds: while the same relation, or rows of it, are locked against them.

    A transaction's later statements hold what its earlier ones took.
    """
    longest, since = 0.0, dict[tuple[int, str], float]()
    for one in spans:
        for name in one.rows.union(*one.statement.blocked.values()):
            begun = since.setdefault((one.statement.transaction, name), one.begins)
            longest = max(longest, one.ends - begun)
    return longest


def estimated(checked: Iterable[Checked], sizes: Mapping[str, Size]) -> dict[str, tuple[Estimate, Estimate]]:
    """The estimates of a report: of plain Alembic and of liftlock, by revision; none without sizes."""
    found = {}
    for one in checked if sizes else ():
        found[one.revision.id] = _estimate(one.plain, sizes), _estimate(one.ours, sizes)
    return found


def _estimate(trial: Trial, sizes: Mapping[str, Size]) -> Estimate:
    spans = timeline(trial.observed, sizes)
    each = (Estimate(span.lasts, 0.0 if span.waits == "nothing" else span.lasts) for span in spans)
    return Estimate(takes(spans), blocks(spans), tuple(None if one.error else next(each) for one in trial.observed))


def assumed(checked: Iterable[Checked], sizes: Mapping[str, Size]) -> Mapping[str, Size]:
    """The sizes of the tables that the revisions work on: assumed where no real database was looked at."""
    if sizes:
        return sizes
    observed = [seen for one in checked for trial in (one.plain, one.ours) for seen in trial.observed]
    worked = {name for seen in observed for name in (*seen.work.rewrites, *seen.work.scans, *seen.work.builds, *seen.work.updates)}
    return dict.fromkeys(worked | {held.relation for seen in observed if seen.work.validates for held in seen.held}, ASSUMED)
