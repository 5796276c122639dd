"""`liftlock check`: findings about locks, lost compatibility and lost data."""

from __future__ import annotations

from pathlib import Path

import pytest
from acceptance.support.check import check_in_process, codes_of, write_example
from helpers import (
    Project,
)

from liftlock.check.rules.rule import Example

WIDER_TYPES = """
op.alter_column("person", "email", type_=sa.String(80))
op.alter_column("person", "email", type_=sa.Text())
"""


NEW_TABLES = """
op.create_table("city", sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("kind", sa.Enum("a", "b", name="kind")))
op.create_table("street", sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("city_id", sa.Integer, sa.ForeignKey("city.id"), index=True))
op.create_index("ix_street", "street", ["city_id", "id"])
op.bulk_insert(sa.table("city", sa.column("name")), [{"name": "Ulm"}])
"""


def test_new_tables_and_wider_types_have_no_findings(check_project: Project, cache: Path) -> None:
    """Operations that only create tables, or that PostgreSQL does in place."""
    down = 'op.drop_table("street")\nop.drop_table("city")\nop.execute("DROP TYPE kind")'
    check_project.revision("r1", "r0", NEW_TABLES, down)
    check_project.revision(
        "r2", "r1", WIDER_TYPES, 'op.alter_column("person", "email", type_=sa.String(50))'
    )
    report = check_in_process(check_project, cache, "r0:r2")
    assert codes_of(report) == []
    assert len(report.checked) == 2


def test_index_build_is_a_finding_only_for_plain_alembic(
    check_project: Project, cache: Path
) -> None:
    """Plain Alembic builds an index while writes wait, liftlock concurrently."""
    write_example(
        check_project,
        Example('op.create_index("ix_nick", "person", ["nick"])', 'op.drop_index("ix_nick")'),
    )
    ours = check_in_process(check_project, cache)
    plain = check_in_process(check_project, cache, way="plain")
    assert codes_of(ours) == []
    assert codes_of(plain) == ["LL-BLOCKS-TRAFFIC"]
    assert (
        "writes of person wait while the server builds an index on person" in plain.findings[0].what
    )
    (result,) = ours.checked
    of_alembic = [statement.sql for statement in result.alembic.observed]
    of_liftlock = [statement.sql for statement in result.liftlock.observed]
    assert len(of_alembic) == 1
    assert of_alembic[0].startswith(("CREATE INDEX ix_nick", 'CREATE INDEX "ix_nick"'))
    assert any(sql.startswith("CREATE INDEX CONCURRENTLY") for sql in of_liftlock)


def test_lock_held_during_later_work_is_found(check_project: Project, cache: Path) -> None:
    """One transaction: a brief change of one table, then an index on another."""
    body = (
        'op.add_column("country", sa.Column("x", sa.Integer))\n'
        'op.create_index("ix_nick", "person", ["nick"])'
    )
    check_project.revision(
        "r1", "r0", body, 'op.drop_index("ix_nick")\nop.drop_column("country", "x")'
    )
    report = check_in_process(check_project, cache, way="plain")
    assert any(
        "reads and writes of country wait while the server builds an index on person"
        in finding.what
        for finding in report.findings
    )
    assert codes_of(check_in_process(check_project, cache)) == []


BREAKING = {
    "ALTER TABLE person RENAME COLUMN nick TO name": "person has a column renamed: nick to name",
    "ALTER TABLE person ALTER COLUMN name SET NOT NULL": (
        "person has a column that becomes NOT NULL: name"
    ),
    "ALTER TABLE person ALTER COLUMN age TYPE smallint": (
        "person has a column of another type: age, integer to smallint"
    ),
    "ALTER TABLE person DROP COLUMN name": "person loses a column: name",
    "DROP TABLE visit": "visit is dropped",
    "ALTER TABLE person RENAME TO people": "person is renamed to people",
    "ALTER SCHEMA old RENAME TO new": "old.thing is renamed to new.thing",
}


def test_raw_statements_that_break_the_running_release_are_found(
    check_project: Project, cache: Path
) -> None:
    """Their effect is seen in the schema; each is in a revision of its own."""
    creates_schema = "CREATE SCHEMA old CREATE TABLE thing (id integer)"
    check_project.revision("r1", "r0", f'op.execute("{creates_schema}")')
    expected = []
    for number, (statement, what) in enumerate(BREAKING.items(), 2):
        check_project.revision(f"r{number}", f"r{number - 1}", f'op.execute("{statement}")')
        expected.append((f"r{number}", f"{what}:\n{statement}", 8))
    found = [
        (finding.revision, finding.what, finding.line)
        for finding in check_in_process(check_project, cache, "r0:heads").findings
        if finding.code == "LL-BREAKS-RUNNING-RELEASE"
    ]
    assert found == expected


