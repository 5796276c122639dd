"""`liftlock check`: each rule's examples, on a throwaway PostgreSQL."""

from __future__ import annotations

import secrets
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from helpers import PASSWORD, Project, connected, make_project, rows, until_it_says
from sqlalchemy.engine import URL

from liftlock import settings
from liftlock.check.finding import Severity
from liftlock.check.formats import text
from liftlock.check.report import Report
from liftlock.check.rules import RULES, TABLES
from liftlock.check.rules.rule import Example, Rule
from liftlock.check.run import CheckOptions
from liftlock.check.selection import prefix
from liftlock.commands.check import check
from liftlock.events import silent
from liftlock.postgres.signals import Signals
from liftlock.settings import Address

NOWHERE = Address(host="nowhere.invalid", port="1", user="nobody", password=PASSWORD, dbname="none")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose first revision makes the tables of the examples; its database is nowhere."""
    made = make_project(tmp_path, NOWHERE)
    made.revision("r0", None, f"op.execute('''{TABLES}''')".replace("\n", "\n    "))
    return made


def checked(
    project: Project, cache: Path, wanted: str = "r1", way: str = "liftlock", *, chain: bool = False
) -> Report:
    """Check in this process."""
    found = settings.read({"ALEMBIC_CONFIG": project.ini, "XDG_CACHE_HOME": str(cache)})
    with Signals() as interrupts:
        options = CheckOptions(way=way, chain=chain)
        return check(found, wanted, options, interrupts=interrupts, notify=silent)


def codes(report: Report) -> list[str]:
    """What was found."""
    return [one.code for one in report.findings]


def example(project: Project, one: Example) -> None:
    """The example as a revision."""
    project.revision("r1", "r0", one.upgrade, one.downgrade)


@pytest.mark.rules
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_a_bad_example_is_found(project: Project, cache: Path, rule: Rule) -> None:
    """By its rule, in the revision's file; and it fails the check unless it is a note."""
    example(project, rule.bad)
    report = checked(project, cache, way=rule.only or "liftlock")
    code = (
        "LL-STEP-FAILED" if rule.code == "LL-REVISION-FAILS" else rule.code
    )  # what refuses it has a code of its own
    found = [one for one in report.findings if one.code == code]
    assert found, codes(report)
    assert found[0].path.endswith("r1.py")
    assert found[0].counts is (rule.severity is not Severity.NOTE)
    assert report.ok or found[0].counts


@pytest.mark.rules
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_a_good_example_is_clean(project: Project, cache: Path, rule: Rule) -> None:
    """By its own rule, and by all others but for their notes."""
    example(project, rule.good)
    report = checked(project, cache, way=rule.only or "liftlock")
    assert report.ok, codes(report)
    assert rule.code not in codes(report)


WIDENINGS = """
op.alter_column("person", "email", type_=sa.String(80))
op.alter_column("person", "email", type_=sa.Text())
"""
NEW = """
op.create_table("city", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("kind", sa.Enum("a", "b", name="kind")))
op.create_table("street", sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("city_id", sa.Integer, sa.ForeignKey("city.id"), index=True))
op.create_index("ix_street", "street", ["city_id", "id"])
op.bulk_insert(sa.table("city", sa.column("name")), [{"name": "Ulm"}])
"""


def test_new_tables_and_widenings_are_clean(project: Project, cache: Path) -> None:
    """What only creates tables, and what the server does in place."""
    down = 'op.drop_table("street")\nop.drop_table("city")\nop.execute("DROP TYPE kind")'
    project.revision("r1", "r0", NEW, down)
    project.revision(
        "r2", "r1", WIDENINGS, 'op.alter_column("person", "email", type_=sa.String(50))'
    )
    report = checked(project, cache, "r0:r2")
    assert codes(report) == []
    assert len(report.checked) == 2


def test_what_liftlock_makes_online_is_found_for_plain_alembic(
    project: Project, cache: Path
) -> None:
    """Side by side: an index that is built while writes wait, and one that is built while they go on."""
    example(
        project,
        Example('op.create_index("ix_nick", "person", ["nick"])', 'op.drop_index("ix_nick")'),
    )
    ours, plain = checked(project, cache), checked(project, cache, way="plain")
    assert codes(ours) == []
    assert codes(plain) == ["LL-BLOCKS-TRAFFIC"]
    assert (
        "writes of person wait while the server builds an index on person" in plain.findings[0].what
    )
    (one,) = ours.checked
    assert [
        statement.sql.split(" ix_")[0].replace('"ix_nick"', "")
        for statement in one.alembic.observed
    ] == ["CREATE INDEX"]
    assert any(
        statement.sql.startswith("CREATE INDEX CONCURRENTLY") for statement in one.liftlock.observed
    )


