"""HTML: one page with the chain as a picture, and each statement on a timeline with its locks.

The page loads nothing: no script, no style, no image.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from liftlock.broker.table_size import Size
from liftlock.check import timeline
from liftlock.check.formats.phrases import (
    WAYS,
    duration_suffix,
    durations,
    one_line,
    place,
    summary,
    waits,
)
from liftlock.check.report import Estimate, Report
from liftlock.planning.cost import describe_duration
from liftlock.shadow.result import RevisionResult, RunResult

WIDTH = 1000
"""Width of a timeline, in units of its SVG."""
_MIN_BAR_WIDTH = 4
_BAR_HEIGHTS = {"reads and writes": 24, "writes": 16, "nothing": 8}
"""Heights of bars, so that the reader needn't distinguish colors."""
_TITLE_LENGTH = 120


@dataclass(frozen=True, slots=True)
class Dot:
    """A revision in the picture of the chain: its row and lane, and those of its parents."""

    row: int
    lane: int
    parents: tuple[tuple[int, int], ...]


def write(report: Report) -> str:
    """Return the report as HTML.

    Raises:
        ImportError: Jinja2 isn't installed; the extra ``check`` has it.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("liftlock.check.formats", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    sizes = timeline.sizes_or_assumed(report.checked, report.sizes)
    dots = chain_picture(report.checked)
    return environment.get_template("page.html.jinja").render(
        report=report,
        summary=summary(report),
        chain_findings=report.findings_of(""),
        revisions=[_revision(result, report, sizes) for result in report.checked],
        dots=dots,
        lanes=max((dot.lane for dot in dots), default=0) + 1,
        place=place,
        size=timeline.ASSUMED,
    )


def chain_picture(results: Sequence[RevisionResult]) -> list[Dot]:
    """Return a dot for each revision, in the order in which they run.

    A revision continues the lane of its parent if it is the first to do so; otherwise it takes
    the first lane in which no revision has children left to draw.
    """
    dots: dict[str, Dot] = {}
    children_left = Counter(parent for result in results for parent in result.revision.parents)
    last_in_lane: dict[int, str] = {}
    for row, result in enumerate(results):
        revision = result.revision
        parents = [parent for parent in revision.parents if parent in dots]
        children_left.subtract(parents)
        continued = [
            dots[parent].lane for parent in parents if last_in_lane[dots[parent].lane] == parent
        ]
        lane = continued[0] if continued else _free_lane(last_in_lane, children_left)
        last_in_lane[lane] = revision.id
        places = tuple((dots[parent].row, dots[parent].lane) for parent in parents)
        dots[revision.id] = Dot(row, lane, places)
    return list(dots.values())


def _free_lane(last_in_lane: Mapping[int, str], children_left: Mapping[str, int]) -> int:
    lanes = range(len(last_in_lane))
    free = (lane for lane in lanes if not children_left[last_in_lane[lane]])
    return next(free, len(last_in_lane))


def _revision(result: RevisionResult, report: Report, sizes: Mapping[str, Size]) -> dict[str, Any]:
    """Return the template's values for a revision."""
    runs = (result.alembic, result.liftlock)
    timelines = [timeline.timeline(run.observed, sizes) for run in runs]
    longest = max(timeline.MOMENT, *(timeline.seconds_taken(line) for line in timelines))
    findings = report.findings_of(result.revision.id)
    counted = [finding for finding in findings if finding.counts]
    return {
        "id": result.revision.id,
        "message": result.revision.message,
        "path": result.path,
        "findings": findings,
        "changes": result.changes,
        "verdict": counted[0].severity.value if counted else "ok",
        "longest": describe_duration(longest),
        "ways": [
            _way(name, run, intervals, longest)
            for name, run, intervals in zip(WAYS, runs, timelines, strict=True)
        ],
    }


def _way(
    name: str, run: RunResult, intervals: Sequence[timeline.Interval], longest: float
) -> dict[str, Any]:
    """Return the template's values for a run of a revision."""
    return {
        "name": name,
        "text": _text(run, intervals),
        "statements": [_statement(interval, longest) for interval in intervals],
    }


def _text(run: RunResult, intervals: Sequence[timeline.Interval]) -> str:
    if run.refusal is not None:
        return f"doesn't run: {run.refusal.what.splitlines()[0]}"
    if not intervals:
        return "no statement that locks a table of others"
    takes = timeline.seconds_taken(intervals)
    return durations(Estimate(takes, timeline.seconds_blocked(intervals)))


def _statement(interval: timeline.Interval, longest: float) -> dict[str, Any]:
    """Return the template's values for a statement, with the place of its bar."""
    statement = interval.statement
    effect = (waits(interval) or "no query waits") + duration_suffix(interval)
    width = interval.lasts / longest * WIDTH
    return {
        "sql": statement.sql,
        "title": f"{one_line(statement.sql, _TITLE_LENGTH)}: {effect}",
        "effect": effect,
        "line": statement.line,
        "locks": sorted(statement.taken),
        "kind": interval.waits.replace(" ", "-"),
        "x": round(interval.begins / longest * WIDTH, 2),
        "width": round(max(width, _MIN_BAR_WIDTH), 2),
        "height": _BAR_HEIGHTS[interval.waits],
    }
