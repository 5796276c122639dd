"""SARIF 2.1.0, which code scanning reads: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html."""

from __future__ import annotations

import json
from posixpath import normpath
from typing import Any

from liftlock.version import __version__
from liftlock.check.finding import Finding
from liftlock.check.report import Report


def write(report: Report) -> str:
    """The report as SARIF."""
    codes = {one.code: one for one in report.findings}
    rules = [
        {"id": code, "shortDescription": {"text": one.why}, "help": {"text": one.now}}
        for code, one in sorted(codes.items())
    ]
    driver = {"name": "liftlock", "version": __version__, "rules": rules}
    run = {
        "tool": {"driver": driver},
        "results": [_result(one, report.prefix) for one in report.findings],
    }
    schema = "https://json.schemastore.org/sarif-2.1.0.json"
    return json.dumps({"$schema": schema, "version": "2.1.0", "runs": [run]}, indent=1)


def _result(one: Finding, prefix: str) -> dict[str, Any]:
    place = {
        "artifactLocation": {"uri": normpath(prefix + one.path)},
        "region": {"startLine": one.line or 1},
    }
    found: dict[str, Any] = {
        "ruleId": one.code,
        "level": one.severity.value,
        "message": {"text": f"{one.what}\n{one.why} {one.now}"},
        "locations": [{"physicalLocation": place}] if one.path else [],
    }
    if one.because:
        found["suppressions"] = [{"kind": "inSource", "justification": one.because}]
    return found
