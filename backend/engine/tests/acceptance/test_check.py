"""`liftlock check`: each rule's examples, on a throwaway PostgreSQL."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from helpers import PASSWORD, Project, connected, make_project, rows
from sqlalchemy.engine import URL

from liftlock import settings
from liftlock.commands.check import Report, check
from liftlock.events import silent
from liftlock.model.finding import Severity
from liftlock.planning.rules import RULES, TABLES
from liftlock.planning.rules.rule import Example, Rule
from liftlock.postgres.interrupts import Interrupts
from liftlock.settings import Address

NOWHERE = Address(host="nowhere.invalid", port="1", user="nobody", password=PASSWORD, dbname="none")


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where base states are kept between the tests."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose first revision makes the tables of the examples; its database is nowhere."""
    made = make_project(tmp_path, NOWHERE)
    made.revision("r0", None, f"op.execute('''{TABLES}''')".replace("\n", "\n    "))
    return made


def checked(project: Project, cache: Path, wanted: str = "r1", way: str = "liftlock", *, chain: bool = False) -> Report:
    """Check in this process."""
    found = settings.read({"ALEMBIC_CONFIG": project.ini, "XDG_CACHE_HOME": str(cache)})
    with Interrupts() as interrupts:
        return check(found, wanted, way=way, chain=chain, interrupts=interrupts, notify=silent)


def codes(report: Report) -> list[str]:
    """What was found."""
    return [one.code for one in report.findings]


def example(project: Project, one: Example) -> None:
    """The example as a revision."""
    project.revision("r1", "r0", one.upgrade, one.downgrade)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_a_bad_example_is_found(project: Project, cache: Path, rule: Rule) -> None:
    """By its rule, in the revision's file; and it fails the check unless it is a note."""
    example(project, rule.bad)
    report = checked(project, cache)
    found = [one for one in report.findings if rule.code in (one.code, "LL-REFUSED")]
    assert found, codes(report)
    assert found[0].path.endswith("r1.py")
    assert report.ok is (rule.severity is Severity.NOTE and len(found) == len(report.findings))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_a_good_example_is_clean(project: Project, cache: Path, rule: Rule) -> None:
    """No rule finds anything."""
    example(project, rule.good)
    assert codes(checked(project, cache)) == []


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
    project.revision("r2", "r1", WIDENINGS, 'op.alter_column("person", "email", type_=sa.String(50))')
    report = checked(project, cache, "r0:r2")
    assert codes(report) == []
    assert len(report.checked) == 2


def test_what_liftlock_makes_online_is_found_for_plain_alembic(project: Project, cache: Path) -> None:
    """Side by side: an index that is built while writes wait, and one that is built while they go on."""
    example(project, Example('op.create_index("ix_nick", "person", ["nick"])', 'op.drop_index("ix_nick")'))
    ours, plain = checked(project, cache), checked(project, cache, way="plain")
    assert codes(ours) == []
    assert codes(plain) == ["LL-BLOCKS"]
    assert "writes of person wait while the server builds an index on person" in plain.findings[0].what
    (one,) = ours.checked
    assert [statement.sql.split(" ix_")[0].replace('"ix_nick"', "") for statement in one.plain.observed] == ["CREATE INDEX"]
    assert any(statement.sql.startswith("CREATE INDEX CONCURRENTLY") for statement in one.ours.observed)


def test_a_lock_that_is_held_across_later_work_is_found(project: Project, cache: Path) -> None:
    """One transaction: a brief change of one table, then an index of another."""
    body = 'op.add_column("country", sa.Column("x", sa.Integer))\nop.create_index("ix_nick", "person", ["nick"])'
    project.revision("r1", "r0", body, 'op.drop_index("ix_nick")\nop.drop_column("country", "x")')
    report = checked(project, cache, way="plain")
    assert any("reads and writes of country wait while the server builds an index on person" in one.what for one in report.findings)
    assert codes(checked(project, cache)) == []


