"""SARIF 2.1.0: the report for code scanning.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

import json
from posixpath import normpath
from typing import Any

from liftlock.check.finding import Finding
from liftlock.check.report import Report
from liftlock.version import __version__

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def write(report: Report) -> str:
    """Return the report as SARIF."""
    by_code = {finding.code: finding for finding in report.findings}
    rules = [
        {"id": code, "shortDescription": {"text": finding.why}, "help": {"text": finding.now}}
        for code, finding in sorted(by_code.items())
    ]
    run = {
        "tool": {"driver": {"name": "liftlock", "version": __version__, "rules": rules}},
        "results": [_result(finding, report.prefix) for finding in report.findings],
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1)


def _result(finding: Finding, prefix: str) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "level": finding.severity.value,
        "message": {"text": f"{finding.what}\n{finding.why} {finding.now}"},
        "locations": [],
    }
    if finding.path:
        location = {
            "artifactLocation": {"uri": normpath(prefix + finding.path)},
            "region": {"startLine": finding.line or 1},
        }
        result["locations"] = [{"physicalLocation": location}]
    if finding.because:
        result["suppressions"] = [{"kind": "inSource", "justification": finding.because}]
    return result
