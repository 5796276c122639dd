"""Passwords: wrong ones fail immediately, and none is visible to others."""

from __future__ import annotations

import json
import subprocess
import time

from acceptance.support.slow_revisions import SLEEPS, until_it_sleeps
from helpers import Project, assert_failed, rows


def test_wrong_password_fails_without_waiting(project: Project) -> None:
    """A wrong password is a permanent error: no wait, and the code in JSON output."""
    wrong = project.database.environ() | {"POSTGRES_PASSWORD": "wrong"}
    started = time.monotonic()
    done = project.run("--format", "json", "upgrade", LIFTLOCK_WAIT="60", **wrong)
    assert time.monotonic() - started < 20
    assert_failed(done, "LL-WRONG-PASSWORD", 2)
    assert json.loads(done.stderr.splitlines()[-1])["error"] == "LL-WRONG-PASSWORD"


def test_password_is_not_in_the_process_list(project: Project) -> None:
    """The password is in no argument of a process and in no session's name or query."""
    project.revision("slow", None, SLEEPS)
    running = project.start("upgrade")
    until_it_sleeps(project.database)
    arguments = subprocess.run(
        ["sh", "-c", "cat /proc/[0-9]*/cmdline"], capture_output=True, text=True, check=False
    ).stdout
    assert "liftlock" in arguments
    sessions = rows(project.database, "SELECT application_name || query FROM pg_stat_activity")
    running.terminate()
    running.communicate(timeout=20)
    assert (project.database.password or "-") not in arguments + str(sessions)
