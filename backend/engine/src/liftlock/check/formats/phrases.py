"""Phrases that several formats share: places, summaries, waits and durations."""

from __future__ import annotations

from liftlock.check.finding import Finding
from liftlock.check.report import Estimate, Report
from liftlock.check.timeline import MOMENT, Interval
from liftlock.planning.cost import describe_duration
from liftlock.shadow.observed import ObservedStatement

WAYS = ("plain Alembic", "liftlock")


def place(finding: Finding) -> str:
    """Return the place of a finding as editors and CI servers understand it."""
    return f"{finding.path}:{finding.line or 1}"


def summary(report: Report) -> str:
    """Return the report in one line."""
    if not report.checked:
        return f"Nothing to check ({report.selected})."
    counted = sum(finding.counts for finding in report.findings)
    allowed = sum(bool(finding.because) for finding in report.findings)
    revisions = f"{_number(len(report.checked), 'revision')} ({report.selected})"
    suffix = f", {allowed} allowed" if allowed else ""
    return f"{revisions}, {_number(counted, 'finding')}{suffix}"


def _number(count: int, noun: str) -> str:
    return f"1 {noun}" if count == 1 else f"{count} {noun}s"


def waits(interval: Interval) -> str:
    """Return the queries that wait for a statement, and for what work; empty for none of both."""
    statement = interval.statement
    work = _work(statement)
    blocked = "; ".join(
        f"{queries} of {', '.join(sorted(tables))} wait"
        for queries, tables in statement.blocked.items()
    )
    if blocked:
        return f"{blocked} while it {work}" if work else f"{blocked} for a moment"
    if interval.rows and work:
        tables = ", ".join(sorted(interval.rows))
        return f"writes to the same rows of {tables} wait while it {work}"
    return f"no query waits while it {work}" if work else ""


def _work(statement: ObservedStatement) -> str:
    batches = ", batch by batch" if statement.batched else ""
    return f"{statement.work.describe()}{batches}"


def duration_suffix(interval: Interval) -> str:
    """Return a statement's duration in parentheses, to follow ``waits``; empty for a moment."""
    if interval.lasts <= MOMENT:
        return ""
    return f" ({describe_duration(interval.lasts)})"


def durations(estimate: Estimate) -> str:
    """Return an estimate in words."""
    takes = f"{describe_duration(estimate.takes)} in all"
    if not estimate.blocks:
        return f"{takes}; no query waits"
    return f"{takes}; others wait: {describe_duration(estimate.blocks)}"


def one_line(sql: str, length: int) -> str:
    """Return the beginning of a statement without line breaks."""
    return " ".join(sql.split())[:length]
