"""`liftlock check`: revisions that fail, cannot be repeated, or branch."""

from __future__ import annotations

from pathlib import Path

import pytest
from acceptance.support.check import check_in_process, codes_of
from helpers import (
    Project,
)

from liftlock.check.formats import text


def test_failing_revision_ends_the_check(check_project: Project, cache: Path) -> None:
    """With the server's message."""
    check_project.revision("r1", "r0", 'op.execute("ALTER TABLE nobody ADD COLUMN x integer")')
    report = check_in_process(check_project, cache)
    assert not report.ok
    assert any('relation "nobody" does not exist' in finding.what for finding in report.findings)


def test_upgrade_that_works_only_once_is_found(check_project: Project, cache: Path) -> None:
    """The classic: an enum that the downgrade does not drop."""
    table = (
        'op.create_table("mood", sa.Column("id", sa.Integer, primary_key=True),'
        ' sa.Column("kind", sa.Enum("a", name="kind")))'
    )
    check_project.revision("r1", "r0", table, 'op.drop_table("mood")')
    (finding,) = check_in_process(check_project, cache).findings
    assert finding.code == "LL-DOWNGRADE-DIFFERS"
    assert "can't be applied again" in finding.what
    assert 'type "kind" already exists' in finding.what


def test_chain_is_compared_with_models_and_offline_sql(check_project: Project, cache: Path) -> None:
    """Models that differ, and a revision that cannot be written as SQL."""
    env = check_project.folder / "migrations" / "env.py"
    models = (
        "from sqlalchemy import MetaData, Table\n"
        "target_metadata = MetaData()\n"
        'Table("wish", target_metadata)'
    )
    env.write_text(env.read_text().replace("target_metadata = None", models))
    asks = 'op.get_bind().execute(sa.text("SELECT 1")).fetchall()'
    check_project.revision("r1", "r0", asks)
    report = check_in_process(check_project, cache, "", chain=True)
    assert [result.revision.id for result in report.checked] == ["r0", "r1"]
    found = {finding.code: finding.what for finding in report.findings}
    assert set(found) == {
        "LL-MODELS-DIFFER",
        "LL-NO-DOWNGRADE",
        "LL-NO-OFFLINE-SQL",
        "LL-READS-DATABASE",
    }
    assert "add_table" in found["LL-MODELS-DIFFER"]
    assert "r1.py" in found["LL-NO-OFFLINE-SQL"]


def test_revision_that_only_liftlock_can_run_does_not_end_the_check(
    check_project: Project, cache: Path
) -> None:
    """The next revisions run on the schema of liftlock's own run.

    For plain Alembic the failure is a finding.
    """
    check_project.revision(
        "r1",
        "r0",
        'op.create_table("a", sa.Column("x", sa.Integer), sa.Column("y", sa.Integer))',
        'op.drop_table("a")',
    )
    body = """import liftlock
op.create_index("ix_x", "a", ["x"], postgresql_concurrently=True)
op.create_index("ix_y", "a", ["y"], postgresql_concurrently=True)
codes = "LL-BREAKS-RUNNING-RELEASE", "LL-DATA-LOSS", "LL-MIXED-PHASES"
with liftlock.allow(*codes, because="unused"):
    op.drop_column("person", "nick")"""
    down = """op.add_column("person", sa.Column("nick", sa.Text))
op.drop_index("ix_y", postgresql_concurrently=True)
op.drop_index("ix_x", postgresql_concurrently=True)"""
    check_project.revision("r2", "r1", body, down)
    check_project.revision(
        "r3",
        "r2",
        'op.drop_column("a", "x")',
        'op.add_column("a", sa.Column("x", sa.Integer))\nop.create_index("ix_x", "a", ["x"])',
    )
    report = check_in_process(check_project, cache, "r0:r3")
    assert [result.revision.id for result in report.checked] == ["r1", "r2", "r3"], report.findings
    found = [(finding.revision, finding.code, finding.because) for finding in report.findings]
    assert found == [
        ("r2", "LL-BREAKS-RUNNING-RELEASE", "unused"),
        ("r2", "LL-MIXED-PHASES", "unused"),
        ("r2", "LL-DATA-LOSS", "unused"),
        ("r3", "LL-BREAKS-RUNNING-RELEASE", ""),
        ("r3", "LL-DATA-LOSS", ""),
    ], report.findings
    report = check_in_process(check_project, cache, "r0:r3", way="plain")
    assert next((finding.revision, finding.code) for finding in report.findings) == (
        "r2",
        "LL-STEP-FAILED",
    )
    assert any("plain Alembic  doesn't run: " in line for line, _, _ in text.lines(report))


def test_downgrades_of_branches_and_merges_are_checked(check_project: Project, cache: Path) -> None:
    """Each is checked alone."""
    add = 'op.add_column("person", sa.Column("{0}", sa.Integer))'
    drop = 'op.drop_column("person", "{0}")'
    check_project.revision("a1", "r0", add.format("a"))
    check_project.revision("b1", "r0", add.format("b"), drop.format("b"))
    check_project.revision("b2", "b1", add.format("c"))
    check_project.revision("m1", ("a1", "b2"), add.format("d"))
    check_project.revision("m2", "m1", add.format("e"), drop.format("e"))
    report = check_in_process(check_project, cache, "r0:m2")
    assert sorted(
        finding.revision for finding in report.findings if finding.code == "LL-NO-DOWNGRADE"
    ) == [
        "a1",
        "b2",
        "m1",
    ]
    assert all(result.downgrade is not None for result in report.checked)


@pytest.mark.parametrize("options", ['version_table="my_version"', 'version_table_schema="ops"'])
def test_renamed_version_table_is_not_a_table_of_the_project(
    check_project: Project, cache: Path, options: str
) -> None:
    """Also from an empty database, where env.py creates its schema."""
    create_schema = (
        'connection.execute(__import__("sqlalchemy").text("CREATE SCHEMA IF NOT EXISTS ops"));'
        " connection.commit()"
    )
    check_project.before_configure(create_schema, f"{options}, ")
    check_project.revision(
        "r1",
        "r0",
        'op.add_column("person", sa.Column("x", sa.Text))',
        'op.drop_column("person", "x")',
    )
    assert codes_of(check_in_process(check_project, cache, "base:heads")) == ["LL-NO-DOWNGRADE"]
    assert codes_of(check_in_process(check_project, cache, "r1")) == []
