"""For programs; ``docs/reference/check.schema.json`` says what it holds."""

from __future__ import annotations

import json

from liftlock.check.report import Report


def write(report: Report) -> str:
    """The report as JSON."""
    return json.dumps(report.as_dict(), indent=1)
