"""Text: the report for a terminal or a log."""

from __future__ import annotations

from collections.abc import Iterator

from liftlock.check.finding import Finding, Severity
from liftlock.check.formats.phrases import (
    WAYS,
    duration_suffix,
    durations,
    one_line,
    place,
    summary,
    waits,
)
from liftlock.check.report import Report
from liftlock.check.timeline import timeline
from liftlock.shadow.result import RevisionResult, RunResult

_COLORS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: None}
_SQL_LENGTH = 100
_NAME_WIDTH = 13

Line = tuple[str, str | None, bool]
"""A line, its color, and whether it is bold."""


def lines(report: Report) -> Iterator[Line]:
    """Yield the report's lines."""
    for result in report.checked:
        yield f"{result.revision.id}  {result.revision.message}", None, True
        yield from ((f"  {line}", None, False) for line in _both_ways(result, report))
        for finding in report.findings_of(result.revision.id):
            yield f"  {finding.code}  {place(finding)}", _color(finding), False
            yield from ((f"    {line}", None, False) for line in _parts(finding))
    for finding in report.findings_of(""):
        yield finding.code, _color(finding), False
        yield from ((f"  {line}", None, False) for line in _parts(finding))
    yield from ((line, None, False) for line in _sizes(report))
    yield summary(report), None, True


def _color(finding: Finding) -> str | None:
    return None if finding.because else _COLORS[finding.severity]


def _parts(finding: Finding) -> Iterator[str]:
    yield from finding.what.splitlines()
    yield finding.why
    yield f"allowed: {finding.because}" if finding.because else finding.now


def _sizes(report: Report) -> Iterator[str]:
    for table, size in sorted(report.sizes.items()):
        writes = "" if size.writes is None else f", {size.writes:.0f} written a second"
        yield f"{table}: {size.bytes / 1e6:.1f} MB, {size.rows:.0f} rows{writes}"


def _both_ways(result: RevisionResult, report: Report) -> Iterator[str]:
    """Yield the statements of both runs for which queries wait or that take long."""
    estimates = report.estimates.get(result.revision.id, (None, None))
    runs = (result.alembic, result.liftlock)
    for name, run, estimate in zip(WAYS, runs, estimates, strict=True):
        statements = list(_statements(name, run, report))
        yield from statements
        if run.refusal is not None:
            yield f"{name:<{_NAME_WIDTH}}  doesn't run: {run.refusal.what.splitlines()[0]}"
        elif not statements:
            yield f"{name:<{_NAME_WIDTH}}  no query waits"
        elif estimate is not None:
            yield f"{'':<{_NAME_WIDTH}}  {durations(estimate)}"


def _statements(name: str, run: RunResult, report: Report) -> Iterator[str]:
    for interval in timeline(run.observed, report.sizes):
        text = waits(interval)
        if text:
            yield f"{name:<{_NAME_WIDTH}}  {one_line(interval.statement.sql, _SQL_LENGTH)}"
            yield f"{'':<{_NAME_WIDTH}}  → {text}{duration_suffix(interval)}"
