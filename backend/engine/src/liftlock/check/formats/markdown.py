"""For a pull request's comment."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from liftlock.check.finding import Finding
from liftlock.check.formats.text import felt, how_long, lasting, place, summary
from liftlock.check.report import Report
from liftlock.check.timeline import timeline
from liftlock.shadow.result import RevisionResult

_MARKS = {"error": "❌", "warning": "⚠️", "note": "💬"}


def write(report: Report) -> str:
    """The report as Markdown."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield f"### Database changes: {'nothing to object to' if report.ok else 'please look'}"
    yield ""
    yield (
        f"{summary(report)}. Tried on PostgreSQL {report.postgres}."
        if report.checked
        else summary(report)
    )
    for finding in report.of(""):
        yield ""
        yield from _finding(finding)
    for one in report.checked:
        yield ""
        yield f"#### `{one.revision.id}` {_plain(one.revision.message)}"
        for finding in report.of(one.revision.id):
            yield ""
            yield from _finding(finding)
        yield ""
        if one.changes:
            yield from (
                "<details><summary>What it makes of the schema</summary>",
                "",
                *_fenced("diff", one.changes),
                "",
                "</details>",
                "",
            )
        yield "<details><summary>Who waits</summary>"
        yield ""
        yield "| statement | plain Alembic | liftlock |"
        yield "|---|---|---|"
        yield from _rows(one, report)
        yield ""
        yield "</details>"


def _finding(finding: Finding) -> Iterator[str]:
    first, *rest = finding.what.splitlines()
    mark = "✅" if finding.because else _MARKS[finding.severity.value]
    yield f"{mark} **{finding.code}**{f' `{place(finding)}`' if finding.path else ''}: {_plain(first)}"
    if rest:
        yield from ("", *_fenced("sql", rest))
    yield ""
    yield (
        f"Allowed: {_plain(finding.because)}"
        if finding.because
        else f"{_plain(finding.why)} {_plain(finding.now)}"
    )


def _fenced(language: str, lines: Sequence[str]) -> Iterator[str]:
    fence = "`" * max(3, 1 + max(len(run) for line in lines for run in re.findall("`*", line)))
    yield from (f"{fence}{language}", *lines, fence)


def _rows(one: RevisionResult, report: Report) -> Iterator[str]:
    for name, trial in (("plain", one.alembic), ("ours", one.liftlock)):
        for span in timeline(trial.observed, report.sizes):
            text = felt(span)
            if text:
                text += how_long(span)
                cells = (text, "") if name == "plain" else ("", text)
                yield f"| `{_cell(' '.join(span.statement.sql.split())[:120])}` | {_cell(cells[0])} | {_cell(cells[1])} |"
    known = report.estimates.get(one.revision.id)
    if known:
        yield f"| all of it | {lasting(known[0])} | {lasting(known[1])} |"


def _plain(text: str) -> str:
    """Text of the project's own, which must not become markup."""
    return "".join(f"\\{one}" if one in "\\`*_{}[]<>#|@" else one for one in text)


def _cell(text: str) -> str:
    return text.replace("`", "'").replace("|", "\\|")
