"""`liftlock check --data-url`: what the rows of a real database say; it is only read."""

from __future__ import annotations

import json
import secrets
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from helpers import PASSWORD, Project, connected, make_project, rows, until_it_says
from sqlalchemy.engine import URL

import liftlock
from liftlock.check.rules import TABLES
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
    project = make_project(
        tmp_path,
        Address(host="nowhere.invalid", port="1", user="nobody", password=PASSWORD, dbname="none"),
    )
    project.revision("r0", None, f"op.execute('''{TABLES}''')".replace("\n", "\n    "))
    project.revision("r1", "r0", BODY.strip())
    with connected(database) as session:
        session.execute(TABLES)
        session.execute(ROWS)
        session.execute("DROP ROLE IF EXISTS only_reader")
        session.execute("CREATE ROLE only_reader LOGIN PASSWORD 'p@ss/word'")
        session.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO only_reader")
    parts = {
        "username": "only_reader",
        "password": "p@ss/word",
        "host": database.host,
        "database": database.dbname,
    }
    return project, URL.create("postgresql", port=int(database.port), **parts).render_as_string(
        hide_password=False
    )


def test_rows_that_would_break_it_are_found(
    real: tuple[Project, str], database: Address, cache: Path
) -> None:
    """By their keys, and nothing else of them; sizes and estimates are told; every statement that reaches it reads."""
    project, url = real
    log = (
        next(
            Path(row) for row in [rows(database, "SELECT current_setting('data_directory')")[0]]
        ).parent
        / "postgres.log"
    )
    with connected(database) as session:
        session.execute(f"ALTER DATABASE {database.dbname} SET log_statement = 'all'")
    begun = log.stat().st_size
    done = project.run(
        "--format", "json", "check", "r1", LIFTLOCK_DATA_URL=url, XDG_CACHE_HOME=str(cache)
    )
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    found = {
        one["what"].splitlines()[0]: one["what"].splitlines()[1:]
        for one in report["findings"]
        if one["code"] == "LL-ROWS-VIOLATE"
    }
    fits = {"rows of person have a value of email that is no character varying(10):": ["id=2"]}
    with connected(database) as session:
        if session.info.server_version < 160000:  # such servers can't tell without an error
            assert any(
                "it takes PostgreSQL 16" in one["what"]
                for one in report["findings"]
                if one["code"] == "LL-ROWS-NOT-CHECKED"
            )
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
        statements = [
            line.split(":  ", 1)[1]
            for line in file
            if "LOG:  statement" in line or "LOG:  execute" in line
        ]
    sent = [one.partition(": ")[2].strip().upper() for one in statements]
    assert len(sent) > 4
    assert [
        one for one in sent if not one.startswith(("SELECT", "--", "BEGIN", "ROLLBACK", "SHOW"))
    ] == []