def test_new_constraints_on_old_columns_are_found(check_project: Project, cache: Path) -> None:
    """Not on new columns, nor constraints that existed under another identity."""
    check_project.revision(
        "r1",
        "r0",
        """op.create_unique_constraint("u", "person", ["email"])
op.create_check_constraint("c", "person", "age > 0")
op.create_foreign_key("f", "visit", "country", ["what"], ["code"])
op.create_index("i", "visit", ["what"])
op.add_column("person", sa.Column("new", sa.Integer, sa.CheckConstraint("new > 0"), unique=True))
op.create_unique_constraint("un", "person", ["new"])
op.execute("ALTER TABLE visit ADD CHECK (at > '2000-01-01')")""",
        "pass",
    )
    check_project.revision(
        "r2",
        "r1",
        """op.alter_column("person", "age", type_=sa.BigInteger())""",
        """op.alter_column("person", "age", type_=sa.Integer())""",
    )
    found = [
        (finding.what.partition("\n")[0], finding.line)
        for finding in check_in_process(check_project, cache, "r0:r2").findings
        if finding.code == "LL-NEW-CONSTRAINT"
    ]
    assert found == [
        ("person: email must be unique, by u", 8),
        ("person: age must satisfy a check, by c", 9),
        ("visit: at must satisfy a check, by visit_at_check", 14),
        ("visit: what must refer to country, by f", 10),
    ]


def test_findings_name_the_line_of_the_operation(check_project: Project, cache: Path) -> None:
    """Also of statements that run when the revision has ended, or are found in the schema."""
    body = """op.drop_constraint("visit_person_id_fkey", "visit")
op.drop_column("visit", "person_id")
op.execute("CREATE INDEX i ON person (age)")"""
    check_project.revision("r1", "r0", body)
    lines = {
        finding.code: finding.line for finding in check_in_process(check_project, cache).findings
    }
    assert lines["LL-DATA-LOSS"] == 9
    assert lines["LL-BLOCKS-TRAFFIC"] == 10


def test_update_under_a_strong_lock_is_a_finding_for_plain_alembic(
    check_project: Project, cache: Path
) -> None:
    """The lock is held as long as the UPDATE takes."""
    body = (
        'op.add_column("person", sa.Column("x", sa.Text))\n'
        'op.execute("UPDATE person SET x = lower(email)")'
    )
    check_project.revision("r1", "r0", body, 'op.drop_column("person", "x")')
    assert codes_of(check_in_process(check_project, cache, way="plain")) == ["LL-BLOCKS-TRAFFIC"]
    assert codes_of(check_in_process(check_project, cache)) == []


def test_locks_in_an_autocommit_block_are_found(check_project: Project, cache: Path) -> None:
    """Statements in an autocommit block end immediately.

    The locks they block are found all the same.
    """
    body = """with op.get_context().autocommit_block():
    op.execute("CREATE INDEX i ON person (age)")
    op.execute("ALTER TABLE person ALTER age TYPE text")"""
    check_project.revision(
        "r1",
        "r0",
        body,
        (
            'op.execute("ALTER TABLE person ALTER age TYPE integer USING age::integer")\n'
            'op.drop_index("i")'
        ),
    )
    found = [
        finding.what.split(" while")[0]
        for finding in check_in_process(check_project, cache, way="plain").findings
        if finding.code == "LL-BLOCKS-TRAFFIC"
    ]
    assert found == ["writes of person wait", "reads and writes of person wait"]


@pytest.mark.parametrize(
    ("upgrade", "code", "text"),
    [
        (
            (
                'op.execute("SET client_min_messages = warning")\n'
                'op.execute("CREATE INDEX i ON visit (at)")'
            ),
            "LL-BLOCKS-TRAFFIC",
            "CREATE INDEX",
        ),
        (
            'op.execute("REINDEX INDEX ix_visit_person_id")',
            "LL-BLOCKS-TRAFFIC",
            "reads and writes of visit wait",
        ),
        (
            'op.execute("-- old ones\\nDELETE FROM visit WHERE at < now()")',
            "LL-DATA-LOSS",
            "rows are deleted",
        ),
        ('op.execute("/* all */ TRUNCATE visit")', "LL-DATA-LOSS", "all rows are deleted"),
        (
            'op.alter_column("person", "created", server_default=None)',
            "LL-BREAKS-RUNNING-RELEASE",
            "created loses its default",
        ),
        ('op.execute("DROP VIEW grown")', "LL-BREAKS-RUNNING-RELEASE", "view grown is dropped"),
        (
            (
                'op.create_table("more", sa.Column("id", sa.Integer))\n'
                'op.drop_column("person", "nick")'
            ),
            "LL-MIXED-PHASES",
            "doesn't",
        ),
        (
            'op.create_index("u", "person", [sa.text("lower(email)")], unique=True)',
            "LL-ROWS-NOT-CHECKED",
            "don't satisfy u",
        ),
        (
            'op.create_index("u", "person", [sa.text("lower(email)")], unique=True)',
            "LL-NEW-CONSTRAINT",
            "must satisfy",
        ),
    ],
)
def test_further_statements_are_found(
    check_project: Project, cache: Path, upgrade: str, code: str, text: str
) -> None:
    """By plain Alembic."""
    check_project.revision("r0a", "r0", 'op.execute("CREATE VIEW grown AS SELECT 1 AS x")')
    check_project.revision("r1", "r0a", upgrade)
    found = [
        finding.what
        for finding in check_in_process(check_project, cache, way="plain").findings
        if finding.code == code
    ]
    assert any(text in what for what in found), found
