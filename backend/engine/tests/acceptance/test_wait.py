"""`liftlock wait`."""

from __future__ import annotations

from pathlib import Path

from helpers import (
    Project,
    assert_failed,
)


def test_wait_reports_that_the_database_is_ready(project: Project) -> None:
    """The address comes from alembic.ini if the environment has none."""
    done = project.run("wait")
    assert (done.returncode, "is ready" in done.stdout) == (0, True)


def test_wait_without_address_names_the_variables(project: Project) -> None:
    """The error names the environment variables to set."""
    Path(project.ini).write_text("[alembic]\nscript_location = migrations\n")
    assert_failed(project.run("wait"), "LL-NO-ADDRESS", 2, mentions="POSTGRES_SERVER")
