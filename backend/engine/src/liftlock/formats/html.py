"""One page that needs nothing else: the chain as a picture, each statement with its locks, and the two ways' timelines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from liftlock.formats.text import WAYS, felt, lasting, place, summary
from liftlock.model.checked import Checked
from liftlock.model.report import Estimate, Report, Size
from liftlock.planning import estimates, timelines

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
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 - only this format needs it

    environment = Environment(
        loader=PackageLoader("liftlock.formats", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    sizes = timelines.assumed(report.checked, report.sizes)
    dots = picture(report.checked)
    return environment.get_template("page.html.jinja").render(
        report=report,
        summary=summary(report),
        whole=report.of(""),
        revisions=[_revision(one, report, sizes) for one in report.checked],
        dots=dots,
        lanes=max((one.lane for one in dots), default=0) + 1,
        place=place,
        size=timelines.ASSUMED,
    )


def picture(checked: Sequence[Checked]) -> list[Dot]:
    """The revisions in the order in which they run; one goes on in the lane of what it follows, unless another has."""
    dots: dict[str, Dot] = {}
    continued: set[int] = set()
    for row, one in enumerate(checked):
        parents = [dots[name] for name in one.revision.parents if name in dots]
        free = [parent for parent in parents if parent.row not in continued]
        lane = free[0].lane if free else 1 + max((dot.lane for dot in dots.values()), default=-1)
        continued.update(parent.row for parent in free)
        dots[one.revision.id] = Dot(row, lane, tuple((parent.row, parent.lane) for parent in parents))
    return list(dots.values())


def _revision(one: Checked, report: Report, sizes: Mapping[str, Size]) -> dict[str, Any]:
    spans = [timelines.timeline(trial.observed, sizes) for trial in (one.plain, one.ours)]
    longest = max(*(timelines.takes(each) for each in spans), timelines.MOMENT)
    findings = report.of(one.revision.id)
    counted = [finding for finding in findings if finding.counts]
    return {
        "id": one.revision.id,
        "message": one.revision.message,
        "path": one.path,
        "findings": findings,
        "changes": one.changes,
        "verdict": counted[0].severity.value if counted else "ok",
        "longest": estimates.told(longest),
        "ways": [_way(name, each, longest) for name, each in zip(WAYS, spans, strict=True)],
    }


def _way(name: str, spans: Sequence[timelines.Span], longest: float) -> dict[str, Any]:
    return {
        "name": name,
        "told": lasting(Estimate(timelines.takes(spans), timelines.blocks(spans))) if spans else "nothing that others feel",
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


def _felt(span: timelines.Span) -> str:
    long = f" ({estimates.told(span.lasts)})" if span.lasts > timelines.MOMENT else ""
    return (felt(span.statement) or "nobody waits") + long