HOSTILE = """
import gc, glob, os, re, socket, subprocess, sys, threading
import psycopg

KNOWN = {known!r}
STEAL = "CREATE TABLE IF NOT EXISTS stolen (x integer)"

def spy(data):
    return set(re.findall(rb"kept-[0-9a-f]{{16}}", data)) if b"kept-" in data else set()

def secrets():
    spied = set()
    for path in glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/cmdline") + glob.glob("/proc/self/task/*/environ"):
        try:
            spied |= spy(open(path, "rb").read())
        except OSError:
            pass
    for path in glob.glob("/proc/[0-9]*/mem"):
        try:
            with open(path.replace("mem", "maps")) as maps, open(path, "rb", 0) as memory:
                for line in maps:
                    begin, end = (int(one, 16) for one in line.split()[0].split("-"))
                    if " rw-p " in line and end - begin < 1 << 28:
                        memory.seek(begin)
                        spied |= spy(memory.read(end - begin))
        except (OSError, ValueError, OverflowError):
            pass
    return sorted(spied)

def connect():
    try:
        with psycopg.connect(**KNOWN, autocommit=True, connect_timeout=5) as session:
            session.execute(STEAL)
        return "reached"
    except psycopg.Error as error:
        return str(error).strip()

def send(kind, protocol, flags):
    try:
        with socket.socket(socket.AF_INET, kind, protocol) as other:
            if flags:
                other.sendto(b"x", flags, (KNOWN["host"], int(KNOWN["port"])))
            else:
                other.connect((KNOWN["host"], int(KNOWN["port"])))
        return "reached"
    except OSError as error:
        return str(error)

def everywhere():
    said = [connect()]
    thread = threading.Thread(target=lambda: said.append(connect()))
    thread.start()
    thread.join()
    program = f"import sys, psycopg; psycopg.connect(**{{KNOWN}}, autocommit=True).execute(sys.argv[1])"
    said.append(subprocess.run([sys.executable, "-c", program, STEAL], capture_output=True, text=True).stderr)
    mptcp, fast_open = 262, 0x20000000
    said += [send(socket.SOCK_STREAM, 0, 0), send(socket.SOCK_STREAM, mptcp, 0), send(socket.SOCK_STREAM, 0, fast_open)]
    return [*said, send(socket.SOCK_RAW, socket.IPPROTO_TCP, 0)]

def ask():
    (keeper,) = [one for one in gc.get_objects() if type(one).__name__ == "DataBroker"]
    asked = {{"rows": "null", "table": "person", "columns": ["nick"], "refers": "", "refers_columns": [], "type": ""}}
    said = []
    for hostile in (
        {{"table": "person; " + STEAL + " --"}}, {{"table": "pg_catalog.pg_authid"}}, {{"table": "pg_settings"}}, {{"table": "everybody"}},
        {{"columns": ["json_agg"]}}, {{"columns": ["effect"]}}, {{"columns": ['nick" IS NULL); ' + STEAL + " --"]}}, {{"columns": []}},
        {{"columns": ["ctid"]}}, {{"rows": STEAL}}, {{"columns": [["nick"]]}}, {{"key": ["email"]}},
        {{"rows": "orphaned", "refers": "effect(1)"}},
    ):
        try:
            said.append(repr(keeper._ask("rows", question={{**asked, **hostile}})))
        except Exception as error:
            said.append(str(error))
    return said

with open({seen!r}, "a") as seen:
    print(secrets(), *everywhere(), *ask(), file=seen, sep="\\n", end="\\n--\\n")
"""


@pytest.mark.parametrize(
    ("given", "wanted"),
    [("by the environment", "r1"), ("by the environment", "--chain"), ("by an option", "r1")],
)
def test_a_hostile_revision_cannot_reach_it(
    real: tuple[Project, str],
    database: Address,
    tmp_path: Path,
    cache: Path,
    given: str,
    wanted: str,
) -> None:
    """When it is loaded, and when it runs.

    It looks for the address in all processes, their memory too; it connects by itself, in a thread and in a program of its
    own, as a role that may do anything; and it asks what keeps the address for more than it may.
    """
    project, url = real
    secret = f"kept-{secrets.token_hex(8)}"
    with connected(database) as session:
        session.execute(f"ALTER ROLE only_reader PASSWORD '{secret}'".encode())
        session.execute(
            "CREATE VIEW everybody AS SELECT * FROM person; GRANT SELECT ON everybody TO only_reader"
        )
        body = "CREATE TABLE IF NOT EXISTS stolen (x integer); SELECT 1"
        session.execute(
            f"CREATE FUNCTION effect(person) RETURNS integer LANGUAGE sql SECURITY DEFINER AS '{body}'".encode()
        )
    seen = tmp_path / "seen"
    path = project.revision("r1", "r0", "hostile()", "hostile()")
    body = HOSTILE.format(known=database.keywords(), seen=str(seen))
    path.write_text(
        path.read_text() + "\ndef hostile():\n" + textwrap.indent(body, "    ") + "\nhostile()\n"
    )
    url = url.replace("p%40ss%2Fword", secret)
    told = ["--data-url", url] if given == "by an option" else []
    more = {} if told else {"LIFTLOCK_DATA_URL": url}
    done = project.run("check", wanted, *told, XDG_CACHE_HOME=str(cache), **more)
    assert done.returncode in {0, 1}, done.stderr
    runs = seen.read_text().split("--\n")[:-1]
    assert len(runs) > 3, "loaded, run by plain Alembic and by liftlock, and back"
    assert secret not in seen.read_text()
    assert rows(database, "SELECT to_regclass('stolen')::text") == [None]
    for run in runs:
        assert run.count("Permission denied") == 7, run
        assert run.count("does not exist") + run.count("invalid name syntax") == 5, (
            run
        )  # tables, or what isn't one
        assert run.count("has no columns") == 6, run
        assert "is not a valid RowsWanted" in run
        assert "example.com" not in run
        assert "('id=3', True)" in run.replace("['id=3', True]", "('id=3', True)"), (
            run
        )  # as an honest question is answered
    assert "the revisions have no network but the shadow" in done.stderr


