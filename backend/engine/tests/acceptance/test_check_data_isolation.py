"""`liftlock check --data-url`: revisions cannot reach the real database or its password."""

from __future__ import annotations

import secrets
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import (
    PROJECTS,
    Done,
    Project,
    assert_failed,
    assert_refused,
    assert_succeeded,
    connected,
    rows,
    until,
    until_it_says,
    url_of,
)

import liftlock
from liftlock.settings import Address

pytestmark = pytest.mark.every_major
VIEW_AND_FUNCTION_WITH_EFFECT = """
CREATE VIEW everybody AS SELECT * FROM person;
GRANT SELECT ON everybody TO only_reader;
CREATE FUNCTION effect(person) RETURNS integer LANGUAGE sql SECURITY DEFINER
    AS 'CREATE TABLE IF NOT EXISTS stolen (x integer); SELECT 1';
"""


def program(*arguments: str, project: Project, given: str = "", **variables: str) -> Done:
    """Run a program in the folder of a project."""
    return subprocess.run(
        arguments,
        cwd=project.folder,
        env=project.variables(**variables),
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )


def write_hostile_revision(project: Project, known: Address, seen: Path) -> None:
    """Write a revision that attacks when it is loaded, upgraded and downgraded."""
    path = project.revision("r1", "r0", "attack()", "attack()")
    constants = f"KNOWN = {known.keywords()!r}\nSEEN = {str(seen)!r}\n"
    attack = (PROJECTS / "hostile" / "attack.py").read_text()
    path.write_text(f"{path.read_text()}\n{constants}\n{attack}\nattack()\n")


@pytest.mark.parametrize(
    ("way", "wanted"),
    [("by the environment", "r1"), ("by the environment", "--chain"), ("by an option", "r1")],
)
def test_hostile_revision_cannot_reach_the_database(
    data_project: tuple[Project, str], database: Address, cache: Path, way: str, wanted: str
) -> None:
    """The revision attacks when it is loaded, and when it runs.

    It looks for the address in the environment, arguments and memory of all processes. It
    connects as a superuser: in its thread, in another and in another program. It asks the data
    broker for more than the broker may answer.
    """
    project, url = data_project
    seen = project.folder / "seen"
    secret = f"kept-{secrets.token_hex(8)}"
    with connected(database) as session:
        session.execute(f"ALTER ROLE only_reader PASSWORD '{secret}'")
        session.execute(VIEW_AND_FUNCTION_WITH_EFFECT)
    write_hostile_revision(project, database, seen)
    url = url.replace("p%40ss%2Fword", secret)
    options = ["--data-url", url] if way == "by an option" else []
    variables = {} if way == "by an option" else {"LIFTLOCK_DATA_URL": url}
    done = project.run("check", wanted, *options, XDG_CACHE_HOME=str(cache), **variables)
    assert done.returncode in {0, 1}, done.stderr
    attacks = seen.read_text().split("--\n")[:-1]
    assert len(attacks) > 3, "loaded, run by plain Alembic and by liftlock, and back"
    assert secret not in seen.read_text()
    assert rows(database, "SELECT to_regclass('stolen')::text") == [None]
    for attack in attacks:
        assert attack.count("Permission denied") == 7, attack
        # Tables that are none, or names that are none.
        no_table = attack.count("does not exist") + attack.count("invalid name syntax")
        assert no_table == 5, attack
        assert attack.count("has no columns") == 6, attack
        assert "is not a valid RowsWanted" in attack
        assert "example.com" not in attack
        # An honest question is answered.
        assert "{'text': 'id=3', 'complete': True}" in attack, attack
    assert "the revisions have no network but the shadow" in done.stderr


EXHAUSTS_SANDBOX = """
import os, sys
from liftlock.broker.sandbox import confine
for _ in range(16):
    confine([{port}])
print(confine([]), flush=True)
os.execvp(sys.argv[1], sys.argv[1:])
"""


def test_system_without_sandbox_is_refused(
    data_project: tuple[Project, str], database: Address
) -> None:
    """Without Landlock, or with its maximum of layers, the check is refused.

    Trusted revisions may run.
    """
    project, url = data_project
    seen = project.folder / "seen"
    reads = f"open({str(seen)!r}, 'a').write(open('/proc/self/environ').read())"
    project.revision("r1", "r0", f"import os\n{reads}")
    exhausts = EXHAUSTS_SANDBOX.format(port=database.port)
    check = [sys.executable, "-c", exhausts, "liftlock", "check", "r1"]
    variables = {"LIFTLOCK_DATA_URL": url, "LIFTLOCK_SHADOW_URL": url_of(database)}
    refused = program(*check, project=project, **variables)
    assert_failed(refused, "LL-SANDBOX-UNAVAILABLE", 2)
    assert refused.stdout == "False\n"
    assert not seen.exists()
    trusted = program(*check, project=project, LIFTLOCK_TRUST="1", **variables)
    assert_succeeded(trusted)
    assert "the revisions are trusted" in trusted.stderr
    assert "LIFTLOCK_SHADOW_URL" in seen.read_text()
    assert "only_reader" not in seen.read_text()


