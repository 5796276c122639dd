"""Annotations of GitHub Actions: https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions."""

from __future__ import annotations

from posixpath import normpath

from liftlock.check.finding import Finding
from liftlock.check.report import Report

_WORDS = {"error": "error", "warning": "warning", "note": "notice"}


def write(report: Report) -> str:
    """One line a finding; those that are allowed are left out."""
    return "".join(f"{_line(one, report.prefix)}\n" for one in report.findings if not one.because)


def _line(one: Finding, prefix: str) -> str:
    facts = (
        {"file": normpath(prefix + one.path), "line": str(one.line or 1)} if one.path else {}
    ) | {"title": one.code}
    listed = ",".join(f"{name}={_escaped(value, more=True)}" for name, value in facts.items())
    text = f"{one.what}\n{one.why} {one.now}"
    return f"::{_WORDS[one.severity.value]} {listed}::{_escaped(text)}"


def _escaped(text: str, *, more: bool = False) -> str:
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text.replace(":", "%3A").replace(",", "%2C") if more else text
