"""`liftlock check`: the examples of each rule, and the findings of ordinary revisions."""

from __future__ import annotations

from pathlib import Path

import pytest
from acceptance.support.check import check_in_process, codes_of, write_example
from helpers import (
    Project,
)

from liftlock.check.finding import Severity
from liftlock.check.rules import RULES
from liftlock.check.rules.rule import Rule


@pytest.mark.rules
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_bad_example_is_found_by_its_rule(check_project: Project, cache: Path, rule: Rule) -> None:
    """The finding is in the revision's file, and fails the check unless it is a note."""
    write_example(check_project, rule.bad)
    report = check_in_process(check_project, cache, way=rule.only or "liftlock")
    # The refusal of the example has a code of its own.
    code = "LL-STEP-FAILED" if rule.code == "LL-REVISION-FAILS" else rule.code
    findings = [finding for finding in report.findings if finding.code == code]
    assert findings, codes_of(report)
    assert findings[0].path.endswith("r1.py")
    assert findings[0].counts is (rule.severity is not Severity.NOTE)
    assert report.ok or findings[0].counts


@pytest.mark.rules
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_good_example_has_no_finding(check_project: Project, cache: Path, rule: Rule) -> None:
    """Neither of its own rule, nor of any other except notes."""
    write_example(check_project, rule.good)
    report = check_in_process(check_project, cache, way=rule.only or "liftlock")
    assert report.ok, codes_of(report)
    assert rule.code not in codes_of(report)