CONFINES_WITH_A_THREAD = """
import threading
from liftlock.broker.sandbox import confine
done = threading.Event()
threading.Thread(target=done.wait).start()
print(confine([]))
done.set()
"""


def test_process_with_threads_is_not_sandboxed() -> None:
    """Landlock would not confine existing threads."""
    done = subprocess.run(
        [sys.executable, "-c", CONFINES_WITH_A_THREAD], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_password_in_arguments_of_another_program_is_refused(
    data_project: tuple[Project, str], cache: Path
) -> None:
    """Any process can read them."""
    project, url = data_project
    command = f"liftlock -c {project.ini} check r1 --data-url {url}; exit $?"
    done = program("sh", "-c", command, project=project, XDG_CACHE_HOME=str(cache))
    assert_failed(done, "LL-BROKER-PASSWORD-VISIBLE", 2, mentions="sh")
    assert "p@ss" not in done.stderr


@pytest.mark.parametrize("way", ["a script", "standard input"])
def test_program_that_already_has_the_address_is_refused(
    data_project: tuple[Project, str], way: str
) -> None:
    """It cannot be started again without the address."""
    project, url = data_project
    script = f"""
import os, sys
from liftlock.startup import main
os.environ["LIFTLOCK_DATA_URL"] = {url!r}
sys.argv[1:] = ["check"]
main()
"""
    (project.folder / "manage.py").write_text(script)
    if way == "a script":
        done = program(sys.executable, "manage.py", project=project)
    else:
        done = program(sys.executable, "-", project=project, given=script)
    assert_failed(done, "LL-BROKER-ADDRESS-EXPOSED", 2)


def test_nothing_is_imported_from_the_working_directory(
    data_project: tuple[Project, str],
) -> None:
    """Not even liftlock itself, in a checkout of it."""
    project, url = data_project
    done = subprocess.run(
        ["liftlock", "-c", project.ini, "check", "r1"],
        cwd=Path(liftlock.__file__).parents[1],
        env=project.variables(LIFTLOCK_DATA_URL=url),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "No module named 'liftlock'" in done.stderr


def test_engine_created_by_a_revision_is_redirected_to_the_shadow(
    data_project: tuple[Project, str], database: Address, cache: Path
) -> None:
    """As the engine of env.py is; while the file is loaded no connection is possible."""
    project, url = data_project
    variables = {"LIFTLOCK_DATA_URL": url, "XDG_CACHE_HOME": str(cache)}
    steals = (
        f"with sa.create_engine({url_of(database, 'psycopg')!r}).begin() as connection:\n"
        "    connection.exec_driver_sql('CREATE TABLE IF NOT EXISTS stolen (x integer)')"
    )
    path = project.revision("r1", "r0", steals, "op.drop_table('stolen')")
    done = project.run("--format", "json", "check", "r1", **variables)
    assert done.returncode in {0, 1}, done.stderr
    assert "stolen" in done.stdout
    path.write_text(f"{path.read_text()}\n{steals}\n")
    done = project.run("check", "r1", **variables)
    assert_refused(done, "LL-REVISIONS-NOT-LOADED", mentions=("r1.py", "connect"))
    assert rows(database, "SELECT to_regclass('stolen')::text") == [None]


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_data_broker_ends_with_the_command(
    data_project: tuple[Project, str], cache: Path, stop: signal.Signals
) -> None:
    """After SIGKILL, SIGTERM and SIGINT."""
    project, url = data_project
    project.revision("r1", "r0", "op.execute('SELECT pg_sleep(60)')")
    running = project.start("check", "r1", LIFTLOCK_DATA_URL=url, XDG_CACHE_HOME=str(cache))
    until_it_says(running, "trying r1")
    (broker,) = (
        path.parent
        for path in Path("/proc").glob("[0-9]*/stat")
        if _parent_of(path) == running.pid and _is_broker(path.parent)
    )
    running.send_signal(stop)
    running.communicate(timeout=60)
    until(lambda: _has_ended(broker), 20, "the broker has ended")


def _parent_of(stat: Path) -> int:
    try:
        return int(stat.read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _is_broker(process: Path) -> bool:
    return "liftlock.broker.process" in (process / "cmdline").read_text()


def _has_ended(process: Path) -> bool:
    return not process.exists() or "State:\tZ" in (process / "status").read_text()
