"""Markdown: the report as a comment on a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from liftlock.check.finding import Finding
from liftlock.check.formats.phrases import (
    duration_suffix,
    durations,
    one_line,
    place,
    summary,
    waits,
)
from liftlock.check.report import Report
from liftlock.check.timeline import timeline
from liftlock.shadow.result import RevisionResult

_MARKS = {"error": "❌", "warning": "⚠️", "note": "💬"}
_SQL_LENGTH = 120
_SPECIAL = "\\`*_{}[]<>#|@"


def write(report: Report) -> str:
    """Return the report as Markdown."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield f"### Database changes: {'no objections' if report.ok else 'review needed'}"
    yield ""
    if report.checked:
        yield f"{summary(report)}. Tried on PostgreSQL {report.postgres}."
    else:
        yield summary(report)
    yield from _findings(report.findings_of(""))
    for result in report.checked:
        yield from ("", f"#### `{result.revision.id}` {_escaped(result.revision.message)}")
        yield from _findings(report.findings_of(result.revision.id))
        yield ""
        yield from _changes(result)
        yield "<details><summary>Waiting queries</summary>"
        yield from ("", "| statement | plain Alembic | liftlock |", "|---|---|---|")
        yield from _rows(result, report)
        yield from ("", "</details>")


def _findings(findings: Sequence[Finding]) -> Iterator[str]:
    for finding in findings:
        yield ""
        yield from _finding(finding)


def _finding(finding: Finding) -> Iterator[str]:
    first, *more = finding.what.splitlines()
    mark = "✅" if finding.because else _MARKS[finding.severity.value]
    where = f" `{place(finding)}`" if finding.path else ""
    yield f"{mark} **{finding.code}**{where}: {_escaped(first)}"
    if more:
        yield from ("", *_fenced("sql", more))
    yield ""
    if finding.because:
        yield f"Allowed: {_escaped(finding.because)}"
    else:
        yield f"{_escaped(finding.why)} {_escaped(finding.now)}"


def _changes(result: RevisionResult) -> Iterator[str]:
    """Yield the lines of the schema that a revision adds and removes, folded."""
    if result.changes:
        yield "<details><summary>Changes of the schema</summary>"
        yield from ("", *_fenced("diff", result.changes), "", "</details>", "")


def _fenced(language: str, lines: Sequence[str]) -> Iterator[str]:
    """Yield a code block whose fence is longer than any run of backticks in it."""
    longest = max(len(run) for line in lines for run in re.findall("`*", line))
    fence = "`" * max(3, 1 + longest)
    yield from (f"{fence}{language}", *lines, fence)


def _rows(result: RevisionResult, report: Report) -> Iterator[str]:
    """Yield the rows of the table: a statement each, in the column of its way."""
    for is_alembic, run in ((True, result.alembic), (False, result.liftlock)):
        for interval in timeline(run.observed, report.sizes):
            text = waits(interval)
            if text:
                effect = _cell(text + duration_suffix(interval))
                cells = f"{effect} |  |" if is_alembic else f" | {effect} |"
                yield f"| `{_cell(one_line(interval.statement.sql, _SQL_LENGTH))}` | {cells}"
    estimates = report.estimates.get(result.revision.id)
    if estimates:
        yield f"| all of it | {durations(estimates[0])} | {durations(estimates[1])} |"


def _escaped(text: str) -> str:
    """Escape the project's own text, so that it is no markup."""
    return "".join(f"\\{character}" if character in _SPECIAL else character for character in text)


def _cell(text: str) -> str:
    """Replace what would end a cell of a table, or code in it."""
    return text.replace("`", "'").replace("|", "\\|")
