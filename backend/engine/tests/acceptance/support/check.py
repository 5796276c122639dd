"""`liftlock check` in this process, as a report."""

from __future__ import annotations

import subprocess
from pathlib import Path

from helpers import Project

from liftlock import settings
from liftlock.check.report import Report
from liftlock.check.rules.rule import Example
from liftlock.check.run import CheckOptions
from liftlock.commands.check import check
from liftlock.events import silent
from liftlock.postgres.signals import Signals


def check_in_process(
    project: Project,
    cache: Path,
    wanted: str = "r1",
    way: str = "liftlock",
    *,
    chain: bool = False,
    **variables: str,
) -> Report:
    """Check revisions of a project.

    Parameters:
        project: the project.
        cache: the folder in which base states are kept.
        wanted: a revision, a range, or "" for the default selection.
        way: ``liftlock`` or ``plain``: the tool whose run counts.
        chain: check the chain as a whole.
        variables: further environment variables.
    """
    environment = {"ALEMBIC_CONFIG": project.ini, "XDG_CACHE_HOME": str(cache), **variables}
    read = settings.read(environment)
    with Signals() as interrupts:
        options = CheckOptions(way=way, chain=chain)
        return check(read, wanted, options, interrupts=interrupts, notify=silent)


def codes_of(report: Report) -> list[str]:
    """Return the codes of the findings."""
    return [finding.code for finding in report.findings]


def write_example(project: Project, example: Example) -> None:
    """Write a rule's example as revision r1."""
    project.revision("r1", "r0", example.upgrade, example.downgrade)


def git(folder: Path, *arguments: str) -> None:
    """Run git in a folder, as some author."""
    author = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run(["git", "-C", str(folder), *author, *arguments], check=True, capture_output=True)


def commit_all(folder: Path) -> None:
    """Make a folder a git repository, and commit its files to the branch main."""
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "one")