ORDINARY_REVISIONS = {
    "a name that PostgreSQL quotes": (
        (
            'op.create_table("position", sa.Column("id", sa.Integer, primary_key=True),'
            ' sa.Column("x", sa.Integer))'
        ),
        (
            'op.add_column("position", sa.Column("y", sa.Integer, nullable=False))\n'
            'op.alter_column("position", "x", new_column_name="z")'
        ),
        'op.alter_column("position", "z", new_column_name="x")\nop.drop_column("position", "y")',
        ["LL-NOT-NULL-WITHOUT-DEFAULT", "LL-BREAKS-RUNNING-RELEASE", "LL-MIXED-PHASES"],
    ),
    "a word in a name": (
        "pass",
        'op.add_column("person", sa.Column("default_language", sa.Text, nullable=False))',
        'op.drop_column("person", "default_language")',
        ["LL-NOT-NULL-WITHOUT-DEFAULT"],
    ),
    "a generated column": (
        "pass",
        (
            'op.add_column("country", sa.Column("low", sa.Text, sa.Computed("lower(name)",'
            " persisted=True), nullable=False))"
        ),
        'op.drop_column("country", "low")',
        ["LL-TABLE-REWRITE"],
    ),
    "another schema": (
        'op.execute("CREATE SCHEMA archive")',
        """op.create_table("person", sa.Column("c", sa.String(2), index=True),
            sa.Column("id", sa.Integer, primary_key=True),
            sa.ForeignKeyConstraint(["c"], ["public.country.code"]), schema="archive")""",
        'op.drop_table("person", schema="archive")',
        [],
    ),
    "a type that holds more": (
        "pass",
        'op.alter_column("person", "age", type_=sa.BigInteger())',
        'op.alter_column("person", "age", type_=sa.Integer())',
        [],
    ),
    "a new column that is filled": (
        "pass",
        (
            'op.add_column("person", sa.Column("on", sa.Boolean, server_default="true"))\n'
            'op.alter_column("person", "on", nullable=False)'
        ),
        'op.drop_column("person", "on")',
        [],
    ),
    "a column with its constraint and index": (
        "pass",
        """import liftlock
with liftlock.allow("LL-BREAKS-RUNNING-RELEASE", "LL-DATA-LOSS", because="unused"):
    op.drop_constraint("visit_person_id_fkey", "visit")
    op.drop_index("ix_visit_person_id")
    op.drop_column("visit", "person_id")""",
        None,
        ["LL-BREAKS-RUNNING-RELEASE: unused", "LL-DATA-LOSS: unused"],
    ),
    "a truncated table": ("pass", 'op.execute("TRUNCATE visit")', "pass", ["LL-DATA-LOSS"]),
    "a value made in Python": (
        "pass",
        """import uuid
country = sa.table("country", sa.column("code"), sa.column("name"))
op.bulk_insert(country, [{"code": "Zz", "name": str(uuid.uuid4())}])""",
        "op.execute(\"DELETE FROM country WHERE code = 'Zz'\")",
        ["LL-NOT-DETERMINISTIC"],
    ),
    "an allowed column and another": (
        "pass",
        """import liftlock
with liftlock.allow("LL-BREAKS-RUNNING-RELEASE", "LL-DATA-LOSS", because="unused"):
    op.drop_column("person", "nick")
op.drop_column("person", "age")""",
        None,
        [
            "LL-BREAKS-RUNNING-RELEASE: unused",
            "LL-BREAKS-RUNNING-RELEASE",
            "LL-DATA-LOSS: unused",
            "LL-DATA-LOSS",
        ],
    ),
    "a raw statement that is allowed": (
        "pass",
        (
            "import liftlock\n"
            'with liftlock.allow("LL-BLOCKS-TRAFFIC", because="small"):\n'
            '    op.execute("CREATE INDEX ix_email ON person (email)")'
        ),
        'op.execute("DROP INDEX ix_email")',
        ["LL-BLOCKS-TRAFFIC: small"],
    ),
    "a key that is allowed to have no index": (
        "pass",
        """import liftlock
with liftlock.allow("LL-FOREIGN-KEY-WITHOUT-INDEX", because="never deleted"):
    op.create_foreign_key("k", "person", "country", ["country"], ["code"])""",
        'op.drop_constraint("k", "person")',
        ["LL-NEW-CONSTRAINT", "LL-FOREIGN-KEY-WITHOUT-INDEX: never deleted", "LL-ROWS-NOT-CHECKED"],
    ),
    "over the connection": (
        "pass",
        (
            'op.add_column("country", sa.Column("x", sa.Integer))\n'
            'op.get_bind().execute(sa.text("CREATE INDEX ix_email ON person (email)"))'
        ),
        'op.drop_index("ix_email")\nop.drop_column("country", "x")',
        ["LL-BLOCKS-TRAFFIC"],
    ),
    "another type and not null": (
        "pass",
        'op.alter_column("person", "nick", type_=sa.String(9), nullable=False)',
        'op.alter_column("person", "nick", type_=sa.Text(), nullable=True)',
        ["LL-BREAKS-RUNNING-RELEASE", "LL-BREAKS-RUNNING-RELEASE", "LL-ROWS-NOT-CHECKED"],
    ),
    "a clean-up before a change": (
        "pass",
        (
            'op.execute("UPDATE person SET age = NULL WHERE age < 0")\n'
            'op.execute("ALTER TABLE person ALTER age TYPE smallint")'
        ),
        'op.execute("ALTER TABLE person ALTER age TYPE integer")',
        [
            "LL-BLOCKS-TRAFFIC",
            "LL-STATISTICS-LOST",
            "LL-BREAKS-RUNNING-RELEASE",
            "LL-ROWS-NOT-CHECKED",
        ],
    ),
    "a partitioned table": (
        """op.execute("CREATE TABLE ev (at date NOT NULL, x integer) PARTITION BY RANGE (at)")
op.execute("CREATE TABLE ev20 PARTITION OF ev FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')")
op.execute("CREATE TABLE ev21 PARTITION OF ev FOR VALUES FROM ('2021-01-01') TO ('2022-01-01')")""",
        """import liftlock
with liftlock.allow("LL-BREAKS-RUNNING-RELEASE", "LL-DATA-LOSS", because="unused"):
    op.drop_column("ev", "x")
op.create_unique_constraint("once", "ev", ["at"])""",
        None,
        [
            "LL-BREAKS-RUNNING-RELEASE: unused",
            "LL-MIXED-PHASES",
            "LL-NEW-CONSTRAINT",
            "LL-DATA-LOSS: unused",
            "LL-ROWS-NOT-CHECKED",
        ],
    ),
    "a quoted name": (
        """op.execute('CREATE TABLE "user" (id integer)')""",
        """import liftlock
with liftlock.allow("LL-BREAKS-RUNNING-RELEASE", "LL-DATA-LOSS", because="unused"):
    op.execute('DROP TABLE "user"')""",
        None,
        ["LL-BREAKS-RUNNING-RELEASE: unused", "LL-DATA-LOSS: unused"],
    ),
    "a default that was only for the old rows": (
        "pass",
        """import liftlock
with liftlock.allow("LL-BREAKS-RUNNING-RELEASE", because="since 12 it is written"):
    op.add_column("person", sa.Column("y", sa.Integer, server_default="0", nullable=False))
    op.alter_column("person", "y", server_default=None)""",
        'op.drop_column("person", "y")',
        ["LL-BREAKS-RUNNING-RELEASE: since 12 it is written"],
    ),
    "a key that holds more": (
        (
            'op.create_table("k", sa.Column("id", sa.Integer, primary_key=True),'
            ' sa.Column("n", sa.Integer, unique=True))'
        ),
        'op.alter_column("k", "n", type_=sa.BigInteger())',
        'op.alter_column("k", "n", type_=sa.Integer())',
        [],
    ),
    "a trigger that is replaced": (
        """function = "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql"
op.execute(f"{function} AS 'BEGIN RETURN NEW; END'")
op.execute("CREATE TRIGGER t BEFORE INSERT ON person FOR EACH ROW EXECUTE FUNCTION f()")""",
        """op.execute("DROP TRIGGER t ON person")
op.execute("CREATE TRIGGER t BEFORE UPDATE ON person FOR EACH ROW EXECUTE FUNCTION f()")""",
        """op.execute("DROP TRIGGER t ON person")
op.execute("CREATE TRIGGER t BEFORE INSERT ON person FOR EACH ROW EXECUTE FUNCTION f()")""",
        [],
    ),
    "a role": (
        "pass",
        'op.execute("CREATE ROLE a_role NOLOGIN")\nop.execute("GRANT SELECT ON person TO a_role")',
        'op.execute("REVOKE SELECT ON person FROM a_role")\nop.execute("DROP ROLE a_role")',
        [],
    ),
}


@pytest.mark.rules
@pytest.mark.parametrize("case", ORDINARY_REVISIONS)
def test_ordinary_revision_has_exactly_these_findings(
    check_project: Project, cache: Path, case: str
) -> None:
    """The findings with their allowances, and no others."""
    before, upgrade, downgrade, expected = ORDINARY_REVISIONS[case]
    check_project.revision("r1", "r0", str(before))
    check_project.revision("r2", "r1", str(upgrade), str(downgrade or "pass"))
    findings = [
        finding
        for finding in check_in_process(check_project, cache, "r2").findings
        if downgrade is not None or finding.code != "LL-NO-DOWNGRADE"
    ]
    found = [
        f"{finding.code}: {finding.because}" if finding.because else finding.code
        for finding in findings
    ]
    assert found == expected
