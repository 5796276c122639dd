"""`liftlock check --data-url`: what the rows of a real database say; it is only read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers import PASSWORD, Project, connected, make_project, rows
from sqlalchemy.engine import URL

from liftlock.planning.rules import TABLES
from liftlock.settings import Address

BODY = """
op.alter_column("person", "nick", nullable=False)
op.alter_column("person", "email", type_=sa.String(10))
op.create_unique_constraint("one_nick", "person", ["nick"])
op.create_foreign_key("from_there", "person", "country", ["country"], ["code"])
"""
ROWS = """
INSERT INTO country VALUES ('Ax', 'A');
INSERT INTO person (id, email, nick, country)
VALUES (1, 'a@b.c', 'a', 'Ax'), (2, 'long@example.com', 'a', 'Ax'), (3, 'b@b.c', NULL, 'Bx'), (4, 'c@b.c', 'c', NULL);
"""


@pytest.fixture
def real(tmp_path: Path, database: Address) -> tuple[Project, str]:
    """A project; and a real database that it has made, as a role that may only read sees it."""
    project = make_project(tmp_path, Address(host="nowhere.invalid", port="1", user="nobody", password=PASSWORD, dbname="none"))
    project.revision("r0", None, f"op.execute('''{TABLES}''')".replace("\n", "\n    "))
    project.revision("r1", "r0", BODY.strip())
    with connected(database) as session:
        session.execute(TABLES)
        session.execute(ROWS)
        session.execute("DROP ROLE IF EXISTS only_reader")
        session.execute("CREATE ROLE only_reader LOGIN PASSWORD 'p@ss/word'")
        session.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO only_reader")
    parts = {"username": "only_reader", "password": "p@ss/word", "host": database.host, "database": database.dbname}
    return project, URL.create("postgresql", port=int(database.port), **parts).render_as_string(hide_password=False)


def test_rows_that_would_break_it_are_found(real: tuple[Project, str], database: Address, tmp_path: Path) -> None:
    """By their keys, and nothing else of them; sizes and estimates are told; every statement that reaches it reads."""
    project, url = real
    log = next(Path(row) for row in [rows(database, "SELECT current_setting('data_directory')")[0]]).parent / "postgres.log"
    with connected(database) as session:
        session.execute(f"ALTER DATABASE {database.dbname} SET log_statement = 'all'")
    begun = log.stat().st_size
    done = project.run("--format", "json", "check", "r1", LIFTLOCK_DATA_URL=url, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    found = {one["what"].splitlines()[0]: one["what"].splitlines()[1:] for one in report["findings"] if one["code"] == "LL-DATA"}
    fits = {"rows of person have a value of email that is no character varying(10):": ["id=2"]}
    with connected(database) as session:
        if session.info.server_version < 160000:  # such servers can't tell without an error
            assert any("it takes PostgreSQL 16" in one["what"] for one in report["findings"] if one["code"] == "LL-DATA-UNSEEN")
            fits = {}
    assert (
        found
        == {
            "rows of person have no nick, which is to be not null:": ["id=3"],
            "rows of person have the same nick, which are to be unique:": ["first=(0,1), times=2"],
            "rows of person refer to nothing in country, by country:": ["id=3"],
        }
        | fits
    )
    assert report["sizes"]["person"]["bytes"] > 0
    assert "long@example.com" not in done.stdout + done.stderr
    assert "p@ss" not in done.stdout + done.stderr
    with log.open() as file:
        file.seek(begun)
        statements = [line.split(":  ", 1)[1] for line in file if "LOG:  statement" in line or "LOG:  execute" in line]
    sent = [one.partition(": ")[2].strip().upper() for one in statements]
    assert len(sent) > 4
    assert [one for one in sent if not one.startswith(("SELECT", "--", "BEGIN", "ROLLBACK", "SHOW"))] == []


@pytest.mark.parametrize("given", ["by the environment", "by an option"])
@pytest.mark.parametrize("chain", [False, True], ids=["", "chain"])
def test_a_revision_cannot_reach_it(real: tuple[Project, str], database: Address, tmp_path: Path, *, chain: bool, given: str) -> None:
    """Neither by an engine of its own, of a role that may do anything, nor by what the command was given."""
    project, _ = real
    parts = {"username": database.user, "password": database.password, "host": database.host, "database": database.dbname}
    url = URL.create("postgresql+psycopg", port=int(database.port), **parts).render_as_string(hide_password=False)
    seen = tmp_path / "seen"
    body = (
        f"import os, sys\nopen({str(seen)!r}, 'a').write(repr([os.environ.get('LIFTLOCK_DATA_URL'), *sys.argv]))\n"
        f"engine = sa.create_engine({url!r})\n"
        "with engine.begin() as connection:\n    connection.exec_driver_sql('CREATE TABLE IF NOT EXISTS stolen (x integer)')"
    )
    project.revision("r1", "r0", body, "op.drop_table('stolen')")
    plain = url.replace("+psycopg", "")
    told = ["--data-url", plain] if given == "by an option" else []
    more = {} if told else {"LIFTLOCK_DATA_URL": plain}
    done = project.run("check", *(["--chain"] if chain else ["r1"]), *told, XDG_CACHE_HOME=str(tmp_path / "cache"), **more)
    assert done.returncode in {0, 1}, done.stderr
    assert rows(database, "SELECT to_regclass('stolen')::text") == [None]
    assert "None" in seen.read_text()
    assert database.host not in seen.read_text()


def test_it_cannot_when_it_is_loaded(real: tuple[Project, str], database: Address, tmp_path: Path) -> None:
    """No engine connects before there is a shadow to lead it to."""
    project, url = real
    parts = {"username": database.user, "password": database.password, "host": database.host, "database": database.dbname}
    own = URL.create("postgresql+psycopg", port=int(database.port), **parts).render_as_string(hide_password=False)
    path = project.revision("r1", "r0", "pass")
    steals = f"with sa.create_engine({own!r}).begin() as connection:\n    connection.exec_driver_sql('CREATE TABLE stolen (x integer)')\n"
    path.write_text(path.read_text() + steals)
    done = project.run("check", "r1", LIFTLOCK_DATA_URL=url, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert (done.returncode, "r1.py" in done.stderr, "connect" in done.stderr) == (3, True, True), done.stderr
    assert rows(database, "SELECT to_regclass('stolen')::text") == [None]


def test_one_that_cannot_be_reached_is_told(real: tuple[Project, str], tmp_path: Path) -> None:
    """As an error of the settings or of now."""
    project, url = real
    done = project.run("check", "r1", LIFTLOCK_DATA_URL=url.replace("p%40ss", "wrong"), XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert (done.returncode, "wrong password" in done.stderr) == (2, True), done.stderr


def findings(project: Project, url: str, tmp_path: Path, code: str) -> dict[str, str]:
    """What was found by a rule, with its severity."""
    done = project.run("--format", "json", "check", "r1", LIFTLOCK_DATA_URL=url, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert done.returncode in {0, 1}, done.stderr
    return {one["what"]: one["severity"] for one in json.loads(done.stdout)["findings"] if one["code"] == code}


def test_rows_that_the_revision_corrects_itself_are_a_note(real: tuple[Project, str], tmp_path: Path) -> None:
    """Whether it does, isn't tried; and what an expression of its own makes of a value, isn't either."""
    project, url = real
    body = (
        "op.execute(\"UPDATE person SET nick = '' WHERE nick IS NULL\")\nop.alter_column('person', 'nick', nullable=False)\n"
        "op.alter_column('person', 'email', type_=sa.Integer, postgresql_using='length(email)')"
    )
    project.revision("r1", "r0", body)
    (found,) = findings(project, url, tmp_path, "LL-DATA").items()
    assert (found[0].startswith("rows of person have no nick"), found[1]) == (True, "note")
    (unseen,) = findings(project, url, tmp_path, "LL-DATA-UNSEEN")
    assert "by an expression of its own" in unseen


def test_what_was_not_seen_is_told(real: tuple[Project, str], database: Address, tmp_path: Path) -> None:
    """A table that is locked, and one that isn't there; each query is bounded."""
    project, url = real
    with connected(database) as session, session.transaction():
        session.execute("LOCK TABLE person")
        unseen = "\n".join(findings(project, url, tmp_path, "LL-DATA-UNSEEN"))
    assert "lock timeout" in unseen
    assert "how large the tables are, wasn't seen" in unseen
    with connected(database) as session:
        session.execute("DROP TABLE person CASCADE")
    assert "does not exist" in "\n".join(findings(project, url, tmp_path, "LL-DATA-UNSEEN"))


def test_what_is_found_may_be_allowed(real: tuple[Project, str], tmp_path: Path) -> None:
    """In alembic.ini, as all else."""
    project, url = real
    ini = Path(project.ini)
    ini.write_text(f"{ini.read_text()}\n[liftlock]\nallow =\n    LL-DATA r1: corrected by the job before it\n")
    done = project.run("--format", "json", "check", "r1", LIFTLOCK_DATA_URL=url, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert {one["because"] for one in json.loads(done.stdout)["findings"] if one["code"] == "LL-DATA"} == {"corrected by the job before it"}
