"""One page that needs nothing else: the chain as a picture, each statement with its locks, and the two ways' timelines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from liftlock.broker.table_size import Size
from liftlock.check import timeline
from liftlock.check.formats.text import WAYS, felt, how_long, lasting, place, summary
from liftlock.check.report import Estimate, Report
from liftlock.planning import cost
from liftlock.shadow.result import RevisionResult, RunResult

WIDTH = 1000
"""Of a timeline, in its own units."""
_LEAST = 4
_HEIGHTS = {"reads and writes": 24, "writes": 16, "nothing": 8}
"""Of a bar, so that nobody has to tell colours apart."""


@dataclass(frozen=True, slots=True)
class Dot:
    """A revision in the picture of the chain: its row, its lane, and those of what it follows."""

    row: int
    lane: int
    parents: tuple[tuple[int, int], ...]


def write(report: Report) -> str:
    """The report as HTML.

    Raises:
        ImportError: Jinja2 isn't installed; the extra ``check`` has it.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("liftlock.formats", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    sizes = timeline.assumed(report.checked, report.sizes)
    dots = picture(report.checked)
    return environment.get_template("page.html.jinja").render(
        report=report,
        summary=summary(report),
        whole=report.of(""),
        revisions=[_revision(one, report, sizes) for one in report.checked],
        dots=dots,
        lanes=max((one.lane for one in dots), default=0) + 1,
        place=place,
        size=timeline.ASSUMED,
    )


def picture(checked: Sequence[RevisionResult]) -> list[Dot]:
    """The revisions in the order in which they run; one goes on in the lane of what it follows, else in the first that is free."""
    dots: dict[str, Dot] = {}
    ahead = Counter(name for one in checked for name in one.revision.parents)
    ends: dict[int, str] = {}
    for row, one in enumerate(checked):
        parents = [name for name in one.revision.parents if name in dots]
        ahead.subtract(parents)
        mine = [dots[name].lane for name in parents if ends[dots[name].lane] == name]
        free = (lane for lane in range(len(ends) + 1) if lane not in ends or not ahead[ends[lane]])
        lane = mine[0] if mine else next(free)
        ends[lane] = one.revision.id
        dots[one.revision.id] = Dot(
            row, lane, tuple((dots[name].row, dots[name].lane) for name in parents)
        )
    return list(dots.values())


def _revision(one: RevisionResult, report: Report, sizes: Mapping[str, Size]) -> dict[str, Any]:
    spans = [timeline.timeline(trial.observed, sizes) for trial in (one.alembic, one.liftlock)]
    longest = max(*(timeline.seconds_taken(each) for each in spans), timeline.MOMENT)
    findings = report.of(one.revision.id)
    counted = [finding for finding in findings if finding.counts]
    return {
        "id": one.revision.id,
        "message": one.revision.message,
        "path": one.path,
        "findings": findings,
        "changes": one.changes,
        "verdict": counted[0].severity.value if counted else "ok",
        "longest": cost.describe_duration(longest),
        "ways": [
            _way(name, trial, each, longest)
            for name, trial, each in zip(WAYS, (one.alembic, one.liftlock), spans, strict=True)
        ],
    }


def _way(
    name: str, trial: RunResult, spans: Sequence[timeline.Interval], longest: float
) -> dict[str, Any]:
    told = (
        lasting(Estimate(timeline.seconds_taken(spans), timeline.blocks(spans)))
        if spans
        else "nothing that others feel"
    )
    if trial.refusal is not None:
        told = f"doesn't run: {trial.refusal.what.splitlines()[0]}"
    return {
        "name": name,
        "told": told,
        "statements": [
            {
                "sql": one.statement.sql,
                "title": f"{' '.join(one.statement.sql.split())[:120]}: {_felt(one)}",
                "felt": _felt(one),
                "line": one.statement.line,
                "locks": sorted(one.statement.taken),
                "kind": one.waits.replace(" ", "-"),
                "x": round(one.begins / longest * WIDTH, 2),
                "width": round(max(one.lasts / longest * WIDTH, _LEAST), 2),
                "height": _HEIGHTS[one.waits],
            }
            for one in spans
        ],
    }


def _felt(span: timeline.Interval) -> str:
    return (felt(span) or "nobody waits") + how_long(span)