def test_a_system_that_cannot_confine_is_refused(
    real: tuple[Project, str], database: Address
) -> None:
    """As one that has no Landlock, or has as many layers of it as can be; unless the revisions are trusted."""
    project, url = real
    parts = {
        "username": database.user,
        "password": database.password,
        "host": database.host,
        "database": database.dbname,
    }
    server = URL.create("postgresql", port=int(database.port), **parts).render_as_string(
        hide_password=False
    )
    seen = project.folder / "seen"
    project.revision(
        "r1", "r0", f"import os\nopen({str(seen)!r}, 'a').write(open('/proc/self/environ').read())"
    )
    layers = f"import os, sys; from liftlock.broker.sandbox import confine; [confine([{database.port}]) for _ in range(16)]; "
    begun = [
        "-c",
        layers + "print(confine([]), flush=True); os.execvp(sys.argv[1], sys.argv[1:])",
        "liftlock",
        "check",
        "r1",
    ]

    def run(**more: str) -> subprocess.CompletedProcess[str]:
        variables = project.variables(LIFTLOCK_DATA_URL=url, LIFTLOCK_SHADOW_URL=server, **more)
        return subprocess.run(
            [sys.executable, *begun],
            cwd=project.folder,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )

    done = run()
    assert (done.returncode, done.stdout, "LL-SANDBOX-UNAVAILABLE" in done.stderr) == (
        2,
        "False\n",
        True,
    ), done.stderr
    assert not seen.exists()
    done = run(LIFTLOCK_TRUST="1")
    assert done.returncode == 0, done.stderr
    assert "the revisions are trusted" in done.stderr
    assert "LIFTLOCK_SHADOW_URL" in seen.read_text()
    assert "only_reader" not in seen.read_text()


def test_threads_would_not_be_confined() -> None:
    """So a process that has some isn't."""
    program = (
        "import threading; from liftlock.broker.sandbox import confine; done = threading.Event();"
        "threading.Thread(target=done.wait).start(); print(confine([])); done.set()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_a_password_in_the_arguments_of_another_program_is_refused(
    real: tuple[Project, str], cache: Path
) -> None:
    """Everybody can read them."""
    project, url = real
    command = f"liftlock -c {project.ini} check r1 --data-url {url}; exit $?"
    given = {"cwd": project.folder, "env": project.variables(XDG_CACHE_HOME=str(cache))}
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, check=False, **given
    )  # type: ignore[call-overload]
    assert (done.returncode, "is in the arguments of a running program, sh" in done.stderr) == (
        2,
        True,
    ), done.stderr
    assert "p@ss" not in done.stderr


@pytest.mark.parametrize("how", ["sets it by itself", "isn't a file"])
def test_a_program_that_has_the_address_is_refused(real: tuple[Project, str], how: str) -> None:
    """It couldn't be begun anew without it."""
    project, url = real
    program = f"import os, sys\nfrom liftlock.startup import main\nos.environ['LIFTLOCK_DATA_URL'] = {url!r}\nsys.argv[1:] = ['check']\nmain()\n"
    (project.folder / "manage.py").write_text(program)
    arguments, given = (["manage.py"], "") if how == "sets it by itself" else (["-"], program)
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=project.folder,
        env=project.variables(),
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "LL-BROKER-ADDRESS-EXPOSED" in done.stderr) == (2, True), done.stderr


def test_nothing_is_imported_from_the_checkout_beside_the_address(
    real: tuple[Project, str],
) -> None:
    """Not even liftlock itself, which lies there when one works on it."""
    project, url = real
    command = ["liftlock", "-c", project.ini, "check", "r1"]
    given = {
        "cwd": Path(liftlock.__file__).parents[1],
        "env": project.variables(LIFTLOCK_DATA_URL=url),
    }
    done = subprocess.run(command, capture_output=True, text=True, check=False, **given)  # type: ignore[call-overload]
    assert (done.returncode, "No module named 'liftlock'" in done.stderr) == (2, True), done.stderr


