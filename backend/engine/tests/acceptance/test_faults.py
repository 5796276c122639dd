"""Bad revisions, locks, signals and kills: a clear message, the right exit code, the database as before."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest
from helpers import Project, connected, dump, rows, until_it_says

from liftlock.settings import Address

OK = "op.create_table('good', sa.Column('a', sa.Integer))"


def ours(address: Address) -> int:
    """How many sessions of liftlock are connected, or locks of it held."""
    return int(
        rows(
            address,
            "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'liftlock %' AND datname = current_database()",
        )[0]
    )


@pytest.mark.parametrize(
    ("body", "code", "family", "line"),
    [
        (
            "op.create_table('t', sa.Column('a', sa.Integer))\nraise ValueError('half-way')",
            3,
            "LL-REVISION-RAISED",
            9,
        ),
        (
            "op.create_table('t', sa.Column('a', sa.Integer))\n\nop.execute('SELECT nonsense')",
            5,
            "LL-STEP-FAILED",
            10,
        ),
        (
            "op.create_table('t', sa.Column('a', sa.Integer))\nop.get_bind().execute(sa.text('SELECT nonsense'))",
            5,
            "LL-STEP-FAILED",
            9,
        ),
        ("import nowhere", 3, "LL-REVISION-RAISED", 8),
    ],
)
def test_a_revision_that_fails_half_way(
    project: Project, body: str, code: int, family: str, line: int
) -> None:
    """File and line; the revision rolled back, those before it kept."""
    project.revision("good", None, OK)
    path = project.revision("bad", "good", body)
    done = project.run("upgrade")
    assert done.returncode == code, done.stderr
    assert family in done.stderr
    assert f"{path}:{line}" in done.stderr
    assert "rolled back" in done.stderr
    assert rows(project.database, "SELECT version_num FROM alembic_version") == ["good"]
    assert rows(project.database, "SELECT revision FROM liftlock.revisions") == ["good"]
    assert rows(project.database, "SELECT to_regclass('t')::text") == [None]
    assert ours(project.database) == 0


def test_a_syntax_error(project: Project) -> None:
    """Told with file and line, before the database is touched."""
    project.revision("good", None, OK)
    path = project.revision("bad", "good", "op.execute('x'")
    before = dump(project.database)
    done = project.run("upgrade")
    assert (done.returncode, "LL-SYNTAX-ERROR" in done.stderr) == (3, True)
    assert f"{path}:8" in done.stderr
    assert dump(project.database) == before


def test_a_missing_parent(project: Project) -> None:
    """Told with file and line and the identifier that no file has."""
    project.revision("good", None, OK)
    path = project.revision("bad", "gone", "pass")
    done = project.run("upgrade")
    assert (done.returncode, "LL-MISSING-PARENT" in done.stderr) == (3, True)
    assert f"{path}:6: revision bad follows gone" in done.stderr


def test_a_revision_twice(project: Project) -> None:
    """Alembic would only warn."""
    project.revision("good", None, OK)
    (project.versions / "copy.py").write_text((project.versions / "good.py").read_text())
    done = project.run("upgrade")
    assert (done.returncode, "LL-DUPLICATE-REVISION" in done.stderr) == (3, True)


def test_an_error_in_env_py(project: Project) -> None:
    """The deployer's, with its place."""
    project.env("import nowhere\n")
    project.revision("good", None, OK)
    done = project.run("upgrade")
    assert (done.returncode, "LL-ENV-FAILED" in done.stderr) == (2, True)
    assert "env.py:1" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["upgrade", "nowhere"], 3), (["downgrade", "nowhere"], 3), (["nonsense"], 2)],
)
def test_targets_that_do_not_exist(project: Project, arguments: list[str], code: int) -> None:
    """Never a traceback."""
    project.revision("good", None, OK)
    assert project.run(*arguments).returncode == code


