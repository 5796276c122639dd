"""Containers that migrate when they start: many at once, killed, without a database, on signals."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from docker_helpers import Database, docker, env_options, unique
from recaller_helpers import PASSWORD, until

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
SLEEPING = (
    "SELECT pid FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'"
)
REVISIONS = "SELECT count(*), count(DISTINCT revision) FROM liftlock.revisions"
CURRENT = "SELECT version_num FROM alembic_version"
ANY_ERROR = re.compile(r"\berror\b|Traceback|LL-", re.IGNORECASE)


@pytest.fixture
def slow(tmp_path: Path) -> tuple[str, ...]:
    """Return options that mount a revision of a few seconds into a container."""
    file = tmp_path / "0016_slow.py"
    file.write_text(SLOW.format(seconds=6))
    tmp_path.chmod(0o755)
    file.chmod(0o644)
    return ("--volume", f"{file}:/app/migrations/versions/0016_slow.py:ro")


def test_twenty_containers_start_at_once(image: str, database: Database) -> None:
    """One migrates the empty database, all serve, no log has an error, each revision ran once."""
    containers = [database.start_container(image) for _ in range(20)]
    for container in containers:
        until(container.ready, 240, container.name)
    logs = [container.logs for container in containers]
    assert sum("applying 0001" in log for log in logs) == 1
    assert not [log for log in logs if ANY_ERROR.search(log)]
    assert database.rows(REVISIONS) == ["15|15"]
    assert database.rows("SELECT count(*) FROM liftlock.runs") == ["1"]
    assert database.rows(CURRENT) == ["0015"]
    for container in containers:
        docker("rm", "--force", container.name)


def test_another_container_takes_over_within_5_seconds_of_a_kill(
    image: str, database: Database, slow: tuple[str, ...]
) -> None:
    """SIGKILL ends the container that migrates; the schema is right in the end."""
    first = database.start_container(image, options=slow)
    until(lambda: database.rows(SLEEPING), 60, "the slow revision runs")
    others = [database.start_container(image, options=slow) for _ in range(2)]

    def all_wait() -> bool:
        return all("waiting for another run" in container.logs for container in others)

    until(all_wait, 60, "the others wait")
    before = set(database.rows(SLEEPING))
    first.signal("KILL")
    until(lambda: set(database.rows(SLEEPING)) - before, 5, "another container has taken over")
    for container in others:
        until(container.ready, 60, container.logs)
    assert database.rows(REVISIONS) == ["16|16"]


def test_container_waits_for_a_database_that_starts_30_seconds_later(
    image: str, network: str
) -> None:
    """Its log says so. The password has special characters, and POSTGRES_PORT is unset."""
    missing = Database(unique("db"), network, PASSWORD)
    backend = missing.start_container(image)
    time.sleep(30)
    assert backend.running, backend.logs
    assert "waiting for the database" in backend.logs
    database = Database.start(network, PASSWORD, wait=False)
    until(backend.ready, 60, backend.logs)
    assert PASSWORD not in backend.logs
    assert database.rows(CURRENT) == ["0015"]


@pytest.mark.parametrize(
    "command",
    [[], ["alembic", "upgrade", "head"], ["./run-migrations.sh"], ["liftlock", "upgrade"]],
)
def test_wrong_password_ends_the_container_within_10_seconds(
    image: str, database: Database, command: list[str]
) -> None:
    """The exit code is 2, with liftlock's message, for each way to use the container."""
    started = time.monotonic()
    wrong = Database(database.name, database.network, "wrong")
    done = wrong.run(image, *command)
    assert done.returncode == 2, done.stderr
    assert "LL-WRONG-PASSWORD" in done.stderr
    assert "Check POSTGRES_PASSWORD" in done.stderr
    assert "Traceback" not in done.stderr
    assert time.monotonic() - started < 10


def test_sigterm_stops_the_service_gracefully(image: str, database: Database) -> None:
    """It stops before Docker would kill it, after 10 seconds."""
    container = database.start_container(image)
    until(container.ready, 60, container.logs)
    container.signal("TERM")
    seconds = until(lambda: not container.running, 8, "the container stops")
    assert seconds < 8
    assert container.exit_code == 0
    assert "service.stopped" in container.logs


@pytest.mark.parametrize("command", [[], ["alembic", "upgrade", "head"], ["./run-migrations.sh"]])
def test_sigterm_rolls_a_migration_back(
    image: str, database: Database, slow: tuple[str, ...], command: list[str]
) -> None:
    """The exit code is 4; no table, no advisory lock and no session are left."""
    container = database.start_container(image, *command, options=slow)
    until(lambda: database.rows(SLEEPING), 60, "the slow revision runs")
    container.signal("TERM")
    until(lambda: not container.running, 8, "the container stops")
    assert container.exit_code == 4, container.logs
    assert database.rows(CURRENT) == ["0015"]
    assert database.rows("SELECT to_regclass('slow')") == [""]
    assert database.rows("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == ["0"]
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'liftlock%'"
    assert database.rows(sessions) == ["0"]


def test_sigterm_ends_the_wait_for_the_database(image: str, network: str) -> None:
    """Process 1 handles the signal."""
    container = Database("missing", network, PASSWORD).start_container(image)
    until(lambda: "waiting for the database" in container.logs, 20, "the container waits")
    container.signal("TERM")
    until(lambda: not container.running, 8, "the container stops")
    assert container.exit_code == 4


def test_password_is_read_from_a_file(image: str, database: Database, tmp_path: Path) -> None:
    """The newline at the end of the file, which editors add, isn't part of the password."""
    secret = tmp_path / "secret"
    secret.write_text(PASSWORD + "\n")
    tmp_path.chmod(0o755)
    secret.chmod(0o644)
    variables = env_options("POSTGRES_PASSWORD=", "POSTGRES_PASSWORD_FILE=/run/secret")
    mount = ["--volume", f"{secret}:/run/secret:ro"]
    done = database.run(image, "liftlock", "upgrade", options=(*variables, *mount))
    assert done.returncode == 0, done.stderr


def test_old_image_starts_on_a_newer_database(
    image: str, database: Database, slow: tuple[str, ...]
) -> None:
    """After a rollback of the release, the service serves and names the unknown revision."""
    release = env_options("LIFTLOCK_RELEASE=next")
    newer = database.run(image, "liftlock", "upgrade", options=(*slow, *release))
    assert newer.returncode == 0, newer.stderr
    old = database.start_container(image)
    until(old.ready, 60, old.logs)
    assert "newer than this build" in old.logs
    assert "0016 (Slow.)" in old.logs
    assert "(next)" in old.logs