def test_where_its_address_leads_later_does_not_matter(
    real: tuple[Project, str], database: Address, cache: Path
) -> None:
    """A revision that listens in its place hears nothing: the server that was met first is asked."""
    project, _ = real
    several = f"postgresql://only_reader:p%40ss%2Fword@/{database.dbname}?host=127.0.0.2,127.0.0.1&port={database.port},{database.port}"
    heard = project.folder / "heard"
    body = (
        "import socket, threading\n"
        f"server = socket.create_server(('127.0.0.2', {database.port}))\n"
        f"threading.Thread(target=lambda: [server.accept(), open({str(heard)!r}, 'w')], daemon=True).start()\n"
        "op.alter_column('person', 'nick', nullable=False)"
    )
    project.revision("r1", "r0", body, "pass")
    done = project.run("check", "r1", LIFTLOCK_DATA_URL=several, XDG_CACHE_HOME=str(cache))
    assert "LL-ROWS-VIOLATE " in done.stdout, done.stdout + done.stderr
    assert not heard.exists()


def test_an_engine_of_its_own_is_led_to_the_shadow(
    real: tuple[Project, str], database: Address, cache: Path
) -> None:
    """As env.py's is; while it is loaded, none connects."""
    project, url = real
    parts = {
        "username": database.user,
        "password": database.password,
        "host": database.host,
        "database": database.dbname,
    }
    own = URL.create("postgresql+psycopg", port=int(database.port), **parts).render_as_string(
        hide_password=False
    )
    steals = f"with sa.create_engine({own!r}).begin() as connection:\n    "
    steals += "connection.exec_driver_sql('CREATE TABLE IF NOT EXISTS stolen (x integer)')"
    path = project.revision("r1", "r0", steals, "op.drop_table('stolen')")
    done = project.run(
        "--format", "json", "check", "r1", LIFTLOCK_DATA_URL=url, XDG_CACHE_HOME=str(cache)
    )
    assert done.returncode in {0, 1}, done.stderr
    assert "stolen" in done.stdout
    path.write_text(f"{path.read_text()}\n{steals}\n")
    done = project.run("check", "r1", LIFTLOCK_DATA_URL=url, XDG_CACHE_HOME=str(cache))
    assert (done.returncode, "r1.py" in done.stderr, "connect" in done.stderr) == (3, True, True), (
        done.stderr
    )
    assert rows(database, "SELECT to_regclass('stolen')::text") == [None]


