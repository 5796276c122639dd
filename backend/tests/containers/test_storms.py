"""Many at once, killed, too early, with the wrong password: what production does to containers."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from docker_helpers import Container, Database, docker, unique, until
from recaller_helpers import PASSWORD

pytestmark = pytest.mark.containers

SLOW = '''"""Slow."""
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade():
    op.execute("CREATE TABLE slow (a int)")
    op.execute("SELECT pg_sleep({seconds})")


def downgrade():
    op.execute("DROP TABLE slow")
'''
SLEEPERS = (
    "SELECT pid FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'"
)


@pytest.fixture
def slow(tmp_path: Path) -> tuple[str, ...]:
    """Options that mount a revision of a few seconds into the container."""
    file = tmp_path / "0016_slow.py"
    file.write_text(SLOW.format(seconds=6))
    tmp_path.chmod(0o755)
    file.chmod(0o644)
    return ("--volume", f"{file}:/app/migrations/versions/0016_slow.py:ro")


def test_twenty_at_once(image: str, database: Database) -> None:
    """On an empty database: one migrates, all serve, no error in any log, each revision in the ledger once."""
    containers = [database.start_container(image) for _ in range(20)]
    for container in containers:
        until(container.ready, 240, container.name)
    logs = [container.logs for container in containers]
    assert sum("applying 0001" in log for log in logs) == 1
    assert not [log for log in logs if re.search(r"\berror\b|Traceback|LL-", log, re.IGNORECASE)]
    assert database.rows("SELECT count(*), count(DISTINCT revision) FROM liftlock.revisions") == [
        "15|15"
    ]
    assert database.rows("SELECT count(*) FROM liftlock.runs") == ["1"]
    assert database.rows("SELECT version_num FROM alembic_version") == ["0015"]
    for container in containers:
        docker("rm", "--force", container.name)


def test_a_killed_migrator_is_succeeded_within_5_seconds(
    image: str, database: Database, slow: tuple[str, ...]
) -> None:
    """SIGKILL of the one that migrates: another takes over and the schema is right."""
    first = database.start_container(image, options=slow)
    until(lambda: bool(database.rows(SLEEPERS)), 60, "the slow revision runs")
    others = [database.start_container(image, options=slow) for _ in range(2)]
    until(
        lambda: all("waiting for another run" in one.logs for one in others), 60, "the others wait"
    )
    before = set(database.rows(SLEEPERS))
    first.signal("KILL")
    until(lambda: bool(set(database.rows(SLEEPERS)) - before), 5, "another one took over")
    for one in others:
        until(one.ready, 60, one.logs)
    assert database.rows("SELECT count(*), count(DISTINCT revision) FROM liftlock.revisions") == [
        "16|16"
    ]


def test_the_database_comes_up_30_seconds_later(image: str, network: str) -> None:
    """The backend waits, says so, and serves. Its password holds special characters; POSTGRES_PORT is unset."""
    waiting = Database(unique("db"), network, PASSWORD)
    backend = waiting.start_container(image)
    time.sleep(30)
    assert backend.running, backend.logs
    assert "waiting for the database" in backend.logs
    database = Database.start(network, PASSWORD, wait=False)
    until(backend.ready, 60, backend.logs)
    assert PASSWORD not in backend.logs
    assert database.rows("SELECT version_num FROM alembic_version") == ["0015"]


@pytest.mark.parametrize(
    "command",
    [[], ["alembic", "upgrade", "head"], ["./run-migrations.sh"], ["liftlock", "upgrade"]],
)
def test_a_wrong_password_is_told_within_seconds(
    image: str, database: Database, command: list[str]
) -> None:
    """Exit 2, in the message's own words, whichever way the container is used."""
    started = time.monotonic()
    wrong = Database(database.name, database.network, "wrong")
    done = wrong.run(image, *command)
    assert done.returncode == 2, done.stderr
    assert "LL-WRONG-PASSWORD" in done.stderr
    assert "Check POSTGRES_PASSWORD" in done.stderr
    assert "Traceback" not in done.stderr
    assert time.monotonic() - started < 10


def test_sigterm_stops_the_service_gracefully(image: str, database: Database) -> None:
    """Long before Docker would kill it."""
    container = database.start_container(image)
    until(container.ready, 60, container.logs)
    container.signal("TERM")
    seconds = until(lambda: not container.running, 8, "it stops")
    assert container.exit_code == 0
    assert "service.stopped" in container.logs
    assert seconds < 8


@pytest.mark.parametrize("command", [[], ["alembic", "upgrade", "head"], ["./run-migrations.sh"]])
def test_sigterm_during_a_migration(
    image: str, database: Database, slow: tuple[str, ...], command: list[str]
) -> None:
    """Exit 4, nothing half done, nothing held."""
    container = database.start_container(image, *command, options=slow)
    until(lambda: bool(database.rows(SLEEPERS)), 60, "the slow revision runs")
    container.signal("TERM")
    until(lambda: not container.running, 8, "it stops")
    assert container.exit_code == 4, container.logs
    assert database.rows("SELECT version_num FROM alembic_version") == ["0015"]
    assert database.rows("SELECT to_regclass('slow')") == [""]
    assert database.rows("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == ["0"]
    assert database.rows(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'liftlock%'"
    ) == ["0"]


def test_sigterm_while_waiting_for_the_database(image: str, network: str) -> None:
    """Process 1 hears it."""
    container = Database("nobody", network, PASSWORD).start_container(image)
    until(lambda: "waiting for the database" in container.logs, 20, "it waits")
    container.signal("TERM")
    until(lambda: not container.running, 8, "it stops")
    assert container.exit_code == 4


def test_a_password_file(image: str, database: Database, tmp_path: Path) -> None:
    """A secret as a file, with the newline that editors add."""
    secret = tmp_path / "secret"
    secret.write_text(PASSWORD + "\n")
    tmp_path.chmod(0o755)
    secret.chmod(0o644)
    given = (
        "--env",
        "POSTGRES_PASSWORD=",
        "--env",
        "POSTGRES_PASSWORD_FILE=/run/secret",
        "--volume",
        f"{secret}:/run/secret:ro",
    )
    done = database.run(image, "liftlock", "upgrade", options=given)
    assert done.returncode == 0, done.stderr


def test_an_old_image_starts_on_a_newer_database(
    image: str, database: Database, slow: tuple[str, ...]
) -> None:
    """A rollback: which revision is unknown here, when it came, by whom; and the service serves."""
    assert (
        database.run(
            image, "liftlock", "upgrade", options=(*slow, "--env", "LIFTLOCK_RELEASE=next")
        ).returncode
        == 0
    )
    old: Container = database.start_container(image)
    until(old.ready, 60, old.logs)
    assert "newer than this build" in old.logs
    assert "0016 (Slow.)" in old.logs
    assert "(next)" in old.logs
