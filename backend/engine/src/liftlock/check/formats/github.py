"""GitHub: annotations of a workflow run.

https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions
"""

from __future__ import annotations

from posixpath import normpath

from liftlock.check.finding import Finding
from liftlock.check.report import Report

_LEVELS = {"error": "error", "warning": "warning", "note": "notice"}


def write(report: Report) -> str:
    """Return one workflow command a line for each finding that isn't allowed."""
    findings = (finding for finding in report.findings if not finding.because)
    return "".join(f"{_command(finding, report.prefix)}\n" for finding in findings)


def _command(finding: Finding, prefix: str) -> str:
    properties = {}
    if finding.path:
        properties["file"] = normpath(prefix + finding.path)
        properties["line"] = str(finding.line or 1)
    properties["title"] = finding.code
    listed = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    message = _message(f"{finding.what}\n{finding.why} {finding.now}")
    return f"::{_LEVELS[finding.severity.value]} {listed}::{message}"


def _message(text: str) -> str:
    """Escape a message, so that it can't contain another workflow command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """Escape the value of a property, which a colon or a comma would end."""
    return _message(text).replace(":", "%3A").replace(",", "%2C")
