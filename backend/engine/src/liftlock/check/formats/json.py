"""JSON: the report for programs; ``docs/reference/check.schema.json`` describes it."""

from __future__ import annotations

import json

from liftlock.check.report import Report


def write(report: Report) -> str:
    """Return the report as JSON."""
    return json.dumps(report.as_dict(), indent=1)
