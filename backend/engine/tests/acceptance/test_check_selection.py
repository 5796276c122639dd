"""`liftlock check`: the revisions that are checked, and findings that are allowed."""

from __future__ import annotations

from pathlib import Path

import pytest
from acceptance.support.check import check_in_process, codes_of, commit_all, git
from helpers import (
    NOWHERE,
    Project,
    assert_failed,
    connected,
)

from liftlock import settings
from liftlock.check.selection import prefix
from liftlock.commands.check import check
from liftlock.events import silent
from liftlock.postgres.signals import Signals
from liftlock.settings import Address


def write_column(project: Project, revision: str, down_revision: str, column: str) -> None:
    """Write a revision without findings: it adds a column to the table person."""
    add = f'op.add_column("person", sa.Column("{column}", sa.Integer))'
    project.revision(revision, down_revision, add, f'op.drop_column("person", "{column}")')


def test_allowances_need_a_reason_and_start_after_skips_revisions(
    check_project: Project, cache: Path
) -> None:
    """In the revision or in alembic.ini; an allowance without a reason is refused."""
    body = (
        "import liftlock\n"
        'with liftlock.allow("LL-BREAKS-RUNNING-RELEASE", because="nobody reads it"):\n'
        '    op.drop_column("person", "nick")'
    )
    check_project.revision("r1", "r0", body)
    found = {
        finding.code: finding.because for finding in check_in_process(check_project, cache).findings
    }
    assert found == {
        "LL-BREAKS-RUNNING-RELEASE": "nobody reads it",
        "LL-DATA-LOSS": "",
        "LL-NO-DOWNGRADE": "",
    }
    ini = Path(check_project.ini)
    before = ini.read_text()
    ini.write_text(
        f"{before}\n"
        "[liftlock]\n"
        "allow =\n"
        "    LL-DATA-LOSS r1: it was empty\n"
        "    LL-NO-DOWNGRADE: we go forward only\n"
    )
    report = check_in_process(check_project, cache)
    assert report.ok
    assert {finding.because for finding in report.findings} == {
        "nobody reads it",
        "it was empty",
        "we go forward only",
    }
    ini.write_text(f"{before}\n[liftlock]\nstart_after = r1\n")
    assert codes_of(check_in_process(check_project, cache)) == []
    ini.write_text(f"{before}\n[liftlock]\nallow = LL-DATA-LOSS\n")
    assert_failed(check_project.run("check", "r1", XDG_CACHE_HOME=str(cache)), "LL-ALLOW-SYNTAX", 2)


def test_invalid_ranges_are_refused(check_project: Project, cache: Path) -> None:
    """Exit code 2; several heads are a finding."""
    for name, down in (("a1", "r0"), ("a2", "a1"), ("b1", "r0")):
        check_project.revision(name, down, "pass")
    for wanted in ("a2:a1", "b1:a2", "a1:nosuch", "nosuch"):
        assert_failed(
            check_project.run("check", wanted, XDG_CACHE_HOME=str(cache)),
            "LL-REVISION-NOT-FOUND",
            2,
        )
    assert codes_of(check_in_process(check_project, cache, "r0:a2")) == ["LL-MULTIPLE-HEADS"]


def test_revisions_new_in_git_are_checked(check_project: Project, cache: Path) -> None:
    """Compared with the main branch; a file edited since is a finding."""
    folder = check_project.folder
    write_column(check_project, "r1", "r0", "x")
    commit_all(check_project.folder)
    assert check_in_process(check_project, cache, "").checked == ()
    git(folder, "checkout", "-qb", "branch")
    write_column(check_project, "r2", "r1", "y")
    assert [
        result.revision.id for result in check_in_process(check_project, cache, "").checked
    ] == ["r2"]
    with (check_project.versions / "r1.py").open("a") as file:
        file.write("# more\n")
    report = check_in_process(check_project, cache, "")
    assert [result.revision.id for result in report.checked] == ["r1", "r2"]
    assert codes_of(report) == ["LL-EDITED-AFTER-MERGE"]


def test_paths_are_relative_to_the_top_of_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a git repository."""
    (tmp_path / "services" / "api").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "services" / "api")
    assert prefix() == ""
    git(tmp_path, "init", "-q")
    assert prefix() == "services/api/"


def test_pending_revisions_are_checked_without_git(
    check_project: Project, cache: Path, database: Address
) -> None:
    """On the database that the environment names; all revisions if it cannot be reached."""
    write_column(check_project, "r1", "r0", "x")
    with connected(database) as session:
        session.execute("CREATE TABLE alembic_version (version_num text PRIMARY KEY)")
        session.execute("INSERT INTO alembic_version VALUES ('r0')")
    for address, wanted in ((database, ["r1"]), (NOWHERE, ["r0", "r1"])):
        found = settings.read(
            {"ALEMBIC_CONFIG": check_project.ini, "XDG_CACHE_HOME": str(cache), **address.environ()}
        )
        with Signals() as interrupts:
            report = check(found, interrupts=interrupts, notify=silent)
        assert [result.revision.id for result in report.checked] == wanted
        assert ("pending" in report.selected) is (wanted == ["r1"])


def test_multiple_heads_are_found_if_nothing_is_new(check_project: Project, cache: Path) -> None:
    """Two branches were merged in git, each fine on its own; the finding is at alembic.ini."""
    for name in ("a1", "b1"):
        check_project.revision(name, "r0", "pass")
    commit_all(check_project.folder)
    report = check_in_process(check_project, cache, "")
    assert codes_of(report) == ["LL-MULTIPLE-HEADS"]
    assert report.findings[0].path.endswith("alembic.ini")


def test_revision_between_checked_ones_is_run_but_not_judged(
    check_project: Project, cache: Path
) -> None:
    """It runs, because the new revision comes after it."""
    write_column(check_project, "r1", "r0", "x")
    check_project.revision("r2", "r1", 'op.drop_column("person", "nick")')
    commit_all(check_project.folder)
    with (check_project.versions / "r1.py").open("a") as file:
        file.write("# more\n")
    write_column(check_project, "r3", "r2", "y")
    report = check_in_process(check_project, cache, "")
    assert [result.revision.id for result in report.checked] == ["r1", "r2", "r3"]
    assert codes_of(report) == ["LL-EDITED-AFTER-MERGE"]
