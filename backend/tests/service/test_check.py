"""`liftlock check` on the service's own revisions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from recaller_helpers import BACKEND


def test_own_revisions_have_only_allowed_findings(tmp_path: Path) -> None:
    """Every finding is allowed in its revision, with a reason."""
    variables = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    program = Path(sys.executable).with_name("liftlock")
    done = subprocess.run(
        [program, "--format", "json", "check", "base:heads"],
        cwd=BACKEND,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    report = json.loads(done.stdout)
    assert len(report["revisions"]) >= 15
    findings = report["findings"]
    not_allowed = [finding for finding in findings if not finding["because"]]
    assert {finding["severity"] for finding in not_allowed} <= {"note"}
    assert done.returncode == 0, done.stderr
    assert {finding["code"] for finding in findings} == {
        "LL-BREAKS-RUNNING-RELEASE",
        "LL-ROWS-NOT-CHECKED",
        "LL-DATA-LOSS",
        "LL-MIXED-PHASES",
        "LL-NEW-CONSTRAINT",
    }
