"""For a terminal, or a log."""

from __future__ import annotations

from collections.abc import Iterator

from liftlock.check.finding import Finding, Severity
from liftlock.check.report import Estimate, Report
from liftlock.check.timeline import MOMENT, Interval, timeline
from liftlock.planning import cost
from liftlock.shadow.result import RevisionResult

WAYS = ("plain Alembic", "liftlock")
_COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: None}


def lines(report: Report) -> Iterator[tuple[str, str | None, bool]]:
    """The report's lines, each with its colour, and whether it is bold."""
    for one in report.checked:
        yield f"{one.revision.id}  {one.revision.message}", None, True
        yield from ((f"  {text}", None, False) for text in _side_by_side(one, report))
        for finding in report.of(one.revision.id):
            yield (
                f"  {finding.code}  {place(finding)}",
                None if finding.because else _COLOURS[finding.severity],
                False,
            )
            yield from ((f"    {text}", None, False) for text in _told(finding))
    for finding in report.of(""):
        yield finding.code, None if finding.because else _COLOURS[finding.severity], False
        yield from ((f"  {text}", None, False) for text in _told(finding))
    for name, size in sorted(report.sizes.items()):
        written = "" if size.writes is None else f", {size.writes:.0f} written a second"
        yield f"{name}: {size.bytes / 1e6:.1f} MB, {size.rows:.0f} rows{written}", None, False
    yield summary(report), None, True


def place(finding: Finding) -> str:
    """Where a finding is, as editors and CI understand it."""
    return f"{finding.path}:{finding.line or 1}"


def summary(report: Report) -> str:
    """The report in one line."""
    if not report.checked:
        return f"Nothing to check ({report.told})."
    counted, allowed = (
        sum(one.counts for one in report.findings),
        sum(bool(one.because) for one in report.findings),
    )
    revisions = "1 revision" if len(report.checked) == 1 else f"{len(report.checked)} revisions"
    findings = "1 finding" if counted == 1 else f"{counted} findings"
    return f"{revisions} ({report.told}), {findings}" + (f", {allowed} allowed" if allowed else "")


def felt(span: Interval) -> str:
    """What a statement makes others feel: who waits, and for which work; empty for nothing."""
    statement = span.statement
    waits = "; ".join(
        f"{who} of {', '.join(sorted(names))} wait" for who, names in statement.blocked.items()
    )
    work = statement.work.told() + (", batch by batch" if statement.batched else "")
    if waits:
        return f"{waits} while it {work}" if work else f"{waits} for a moment"
    if span.rows and work:
        return f"writes to the same rows of {', '.join(sorted(span.rows))} wait while it {work}"
    return f"nobody waits while it {work}" if work else ""


def how_long(span: Interval) -> str:
    """How long a statement takes, to be put after what it makes others feel; empty for a moment."""
    return f" ({cost.describe_duration(span.lasts)})" if span.lasts > MOMENT else ""


def lasting(estimate: Estimate) -> str:
    """An estimate in words."""
    waits = (
        f"others wait: {cost.describe_duration(estimate.blocks)}"
        if estimate.blocks
        else "nobody waits"
    )
    return f"{cost.describe_duration(estimate.takes)} in all; {waits}"


def _told(finding: Finding) -> Iterator[str]:
    yield from finding.what.splitlines()
    yield finding.why
    yield f"allowed: {finding.because}" if finding.because else finding.now


def _side_by_side(one: RevisionResult, report: Report) -> Iterator[str]:
    nothing = (None, None)
    for name, trial, estimate in zip(
        WAYS,
        (one.alembic, one.liftlock),
        report.estimates.get(one.revision.id, nothing),
        strict=True,
    ):
        spans = [span for span in timeline(trial.observed, report.sizes) if felt(span)]
        for span in spans:
            head = " ".join(span.statement.sql.split())[:100]
            yield f"{name:<13}  {head}"
            yield f"{'':<13}  → {felt(span)}{how_long(span)}"
        if trial.refusal is not None:
            yield f"{name:<13}  doesn't run: {trial.refusal.what.splitlines()[0]}"
        elif not spans:
            yield f"{name:<13}  nobody waits"
        elif estimate is not None:
            yield f"{'':<13}  {lasting(estimate)}"