def test_allowances_and_a_place_to_start_after(project: Project, cache: Path) -> None:
    """In the revision or in alembic.ini, with a reason; a line without one is refused."""
    body = 'import liftlock\nwith liftlock.allow("LL-BREAKS", because="nobody reads it"):\n    op.drop_column("person", "nick")'
    project.revision("r1", "r0", body)
    found = {one.code: one.because for one in checked(project, cache).findings}
    assert found == {"LL-BREAKS": "nobody reads it", "LL-LOSES": "", "LL-NO-WAY-BACK": ""}
    ini = Path(project.ini)
    before = ini.read_text()
    ini.write_text(f"{before}\n[liftlock]\nallow =\n    LL-LOSES r1: it was empty\n    LL-NO-WAY-BACK: we go forward only\n")
    report = checked(project, cache)
    assert report.ok
    assert {one.because for one in report.findings} == {"nobody reads it", "it was empty", "we go forward only"}
    ini.write_text(f"{before}\n[liftlock]\nstart_after = r1\n")
    assert codes(checked(project, cache)) == []
    ini.write_text(f"{before}\n[liftlock]\nallow = LL-LOSES\n")
    done = project.run("check", "r1", XDG_CACHE_HOME=str(cache))
    assert (done.returncode, "LL-ALLOW" in done.stderr) == (2, True)


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
    assert finding.code == "LL-OTHER-WAY-BACK"
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
    assert set(found) == {"LL-MODELS", "LL-NO-WAY-BACK", "LL-OFFLINE", "LL-READS"}
    assert "add_table" in found["LL-MODELS"]
    assert "r1.py" in found["LL-OFFLINE"]


def _git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


def test_what_is_new_in_git_is_checked(project: Project, cache: Path) -> None:
    """Against the main branch; and a file that was edited since is found."""
    folder = project.folder
    project.revision("r1", "r0", 'op.add_column("person", sa.Column("x", sa.Integer))', 'op.drop_column("person", "x")')
    _git(folder, "init", "-q", "-b", "main")
    _git(folder, "add", ".")
    _git(folder, "commit", "-qm", "one")
    assert checked(project, cache, "").checked == ()
    _git(folder, "checkout", "-qb", "branch")
    project.revision("r2", "r1", 'op.add_column("person", sa.Column("y", sa.Integer))', 'op.drop_column("person", "y")')
    assert [one.revision.id for one in checked(project, cache, "").checked] == ["r2"]
    with (project.versions / "r1.py").open("a") as file:
        file.write("# more\n")
    report = checked(project, cache, "")
    assert [one.revision.id for one in report.checked] == ["r1", "r2"]
    assert codes(report) == ["LL-EDITED"]


@pytest.mark.parametrize("ended", [signal.SIGKILL, signal.SIGTERM])
def test_when_it_is_killed_nothing_is_left(project: Project, tmp_path: Path, ended: signal.Signals) -> None:
    """No server, no folder: not of the shadow, nor in the cache."""
    project.revision("r1", "r0", "op.execute('SELECT pg_sleep(60)')")
    mine = tmp_path / "mine"
    mine.mkdir()
    running = project.start("check", "r1", TMPDIR=str(mine), XDG_CACHE_HOME=str(tmp_path / "cache"))
    end = time.monotonic() + 60
    while not list(mine.glob("*/shadow/data/postmaster.pid")):
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)
    server = int(next(mine.glob("*/shadow/data/postmaster.pid")).read_text().split()[0])
    time.sleep(1)
    running.send_signal(ended)
    running.communicate(timeout=60)
    end = time.monotonic() + 30
    while (list(mine.iterdir()) or _alive(server)) and time.monotonic() < end:
        time.sleep(0.1)
    assert list(mine.iterdir()) == []
    assert not _alive(server)
    assert [one for one in (tmp_path / "cache" / "liftlock" / "shadows").iterdir() if not (one / "done").exists()] == []


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_another_server_may_be_tried_on(project: Project, cache: Path, database: Address) -> None:
    """In databases of their own, which are gone afterwards, also when it is killed; a role that may not make any is told."""
    example(project, Example('op.create_index("ix_nick", "person", ["nick"])', 'op.drop_index("ix_nick")'))
    url = URL.create("postgresql", database.user, database.password, database.host, int(database.port), database.dbname)
    given = {"LIFTLOCK_SHADOW_URL": url.render_as_string(hide_password=False), "XDG_CACHE_HOME": str(cache)}
    last = rows(database, "SELECT max(oid::int) FROM pg_database")[0]
    made = f"SELECT count(*) FROM pg_database WHERE datname LIKE 'liftlock_shadow_%' AND oid > {last}"
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
    assert (done.returncode, "LL-SHADOW" in done.stderr) == (2, True), done.stderr