def test_a_project_that_is_not_there(project: Project) -> None:
    """The message names the file and the folder."""
    done = subprocess.run(
        ["liftlock", "upgrade"],
        cwd=project.versions,
        env=project.variables(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "alembic.ini" in done.stderr


def test_a_wrong_password_is_told_at_once(project: Project) -> None:
    """As text and as JSON."""
    wrong = project.database.environ() | {"POSTGRES_PASSWORD": "wrong"}
    started = time.monotonic()
    done = project.run("--format", "json", "upgrade", LIFTLOCK_WAIT="60", **wrong)
    assert time.monotonic() - started < 20
    assert done.returncode == 2
    assert json.loads(done.stderr.splitlines()[-1])["error"] == "LL-WRONG-PASSWORD"


@pytest.fixture
def blocked(project: Project) -> Iterator[Project]:
    """A project whose second revision needs a lock that another session holds, idle in transaction."""
    project.revision("good", None, OK)
    assert project.run("upgrade").returncode == 0
    project.revision("more", "good", "op.add_column('good', sa.Column('b', sa.Integer))")
    with connected(project.database, application_name="the blocker") as session:
        session.execute("BEGIN")
        session.execute("SELECT * FROM good")
        yield project


def test_a_lock_that_is_never_free(blocked: Project) -> None:
    """Ends at the deadline; the blocker is named from the first miss on; nothing is half done."""
    done = blocked.run("upgrade", "--deadline", "2")
    assert done.returncode == 4, done.stderr
    assert "LL-LOCK-REFUSED" in done.stderr
    assert "'the blocker', idle in transaction" in done.stderr
    first = next(line for line in done.stderr.splitlines() if "(try 1)" in line)
    assert "'the blocker'" in first
    assert rows(blocked.database, "SELECT version_num FROM alembic_version") == ["good"]


def test_no_query_waits_longer_than_the_stall_budget(blocked: Project) -> None:
    """A reader that queues behind the refused ALTER gets through after one try; between tries nothing is held."""
    running = blocked.start("upgrade", "--deadline", "4")
    longest, end = 0.0, time.monotonic() + 4
    with connected(blocked.database) as session:
        while time.monotonic() < end:
            started = time.monotonic()
            session.execute("SELECT * FROM good")
            longest = max(longest, time.monotonic() - started)
    _, err = running.communicate(timeout=60)
    assert "got no lock" in err
    assert longest < 1.0, "100 ms are the budget; the bound is generous"


SLOW = "op.create_table('slow', sa.Column('a', sa.Integer))\nop.execute('SELECT pg_sleep(60)')"


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_cancels_rolls_back_and_exits_4(project: Project, stop: signal.Signals) -> None:
    """Soon, and with nothing left: no table, no session, no lock."""
    project.revision("good", None, OK)
    project.revision("slow", "good", SLOW)
    running = project.start("upgrade")
    _until_sleeping(project.database)
    started = time.monotonic()
    running.send_signal(stop)
    _, err = running.communicate(timeout=30)
    assert running.returncode == 4, err
    assert stop.name in err
    assert time.monotonic() - started < 10
    assert rows(project.database, "SELECT version_num FROM alembic_version") == ["good"]
    assert rows(project.database, "SELECT to_regclass('slow')::text") == [None]
    assert ours(project.database) == 0


def test_a_pause_stops_nothing(project: Project) -> None:
    """SIGSTOP and SIGCONT, as of a machine that is suspended or a debugger: it goes on, and still hears a signal."""
    project.revision("slow", None, SLOW)
    running = project.start("upgrade")
    _until_sleeping(project.database)
    for _ in range(20):
        running.send_signal(signal.SIGSTOP)
        time.sleep(0.1)
        running.send_signal(signal.SIGCONT)
        time.sleep(0.08)
    assert running.poll() is None, running.communicate()
    assert rows(
        project.database,
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(60)%'",
    ) == [1]
    running.send_signal(signal.SIGTERM)
    _, err = running.communicate(timeout=20)
    assert (running.returncode, "SIGTERM" in err) == (4, True), err


def test_a_signal_while_waiting_for_the_database(project: Project) -> None:
    """Waiting hears it too."""
    running = project.start(
        "wait", "--wait", "60", **{**project.database.environ(), "POSTGRES_PORT": "1"}
    )
    until_it_says(running, "waiting for the database")
    running.send_signal(signal.SIGTERM)
    _, err = running.communicate(timeout=20)
    assert running.returncode == 4, err


def test_after_a_kill_another_takes_over_within_5_seconds(project: Project) -> None:
    """The dead runner's backend lets go in about a second; the next one does the work, once."""
    project.revision("good", None, OK)
    project.revision(
        "slow",
        "good",
        "op.create_table('slow', sa.Column('a', sa.Integer))\nop.execute('SELECT pg_sleep(a) FROM seconds')",
    )
    with connected(project.database) as session:
        session.execute("CREATE TABLE seconds AS SELECT 60 AS a")
        first = project.start("upgrade")
        _until_sleeping(project.database)
        second = project.start("upgrade")
        until_it_says(second, "waiting for another run")
        session.execute("UPDATE seconds SET a = 2")
    first.kill()
    first.communicate()
    killed = time.monotonic()
    pids = set(_sleepers(project.database))
    while not set(_sleepers(project.database)) - pids:
        assert time.monotonic() - killed < 5, "nobody took over"
        time.sleep(0.05)
    _, err = second.communicate(timeout=60)
    assert second.returncode == 0, err
    assert rows(project.database, "SELECT revision FROM liftlock.revisions ORDER BY revision") == [
        "good",
        "slow",
    ]


def test_a_lost_connection_is_not_now(project: Project) -> None:
    """The server may be restarting: run again."""
    project.revision("slow", None, SLOW)
    running = project.start("upgrade")
    _until_sleeping(project.database)
    with connected(project.database) as session:
        session.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"
        )
    _, err = running.communicate(timeout=60)
    assert running.returncode == 4, err
    assert "LL-CONNECTION-LOST" in err


def test_many_at_once(shop: Project) -> None:
    """One works, the others wait and exit 0; no error in any log; each revision once."""
    running = [shop.start("upgrade") for _ in range(8)]
    ends = [(one.communicate(timeout=120), one.returncode) for one in running]
    assert [code for _, code in ends] == [0] * 8, ends
    assert sum("applying a1" in err for (_, err), _ in ends) == 1
    assert not any("error" in err.lower() for (_, err), _ in ends)
    assert rows(
        shop.database,
        "SELECT count(*), count(DISTINCT revision), (SELECT count(*) FROM liftlock.runs) FROM liftlock.revisions",
    ) == [(4, 4, 1)]


def test_no_password_in_the_process_list(project: Project) -> None:
    """Neither as an argument nor in a session's name."""
    project.revision("slow", None, SLOW)
    running = project.start("upgrade")
    _until_sleeping(project.database)
    listed = subprocess.run(
        ["sh", "-c", "cat /proc/[0-9]*/cmdline"], capture_output=True, text=True, check=False
    ).stdout
    assert "liftlock" in listed
    names = rows(project.database, "SELECT application_name || query FROM pg_stat_activity")
    running.terminate()
    running.communicate(timeout=20)
    assert (project.database.password or "-") not in listed + str(names)


def _sleepers(address: Address) -> list[int]:
    return rows(
        address,
        "SELECT pid FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND datname = current_database() AND state = 'active'",
    )


def _until_sleeping(address: Address) -> None:
    end = time.monotonic() + 30
    while not _sleepers(address):
        assert time.monotonic() < end, "the slow revision didn't start"
        time.sleep(0.05)
