"""`liftlock check --data-url`: findings about the rows of a real database."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers import Project, assert_failed, connected, rows

from liftlock.check.rules import TABLES
from liftlock.settings import Address

pytestmark = pytest.mark.every_major
READS = ("SELECT", "--", "BEGIN", "ROLLBACK", "SHOW")


def check_as_json(
    project: Project, url: str, cache: Path, *, exit_codes: tuple[int, ...] = (0, 1)
) -> dict[str, Any]:
    """Check revision r1 with the rows of a database, and return the JSON report."""
    done = project.run(
        "--format", "json", "check", "r1", LIFTLOCK_DATA_URL=url, XDG_CACHE_HOME=str(cache)
    )
    assert done.returncode in exit_codes, done.stderr
    assert "long@example.com" not in done.stdout + done.stderr
    assert "p@ss" not in done.stdout + done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def findings_of(report: dict[str, Any], code: str) -> list[dict[str, Any]]:
    """Return the findings of one rule."""
    return [finding for finding in report["findings"] if finding["code"] == code]


def statements_since(log: Path, start: int) -> list[str]:
    """Return the statements that a server has logged from this position on, in upper case."""
    with log.open() as file:
        file.seek(start)
        lines = [line for line in file if "LOG:  statement" in line or "LOG:  execute" in line]
    return [line.split(":  ", 1)[1].partition(": ")[2].strip().upper() for line in lines]


def test_violating_rows_are_found_by_key_with_read_only_queries(
    data_project: tuple[Project, str], database: Address, cache: Path
) -> None:
    """The findings show keys but no other values.

    Each statement that reaches the database only reads.
    """
    project, url = data_project
    (data_directory,) = rows(database, "SELECT current_setting('data_directory')")
    log = Path(data_directory).parent / "postgres.log"
    with connected(database) as session:
        session.execute(f"ALTER DATABASE {database.dbname} SET log_statement = 'all'")
        tests_conversion = session.info.server_version >= 160000
    start = log.stat().st_size
    report = check_as_json(project, url, cache, exit_codes=(1,))
    keys_of = {}
    for finding in findings_of(report, "LL-ROWS-VIOLATE"):
        what, *keys = finding["what"].splitlines()
        keys_of[what] = keys
    expected = {
        "rows of person have no nick, which is to be not null:": ["id=3"],
        "rows of person have the same nick, which are to be unique:": ["first=(0,1), times=2"],
        "rows of person refer to nothing in country, by country:": ["id=3"],
    }
    if tests_conversion:
        not_convertible = "rows of person have a value of email that is no character varying(10):"
        expected[not_convertible] = ["id=2"]
    else:
        not_checked = findings_of(report, "LL-ROWS-NOT-CHECKED")
        assert any("this needs PostgreSQL 16" in finding["what"] for finding in not_checked)
    assert keys_of == expected
    assert report["sizes"]["person"]["bytes"] > 0
    statements = statements_since(log, start)
    assert len(statements) > 4
    assert [sql for sql in statements if not sql.startswith(READS)] == []


CORRECTS_ROWS = """
op.execute("UPDATE person SET nick = '' WHERE nick IS NULL")
op.alter_column("person", "nick", nullable=False)
op.alter_column("person", "email", type_=sa.Integer, postgresql_using="length(email)")
"""


def test_rows_that_the_revision_corrects_are_a_note(
    data_project: tuple[Project, str], cache: Path
) -> None:
    """Neither the correction nor a USING expression is tried, so it is only a note."""
    project, url = data_project
    project.revision("r1", "r0", CORRECTS_ROWS.strip())
    report = check_as_json(project, url, cache)
    (note,) = findings_of(report, "LL-ROWS-VIOLATE")
    assert note["what"].startswith("rows of person have no nick")
    assert note["severity"] == "note"
    (not_checked,) = findings_of(report, "LL-ROWS-NOT-CHECKED")
    assert "by an expression of its own" in not_checked["what"]


INHERITING_TABLES = """
CREATE TABLE entry (id integer, country text);
CREATE TABLE old_entry () INHERITS (entry);
CREATE TABLE "re:ading" (id integer, country text) PARTITION BY LIST (id);
CREATE TABLE old_reading PARTITION OF "re:ading" DEFAULT;
"""
CONSTRAINTS_OF_PARENTS = """
op.create_unique_constraint("one_entry", "entry", ["id"])
op.create_foreign_key("a", "entry", "country", ["country"], ["code"])
op.create_foreign_key("b", "re:ading", "country", ["country"], ["code"])
"""
ROWS_OF_HEIRS = """
INSERT INTO country VALUES ('Ax', 'A') ON CONFLICT DO NOTHING;
INSERT INTO entry VALUES (1, 'Ax');
INSERT INTO old_entry VALUES (1, 'nowhere'), (1, 'nowhere');
INSERT INTO old_reading VALUES (1, 'nowhere');
"""


def test_rows_of_inheriting_tables_do_not_violate_the_parents_constraints(
    data_project: tuple[Project, str], database: Address, cache: Path
) -> None:
    """Unique indexes and foreign keys are the parent's own.

    Those of a partitioned table apply to its partitions.
    """
    project, url = data_project
    escaped = INHERITING_TABLES.replace("re:ading", "re\\\\:ading")
    created = f"{TABLES}{escaped}".replace("\n", "\n    ")
    project.revision("r0", None, f"op.execute('''{created}''')")
    with connected(database) as session:
        session.execute(INHERITING_TABLES)
        session.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO only_reader")
        session.execute(ROWS_OF_HEIRS)
    project.revision("r1", "r0", CONSTRAINTS_OF_PARENTS.strip())
    (finding,) = findings_of(check_as_json(project, url, cache), "LL-ROWS-VIOLATE")
    assert finding["what"].startswith('rows of "re:ading" refer to nothing in country')


def test_rows_that_could_not_be_read_are_a_finding(
    data_project: tuple[Project, str], database: Address, cache: Path
) -> None:
    """A locked table and a missing one; each query is bounded."""
    project, url = data_project

    def not_checked() -> str:
        report = check_as_json(project, url, cache)
        return "\n".join(finding["what"] for finding in findings_of(report, "LL-ROWS-NOT-CHECKED"))

    with connected(database) as session, session.transaction():
        session.execute("LOCK TABLE person")
        of_locked_table = not_checked()
    assert "lock timeout" in of_locked_table
    assert "the sizes of the tables are unknown" in of_locked_table
    with connected(database) as session:
        session.execute("DROP TABLE person CASCADE")
    assert "does not exist" in not_checked()


def test_finding_about_rows_may_be_allowed(data_project: tuple[Project, str], cache: Path) -> None:
    """In alembic.ini, as any other."""
    project, url = data_project
    allowance = "LL-ROWS-VIOLATE r1: corrected by the job before it"
    ini = Path(project.ini)
    ini.write_text(f"{ini.read_text()}\n[liftlock]\nallow =\n    {allowance}\n")
    report = check_as_json(project, url, cache)
    reasons = {finding["because"] for finding in findings_of(report, "LL-ROWS-VIOLATE")}
    assert reasons == {"corrected by the job before it"}


def test_wrong_password_of_the_data_url_is_an_error(
    data_project: tuple[Project, str], cache: Path
) -> None:
    """A wrong password is an error of the settings."""
    project, url = data_project
    wrong = {"LIFTLOCK_DATA_URL": url.replace("p%40ss", "wrong"), "XDG_CACHE_HOME": str(cache)}
    assert_failed(
        project.run("check", "r1", **wrong), "LL-WRONG-PASSWORD", 2, mentions="wrong password"
    )


def test_first_server_of_several_hosts_is_kept(
    data_project: tuple[Project, str], database: Address, cache: Path
) -> None:
    """A revision that listens on another host of the URL is not contacted."""
    project, _ = data_project
    port = database.port
    hosts = f"host=127.0.0.2,127.0.0.1&port={port},{port}"
    url = f"postgresql://only_reader:p%40ss%2Fword@/{database.dbname}?{hosts}"
    contacted = project.folder / "contacted"
    body = f"""
import socket, threading
server = socket.create_server(("127.0.0.2", {port}))
def listen():
    server.accept()
    open({str(contacted)!r}, "w")
threading.Thread(target=listen, daemon=True).start()
op.alter_column("person", "nick", nullable=False)
"""
    project.revision("r1", "r0", body, "pass")
    done = project.run("check", "r1", LIFTLOCK_DATA_URL=url, XDG_CACHE_HOME=str(cache))
    assert "LL-ROWS-VIOLATE " in done.stdout, done.stdout + done.stderr
    assert not contacted.exists()