def test_a_lock_that_is_held_across_later_work_is_found(project: Project, cache: Path) -> None:
    """One transaction: a brief change of one table, then an index of another."""
    body = 'op.add_column("country", sa.Column("x", sa.Integer))\nop.create_index("ix_nick", "person", ["nick"])'
    project.revision("r1", "r0", body, 'op.drop_index("ix_nick")\nop.drop_column("country", "x")')
    report = checked(project, cache, way="plain")
    assert any(
        "reads and writes of country wait while the server builds an index on person" in one.what
        for one in report.findings
    )
    assert codes(checked(project, cache)) == []


def test_allowances_and_a_place_to_start_after(project: Project, cache: Path) -> None:
    """In the revision or in alembic.ini, with a reason; a line without one is refused."""
    body = 'import liftlock\nwith liftlock.allow("LL-BREAKS-RUNNING-RELEASE", because="nobody reads it"):\n    op.drop_column("person", "nick")'
    project.revision("r1", "r0", body)
    found = {one.code: one.because for one in checked(project, cache).findings}
    assert found == {
        "LL-BREAKS-RUNNING-RELEASE": "nobody reads it",
        "LL-DATA-LOSS": "",
        "LL-NO-DOWNGRADE": "",
    }
    ini = Path(project.ini)
    before = ini.read_text()
    ini.write_text(
        f"{before}\n[liftlock]\nallow =\n    LL-DATA-LOSS r1: it was empty\n    LL-NO-DOWNGRADE: we go forward only\n"
    )
    report = checked(project, cache)
    assert report.ok
    assert {one.because for one in report.findings} == {
        "nobody reads it",
        "it was empty",
        "we go forward only",
    }
    ini.write_text(f"{before}\n[liftlock]\nstart_after = r1\n")
    assert codes(checked(project, cache)) == []
    ini.write_text(f"{before}\n[liftlock]\nallow = LL-DATA-LOSS\n")
    done = project.run("check", "r1", XDG_CACHE_HOME=str(cache))
    assert (done.returncode, "LL-ALLOW-SYNTAX" in done.stderr) == (2, True)


def test_roles_that_are_made_elsewhere(project: Project, cache: Path) -> None:
    """Named in alembic.ini, they are on the throwaway servers of check and bake; without that, the error says how."""
    project.revision(
        "r1", "r0", 'op.execute("GRANT SELECT ON person TO reader, \\"the writer\\"")', "pass"
    )
    (found, *_) = checked(project, cache).findings
    assert found.now.endswith("[liftlock], roles = reader")
    assert "roles = reader" in project.run("bake").stderr
    ini = Path(project.ini)
    ini.write_text(f"{ini.read_text()}\n[liftlock]\nroles =\n    reader\n    the writer\n")
    assert "LL-REVISION-FAILS" not in codes(checked(project, cache))
    done = project.run("bake")
    assert done.returncode == 0, done.stderr


def test_one_that_does_not_run_ends_it(project: Project, cache: Path) -> None:
    """With the server's words and the place."""
    project.revision("r1", "r0", 'op.execute("ALTER TABLE nobody ADD COLUMN x integer")')
    report = checked(project, cache)
    assert not report.ok
    assert any('relation "nobody" does not exist' in one.what for one in report.findings)


def test_an_upgrade_that_works_only_once_is_found(project: Project, cache: Path) -> None:
    """The classic: an enum that the downgrade leaves behind."""
    table = 'op.create_table("mood", sa.Column("id", sa.Integer, primary_key=True), sa.Column("kind", sa.Enum("a", name="kind")))'
    project.revision("r1", "r0", table, 'op.drop_table("mood")')
    (finding,) = checked(project, cache).findings
    assert finding.code == "LL-DOWNGRADE-DIFFERS"
    assert "can't be applied again" in finding.what
    assert 'type "kind" already exists' in finding.what