@pytest.mark.parametrize("ended", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_what_keeps_the_address_ends_with_the_command(
    real: tuple[Project, str], cache: Path, ended: signal.Signals
) -> None:
    """However that ends."""
    project, url = real
    project.revision("r1", "r0", "op.execute('SELECT pg_sleep(60)')")
    running = project.start("check", "r1", LIFTLOCK_DATA_URL=url, XDG_CACHE_HOME=str(cache))
    until_it_says(running, "trying r1")
    (keeper,) = (
        path.parent
        for path in Path("/proc").glob("[0-9]*/stat")
        if _parent(path) == running.pid and _keeps(path.parent)
    )
    running.send_signal(ended)
    running.communicate(timeout=60)
    end = time.monotonic() + 20
    while keeper.exists() and "State:\tZ" not in (keeper / "status").read_text():
        assert time.monotonic() < end
        time.sleep(0.05)


def _parent(stat: Path) -> int:
    try:
        return int(stat.read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _keeps(process: Path) -> bool:
    return "liftlock.broker.process" in (process / "cmdline").read_text()


def test_one_that_cannot_be_reached_is_told(real: tuple[Project, str], cache: Path) -> None:
    """As an error of the settings or of now."""
    project, url = real
    done = project.run(
        "check", "r1", LIFTLOCK_DATA_URL=url.replace("p%40ss", "wrong"), XDG_CACHE_HOME=str(cache)
    )
    assert (done.returncode, "wrong password" in done.stderr) == (2, True), done.stderr


def findings(project: Project, url: str, cache: Path, code: str) -> dict[str, str]:
    """What was found by a rule, with its severity."""
    done = project.run(
        "--format", "json", "check", "r1", LIFTLOCK_DATA_URL=url, XDG_CACHE_HOME=str(cache)
    )
    assert done.returncode in {0, 1}, done.stderr
    return {
        one["what"]: one["severity"]
        for one in json.loads(done.stdout)["findings"]
        if one["code"] == code
    }


def test_rows_that_the_revision_corrects_itself_are_a_note(
    real: tuple[Project, str], cache: Path
) -> None:
    """Whether it does, isn't tried; and what an expression of its own makes of a value, isn't either."""
    project, url = real
    body = (
        "op.execute(\"UPDATE person SET nick = '' WHERE nick IS NULL\")\nop.alter_column('person', 'nick', nullable=False)\n"
        "op.alter_column('person', 'email', type_=sa.Integer, postgresql_using='length(email)')"
    )
    project.revision("r1", "r0", body)
    (found,) = findings(project, url, cache, "LL-ROWS-VIOLATE").items()
    assert (found[0].startswith("rows of person have no nick"), found[1]) == (True, "note")
    (unseen,) = findings(project, url, cache, "LL-ROWS-NOT-CHECKED")
    assert "by an expression of its own" in unseen


HEIRS = """
CREATE TABLE entry (id integer, country text);
CREATE TABLE old_entry () INHERITS (entry);
CREATE TABLE "re:ading" (id integer, country text) PARTITION BY LIST (id);
CREATE TABLE old_reading PARTITION OF "re:ading" DEFAULT;
"""


def test_rows_of_heirs_are_not_their_parents(
    real: tuple[Project, str], database: Address, cache: Path
) -> None:
    """A unique index and a foreign key are the parent's own; those of a partitioned table are its partitions' too."""
    project, url = real
    made = f"{TABLES}{HEIRS}".replace("re:ading", "re\\\\:ading").replace("\n", "\n    ")
    project.revision("r0", None, f"op.execute('''{made}''')")
    with connected(database) as session:
        session.execute(HEIRS)
        session.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO only_reader")
        session.execute("INSERT INTO country VALUES ('Ax', 'A') ON CONFLICT DO NOTHING")
        session.execute(
            "INSERT INTO entry VALUES (1, 'Ax'); INSERT INTO old_entry VALUES (1, 'nowhere'), (1, 'nowhere')"
        )
        session.execute("INSERT INTO old_reading VALUES (1, 'nowhere')")
    body = (
        "op.create_unique_constraint('one_entry', 'entry', ['id'])\nop.create_foreign_key('a', 'entry', 'country', ['country'], ['code'])\n"
        "op.create_foreign_key('b', 're:ading', 'country', ['country'], ['code'])"
    )
    project.revision("r1", "r0", body)
    (found,) = findings(project, url, cache, "LL-ROWS-VIOLATE")
    assert found.startswith('rows of "re:ading" refer to nothing in country')


def test_what_was_not_seen_is_told(
    real: tuple[Project, str], database: Address, cache: Path
) -> None:
    """A table that is locked, and one that isn't there; each query is bounded."""
    project, url = real
    with connected(database) as session, session.transaction():
        session.execute("LOCK TABLE person")
        unseen = "\n".join(findings(project, url, cache, "LL-ROWS-NOT-CHECKED"))
    assert "lock timeout" in unseen
    assert "the sizes of the tables are unknown" in unseen
    with connected(database) as session:
        session.execute("DROP TABLE person CASCADE")
    assert "does not exist" in "\n".join(findings(project, url, cache, "LL-ROWS-NOT-CHECKED"))


def test_what_is_found_may_be_allowed(real: tuple[Project, str], cache: Path) -> None:
    """In alembic.ini, as all else."""
    project, url = real
    ini = Path(project.ini)
    ini.write_text(
        f"{ini.read_text()}\n[liftlock]\nallow =\n    LL-ROWS-VIOLATE r1: corrected by the job before it\n"
    )
    done = project.run(
        "--format", "json", "check", "r1", LIFTLOCK_DATA_URL=url, XDG_CACHE_HOME=str(cache)
    )
    assert {
        one["because"]
        for one in json.loads(done.stdout)["findings"]
        if one["code"] == "LL-ROWS-VIOLATE"
    } == {"corrected by the job before it"}