def test_the_chain_as_a_whole(project: Project, cache: Path) -> None:
    """Models that want something else, and a revision that can't be written down as SQL."""
    env = project.folder / "migrations" / "env.py"
    models = 'from sqlalchemy import MetaData, Table\ntarget_metadata = MetaData()\nTable("wish", target_metadata)'
    env.write_text(env.read_text().replace("target_metadata = None", models))
    asks = 'op.get_bind().execute(sa.text("SELECT 1")).fetchall()'
    project.revision("r1", "r0", asks)
    report = checked(project, cache, "", chain=True)
    assert [one.revision.id for one in report.checked] == ["r0", "r1"]
    found = {one.code: one.what for one in report.findings}
    assert set(found) == {
        "LL-MODELS-DIFFER",
        "LL-NO-DOWNGRADE",
        "LL-NO-OFFLINE-SQL",
        "LL-READS-DATABASE",
    }
    assert "add_table" in found["LL-MODELS-DIFFER"]
    assert "r1.py" in found["LL-NO-OFFLINE-SQL"]


ORDINARY = {
    "a name that PostgreSQL quotes": (
        'op.create_table("position", sa.Column("id", sa.Integer, primary_key=True), sa.Column("x", sa.Integer))',
        'op.add_column("position", sa.Column("y", sa.Integer, nullable=False))\nop.alter_column("position", "x", new_column_name="z")',
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
        'op.add_column("country", sa.Column("low", sa.Text, sa.Computed("lower(name)", persisted=True), nullable=False))',
        'op.drop_column("country", "low")',
        ["LL-TABLE-REWRITE"],
    ),
    "another schema": (
        'op.execute("CREATE SCHEMA archive")',
        """op.create_table("person", sa.Column("c", sa.String(2), index=True), sa.Column("id", sa.Integer, primary_key=True),
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
        'op.add_column("person", sa.Column("on", sa.Boolean, server_default="true"))\nop.alter_column("person", "on", nullable=False)',
        'op.drop_column("person", "on")',
        [],
    ),
    "a column with what stands on it": (
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
op.bulk_insert(sa.table("country", sa.column("code"), sa.column("name")), [{"code": "Zz", "name": str(uuid.uuid4())}])""",
        "op.execute(\"DELETE FROM country WHERE code = 'Zz'\")",
        ["LL-NOT-DETERMINISTIC"],
    ),
    "one that is allowed, and one that isn't": (
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
        'import liftlock\nwith liftlock.allow("LL-BLOCKS-TRAFFIC", because="small"):\n    op.execute("CREATE INDEX ix_email ON person (email)")',
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
        'op.add_column("country", sa.Column("x", sa.Integer))\nop.get_bind().execute(sa.text("CREATE INDEX ix_email ON person (email)"))',
        'op.drop_index("ix_email")\nop.drop_column("country", "x")',
        ["LL-BLOCKS-TRAFFIC"],
    ),
    "another type that must not be null": (
        "pass",
        'op.alter_column("person", "nick", type_=sa.String(9), nullable=False)',
        'op.alter_column("person", "nick", type_=sa.Text(), nullable=True)',
        ["LL-BREAKS-RUNNING-RELEASE", "LL-BREAKS-RUNNING-RELEASE", "LL-ROWS-NOT-CHECKED"],
    ),
    "a clean-up before a change": (
        "pass",
        'op.execute("UPDATE person SET age = NULL WHERE age < 0")\nop.execute("ALTER TABLE person ALTER age TYPE smallint")',
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
    "a name in quotes": (
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
        'op.create_table("k", sa.Column("id", sa.Integer, primary_key=True), sa.Column("n", sa.Integer, unique=True))',
        'op.alter_column("k", "n", type_=sa.BigInteger())',
        'op.alter_column("k", "n", type_=sa.Integer())',
        [],
    ),
    "a trigger that is made anew": (
        """op.execute("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'")
op.execute("CREATE TRIGGER t BEFORE INSERT ON person FOR EACH ROW EXECUTE FUNCTION f()")""",
        """op.execute("DROP TRIGGER t ON person")
op.execute("CREATE TRIGGER t BEFORE UPDATE ON person FOR EACH ROW EXECUTE FUNCTION f()")""",
        """op.execute("DROP TRIGGER t ON person")
op.execute("CREATE TRIGGER t BEFORE INSERT ON person FOR EACH ROW EXECUTE FUNCTION f()")""",
        [],
    ),
    "a role": (
        "pass",
        'op.execute("CREATE ROLE {role} NOLOGIN")\nop.execute("GRANT SELECT ON person TO {role}")',
        'op.execute("REVOKE SELECT ON person FROM {role}")\nop.execute("DROP ROLE {role}")',
        [],
    ),
}


@pytest.mark.rules
@pytest.mark.parametrize("case", ORDINARY)
def test_what_ordinary_revisions_give(project: Project, cache: Path, case: str) -> None:
    """What is found, and why it is allowed; nothing else."""
    before, upgrade, downgrade, wanted = (
        one.replace("{role}", "a_role") if isinstance(one, str) else one for one in ORDINARY[case]
    )
    project.revision("r1", "r0", str(before))
    project.revision("r2", "r1", str(upgrade), str(downgrade or "pass"))
    found = [
        one
        for one in checked(project, cache, "r2").findings
        if downgrade is not None or one.code != "LL-NO-DOWNGRADE"
    ]
    assert [f"{one.code}: {one.because}" if one.because else one.code for one in found] == wanted


BREAKING = {
    "ALTER TABLE person RENAME COLUMN nick TO name": "person has a column renamed: nick to name",
    "ALTER TABLE person ALTER COLUMN name SET NOT NULL": "person has a column that becomes NOT NULL: name",
    "ALTER TABLE person ALTER COLUMN age TYPE smallint": "person has a column of another type: age, integer to smallint",
    "ALTER TABLE person DROP COLUMN name": "person loses a column: name",
    "DROP TABLE visit": "visit is dropped",
    "ALTER TABLE person RENAME TO people": "person is renamed to people",
    "ALTER SCHEMA old RENAME TO new": "old.thing is renamed to new.thing",
}


def test_raw_statements_break_the_running_release_too(project: Project, cache: Path) -> None:
    """What they change is seen in the schema; each in a revision of its own."""
    before, expected = "r0", []
    for number, (statement, what) in enumerate(
        {"CREATE SCHEMA old CREATE TABLE thing (id integer)": "", **BREAKING}.items(), 1
    ):
        project.revision(f"r{number}", before, f'op.execute("{statement}")')
        before = f"r{number}"
        expected += [(before, f"{what}:\n{statement}", 8)] if what else []
    found = [
        (one.revision, one.what, one.line)
        for one in checked(project, cache, "r0:heads").findings
        if one.code == "LL-BREAKS-RUNNING-RELEASE"
    ]
    assert found == expected


def test_what_plain_alembic_cannot_run_does_not_end_it(project: Project, cache: Path) -> None:
    """Where liftlock can: the next revisions are tried after its own run; plain Alembic's refusal is found for plain Alembic."""
    project.revision(
        "r1",
        "r0",
        'op.create_table("a", sa.Column("x", sa.Integer), sa.Column("y", sa.Integer))',
        'op.drop_table("a")',
    )
    body = """import liftlock
op.create_index("ix_x", "a", ["x"], postgresql_concurrently=True)
op.create_index("ix_y", "a", ["y"], postgresql_concurrently=True)
with liftlock.allow("LL-BREAKS-RUNNING-RELEASE", "LL-DATA-LOSS", "LL-MIXED-PHASES", because="unused"):
    op.drop_column("person", "nick")"""
    down = """op.add_column("person", sa.Column("nick", sa.Text))
op.drop_index("ix_y", postgresql_concurrently=True)
op.drop_index("ix_x", postgresql_concurrently=True)"""
    project.revision("r2", "r1", body, down)
    project.revision(
        "r3",
        "r2",
        'op.drop_column("a", "x")',
        'op.add_column("a", sa.Column("x", sa.Integer))\nop.create_index("ix_x", "a", ["x"])',
    )
    report = checked(project, cache, "r0:r3")
    assert [one.revision.id for one in report.checked] == ["r1", "r2", "r3"], report.findings
    found = [(one.revision, one.code, one.because) for one in report.findings]
    assert found == [
        ("r2", "LL-BREAKS-RUNNING-RELEASE", "unused"),
        ("r2", "LL-MIXED-PHASES", "unused"),
        ("r2", "LL-DATA-LOSS", "unused"),
        ("r3", "LL-BREAKS-RUNNING-RELEASE", ""),
        ("r3", "LL-DATA-LOSS", ""),
    ], report.findings
    report = checked(project, cache, "r0:r3", way="plain")
    assert next((one.revision, one.code) for one in report.findings) == ("r2", "LL-STEP-FAILED")
    assert any("plain Alembic  doesn't run: " in line for line, _, _ in text.lines(report))


def test_what_the_running_release_writes_may_be_refused(project: Project, cache: Path) -> None:
    """New constraints on old columns; none on new ones, nor those that were there under another identity."""
    project.revision(
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
    project.revision(
        "r2",
        "r1",
        """op.alter_column("person", "age", type_=sa.BigInteger())""",
        """op.alter_column("person", "age", type_=sa.Integer())""",
    )
    found = [
        (one.what.partition("\n")[0], one.line)
        for one in checked(project, cache, "r0:r2").findings
        if one.code == "LL-NEW-CONSTRAINT"
    ]
    assert found == [
        ("person: email must be unique, by u", 8),
        ("person: age must satisfy a check, by c", 9),
        ("visit: at must satisfy a check, by visit_at_check", 14),
        ("visit: what must refer to country, by f", 10),
    ]


def test_places_are_the_lines_that_ask(project: Project, cache: Path) -> None:
    """Also of what is run when the revision has ended, or is found in the schema."""
    body = """op.drop_constraint("visit_person_id_fkey", "visit")
op.drop_column("visit", "person_id")
op.execute("CREATE INDEX i ON person (age)")"""
    project.revision("r1", "r0", body)
    found = {one.code: one.line for one in checked(project, cache).findings}
    assert (found["LL-DATA-LOSS"], found["LL-BLOCKS-TRAFFIC"]) == (9, 10)


def test_rows_that_are_changed_under_a_strong_lock_are_found_for_plain_alembic(
    project: Project, cache: Path
) -> None:
    """The lock is held for as long as they take."""
    body = 'op.add_column("person", sa.Column("x", sa.Text))\nop.execute("UPDATE person SET x = lower(email)")'
    project.revision("r1", "r0", body, 'op.drop_column("person", "x")')
    assert codes(checked(project, cache, way="plain")) == ["LL-BLOCKS-TRAFFIC"]
    assert codes(checked(project, cache)) == []


def test_in_an_autocommit_block_too(project: Project, cache: Path) -> None:
    """Whoever waits for a statement that is over at once is seen."""
    body = """with op.get_context().autocommit_block():
    op.execute("CREATE INDEX i ON person (age)")
    op.execute("ALTER TABLE person ALTER age TYPE text")"""
    project.revision(
        "r1",
        "r0",
        body,
        'op.execute("ALTER TABLE person ALTER age TYPE integer USING age::integer")\nop.drop_index("i")',
    )
    found = [
        one.what.split(" while")[0]
        for one in checked(project, cache, way="plain").findings
        if one.code == "LL-BLOCKS-TRAFFIC"
    ]
    assert found == ["writes of person wait", "reads and writes of person wait"]


@pytest.mark.parametrize("options", ['version_table="my_version"', 'version_table_schema="ops"'])
def test_a_version_table_of_another_name_is_no_table_of_the_project(
    project: Project, cache: Path, options: str
) -> None:
    """From an empty database as well, where env.py makes its schema."""
    env = project.folder / "migrations" / "env.py"
    schema = 'connection.execute(__import__("sqlalchemy").text("CREATE SCHEMA IF NOT EXISTS ops")); connection.commit()\n        context'
    text = env.read_text().replace(
        "        context.configure(\n            connection",
        f"        {schema}.configure(\n            {options}, connection",
    )
    assert options in text
    env.write_text(text)
    project.revision(
        "r1",
        "r0",
        'op.add_column("person", sa.Column("x", sa.Text))',
        'op.drop_column("person", "x")',
    )
    assert codes(checked(project, cache, "base:heads")) == ["LL-NO-DOWNGRADE"]
    assert codes(checked(project, cache, "r1")) == []


def test_ranges_that_are_none_are_told(project: Project, cache: Path) -> None:
    """Exit 2; several heads are a finding."""
    for name, down in (("a1", "r0"), ("a2", "a1"), ("b1", "r0")):
        project.revision(name, down, "pass")
    for wanted in ("a2:a1", "b1:a2", "a1:nosuch", "nosuch"):
        done = project.run("check", wanted, XDG_CACHE_HOME=str(cache))
        assert (done.returncode, "LL-REVISION-NOT-FOUND" in done.stderr) == (2, True), done.stderr
    assert codes(checked(project, cache, "r0:a2")) == ["LL-MULTIPLE-HEADS"]


def test_a_base_state_depends_on_all_that_revisions_read(project: Project, cache: Path) -> None:
    """The arguments of -x, and modules of the project; states of other chains are kept beside it."""
    (project.folder / "helper.py").write_text("NAME = 'aa'\n")
    read = f"import sys\nsys.path.insert(0, {str(project.folder)!r})\nimport helper\n"
    path = project.revision("r1", "r0", 'op.create_table(helper.NAME, sa.Column("i", sa.Integer))')
    path.write_text(read + path.read_text())
    for name in ("aa", "bb"):
        (project.folder / "helper.py").write_text(f"NAME = '{name}'\n")
        shutil.rmtree(project.folder / "__pycache__", ignore_errors=True)
        project.revision(
            "r2",
            "r1",
            f'op.add_column("{name}", sa.Column("x", sa.Integer))',
            f'op.drop_column("{name}", "x")',
        )
        done = project.run("check", "r2", XDG_CACHE_HOME=str(cache))
        assert done.returncode == 0, done.stdout + done.stderr


def _git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


def test_what_is_new_in_git_is_checked(project: Project, cache: Path) -> None:
    """Against the main branch; and a file that was edited since is found."""
    folder = project.folder
    project.revision(
        "r1",
        "r0",
        'op.add_column("person", sa.Column("x", sa.Integer))',
        'op.drop_column("person", "x")',
    )
    _git(folder, "init", "-q", "-b", "main")
    _git(folder, "add", ".")
    _git(folder, "commit", "-qm", "one")
    assert checked(project, cache, "").checked == ()
    _git(folder, "checkout", "-qb", "branch")
    project.revision(
        "r2",
        "r1",
        'op.add_column("person", sa.Column("y", sa.Integer))',
        'op.drop_column("person", "y")',
    )
    assert [one.revision.id for one in checked(project, cache, "").checked] == ["r2"]
    with (project.versions / "r1.py").open("a") as file:
        file.write("# more\n")
    report = checked(project, cache, "")
    assert [one.revision.id for one in report.checked] == ["r1", "r2"]
    assert codes(report) == ["LL-EDITED-AFTER-MERGE"]


def test_paths_are_told_from_the_top_of_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it is one."""
    (tmp_path / "services" / "api").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "services" / "api")
    assert prefix() == ""
    _git(tmp_path, "init", "-q")
    assert prefix() == "services/api/"


def test_elsewhere_what_is_pending_is_checked(
    project: Project, cache: Path, database: Address
) -> None:
    """On the database that the environment names; all where it can't be asked."""
    project.revision(
        "r1",
        "r0",
        'op.add_column("person", sa.Column("x", sa.Integer))',
        'op.drop_column("person", "x")',
    )
    with connected(database) as session:
        session.execute("CREATE TABLE alembic_version (version_num text PRIMARY KEY)")
        session.execute("INSERT INTO alembic_version VALUES ('r0')")
    for address, wanted in ((database, ["r1"]), (NOWHERE, ["r0", "r1"])):
        found = settings.read(
            {"ALEMBIC_CONFIG": project.ini, "XDG_CACHE_HOME": str(cache), **address.environ()}
        )
        with Signals() as interrupts:
            report = check(found, interrupts=interrupts, notify=silent)
        assert [one.revision.id for one in report.checked] == wanted
        assert ("pending" in report.selected) is (wanted == ["r1"])


@pytest.mark.parametrize("ended", [signal.SIGKILL, signal.SIGTERM])
def test_when_it_is_killed_nothing_is_left(
    project: Project, tmp_path: Path, ended: signal.Signals
) -> None:
    """No server, no folder: not of the shadow, nor in the cache."""
    project.revision("r1", "r0", "op.execute('SELECT pg_sleep(60)')")
    mine = tmp_path / "mine"
    mine.mkdir()
    running = project.start("check", "r1", TMPDIR=str(mine), XDG_CACHE_HOME=str(tmp_path / "cache"))
    end = time.monotonic() + 60
    while (
        not (said := [one.read_text() for one in mine.glob("*/shadow/data/postmaster.pid")])
        or "ready" not in said[0]
    ):
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)
    server = int(said[0].split()[0])
    time.sleep(1)
    running.send_signal(ended)
    running.communicate(timeout=60)
    end = time.monotonic() + 30
    while (list(mine.iterdir()) or _alive(server)) and time.monotonic() < end:
        time.sleep(0.1)
    assert list(mine.iterdir()) == []
    assert not _alive(server)
    assert [
        one
        for one in (tmp_path / "cache" / "liftlock" / "shadows").iterdir()
        if not (one / "done").exists()
    ] == []


def _alive(pid: int) -> bool:
    """Whether a process runs; one that is only to be collected, by a parent that never does, doesn't."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_another_server_may_be_tried_on(project: Project, cache: Path, database: Address) -> None:
    """In databases of their own, which are gone afterwards, also when it is killed; a role that may not make any is told."""
    example(
        project,
        Example('op.create_index("ix_nick", "person", ["nick"])', 'op.drop_index("ix_nick")'),
    )
    url = URL.create(
        "postgresql",
        database.user,
        database.password,
        database.host,
        int(database.port),
        database.dbname,
    )
    given = {
        "LIFTLOCK_SHADOW_URL": url.render_as_string(hide_password=False),
        "XDG_CACHE_HOME": str(cache),
    }
    last = rows(database, "SELECT max(oid::int) FROM pg_database")[0]
    made = (
        f"SELECT count(*) FROM pg_database WHERE datname LIKE 'liftlock_shadow_%' AND oid > {last}"
    )
    done = project.run("check", "r1", **given)
    assert (done.returncode, rows(database, made)) == (0, [0]), done.stderr
    project.revision("r1", "r0", "op.execute('SELECT pg_sleep(60)')")
    running = project.start("check", "r1", **given)
    end = time.monotonic() + 60
    while rows(database, made) != [2]:
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)
    running.kill()
    running.communicate()
    while rows(database, made) != [0] and time.monotonic() < end:
        time.sleep(0.1)
    assert rows(database, made) == [0]
    with connected(database) as session:
        session.execute("DROP ROLE IF EXISTS humble")
        session.execute("CREATE ROLE humble LOGIN PASSWORD 'humble'")
    humble = url.set(username="humble", password="humble").render_as_string(hide_password=False)
    done = project.run("check", "r1", **given | {"LIFTLOCK_SHADOW_URL": humble})
    assert (done.returncode, "LL-SHADOW-PERMISSION" in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize("killed", [False, True], ids=["", "killed"])
def test_roles_that_revisions_make_there_are_gone_too(
    project: Project, database: Address, *, killed: bool
) -> None:
    """Those of the base, those of the revision; so the next check makes them again. Others stay."""
    names = [f"made_{secrets.token_hex(4)}" for _ in range(3)]
    pause = "op.execute('SELECT pg_sleep(60)')" if killed else "pass"
    project.revision(
        "r1", "r0", f"op.execute('CREATE ROLE {names[0]}')", f"op.execute('DROP ROLE {names[0]}')"
    )
    project.revision(
        "r2",
        "r1",
        f"op.execute('CREATE ROLE {names[1]}; GRANT SELECT ON person TO {names[1]}')\n{pause}",
    )
    url = URL.create(
        "postgresql",
        database.user,
        database.password,
        database.host,
        int(database.port),
        database.dbname,
    )
    running = project.start(
        "check", "r2", LIFTLOCK_SHADOW_URL=url.render_as_string(hide_password=False)
    )
    until_it_says(running, "trying r2")
    with connected(database) as session:
        session.execute(f"CREATE ROLE {names[2]}".encode())
    made = (
        f"SELECT rolname::text FROM pg_roles WHERE rolname ~ '{'|'.join(names)}' ORDER BY rolname"
    )
    end = time.monotonic() + 60
    while killed and len(rows(database, made)) < 3 and time.monotonic() < end:
        time.sleep(0.05)
    if killed:
        running.kill()
    _, errors = running.communicate(timeout=60)
    assert running.returncode in ({-signal.SIGKILL} if killed else {0, 1}), errors
    while rows(database, made) != [names[2]]:
        assert time.monotonic() < end, rows(database, made)
        time.sleep(0.1)
    with connected(database) as session:
        session.execute(f"DROP ROLE {names[2]}".encode())


@pytest.mark.parametrize(
    ("upgrade", "code", "text"),
    [
        (
            'op.execute("SET client_min_messages = warning")\nop.execute("CREATE INDEX i ON visit (at)")',
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
            'op.create_table("more", sa.Column("id", sa.Integer))\nop.drop_column("person", "nick")',
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
def test_what_else_is_found(
    project: Project, cache: Path, upgrade: str, code: str, text: str
) -> None:
    """Of plain Alembic."""
    project.revision("r0a", "r0", 'op.execute("CREATE VIEW grown AS SELECT 1 AS x")')
    project.revision("r1", "r0a", upgrade)
    found = [one.what for one in checked(project, cache, way="plain").findings if one.code == code]
    assert any(text in one for one in found), found


def test_several_heads_are_found_where_nothing_is_new(project: Project, cache: Path) -> None:
    """Two branches were merged, each of which was fine by itself; it stands at the file that names the chain."""
    for name in ("a1", "b1"):
        project.revision(name, "r0", "pass")
    _git(project.folder, "init", "-q", "-b", "main")
    _git(project.folder, "add", ".")
    _git(project.folder, "commit", "-qm", "one")
    report = checked(project, cache, "")
    assert codes(report) == ["LL-MULTIPLE-HEADS"]
    assert report.findings[0].path.endswith("alembic.ini")


def test_branches_and_merges_have_a_way_back_too(project: Project, cache: Path) -> None:
    """Each by itself, whatever stands beside it."""
    add, drop = (
        'op.add_column("person", sa.Column("{0}", sa.Integer))',
        'op.drop_column("person", "{0}")',
    )
    project.revision("a1", "r0", add.format("a"))
    project.revision("b1", "r0", add.format("b"), drop.format("b"))
    project.revision("b2", "b1", add.format("c"))
    project.revision("m1", ("a1", "b2"), add.format("d"))
    project.revision("m2", "m1", add.format("e"), drop.format("e"))
    report = checked(project, cache, "r0:m2")
    assert sorted(one.revision for one in report.findings if one.code == "LL-NO-DOWNGRADE") == [
        "a1",
        "b2",
        "m1",
    ]
    assert all(one.downgrade is not None for one in report.checked)


def test_what_stands_between_is_not_judged(project: Project, cache: Path) -> None:
    """It runs, since what is new comes after it."""
    project.revision(
        "r1",
        "r0",
        'op.add_column("person", sa.Column("x", sa.Integer))',
        'op.drop_column("person", "x")',
    )
    project.revision("r2", "r1", 'op.drop_column("person", "nick")')
    _git(project.folder, "init", "-q", "-b", "main")
    _git(project.folder, "add", ".")
    _git(project.folder, "commit", "-qm", "one")
    with (project.versions / "r1.py").open("a") as file:
        file.write("# more\n")
    project.revision(
        "r3",
        "r2",
        'op.add_column("person", sa.Column("y", sa.Integer))',
        'op.drop_column("person", "y")',
    )
    report = checked(project, cache, "")
    assert [one.revision.id for one in report.checked] == ["r1", "r2", "r3"]
    assert codes(report) == ["LL-EDITED-AFTER-MERGE"]


def test_a_url_may_ask_for_what_the_throwaway_server_has_not(project: Project, cache: Path) -> None:
    """Encryption, or words that only one host understands."""
    ini = Path(project.ini)
    lines = ini.read_text().splitlines()
    query = "sslmode=verify-full&channel_binding=require&options=endpoint%%3Dquiet-sea"
    ini.write_text(
        "\n".join(
            f"{line}?{query}" if line.startswith("sqlalchemy.url") else line for line in lines
        )
    )
    project.revision(
        "r1",
        "r0",
        'op.add_column("person", sa.Column("x", sa.Integer))',
        'op.drop_column("person", "x")',
    )
    assert codes(checked(project, cache)) == []


def test_a_file_that_a_revision_reads_belongs_to_the_base_state(
    project: Project, cache: Path
) -> None:
    """SQL beside the revisions."""
    script = project.versions / "r1.sql"
    project.revision(
        "r1", "r0", f"op.execute(__import__('pathlib').Path({str(script)!r}).read_text())"
    )
    project.revision("r2", "r1", "op.execute('SELECT x FROM beside')")
    for name in ("y", "x"):
        script.write_text(f"CREATE TABLE beside ({name} integer)")
        assert ("LL-STEP-FAILED" in codes(checked(project, cache, "r2"))) is (name == "y")
