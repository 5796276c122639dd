"""Every command of the guide, letter by letter, in real containers, from the folder that the guide says."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from docker_helpers import ENVIRONMENT, Container, Database, docker, shell, unique, until
from recaller_helpers import PASSWORD

pytestmark = pytest.mark.containers

HEAD = "0015"
SECRET = "B4sic-s3cret"


def answers(port: int = 8000) -> bool:
    """Whether the published service is ready."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/ready", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


class Compose:
    """`docker-compose … up`, running in the foreground."""

    def __init__(self, clone: Path, command: str, password: str) -> None:
        self.clone, self.variables = clone, {**ENVIRONMENT, "POSTGRES_PASSWORD": password}
        self.files = command.split(" up", maxsplit=1)[0]
        self.log = clone / "compose.log"
        with self.log.open("w") as out:
            self.process = subprocess.Popen(
                command.split(),
                cwd=clone,
                env=self.variables,
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
            )

    def container(self, service: str) -> Container:
        """A service's container."""
        done = subprocess.run(
            [*self.files.split(), "ps", "-q", service],
            cwd=self.clone,
            env=self.variables,
            capture_output=True,
            text=True,
            check=True,
        )
        return Container(done.stdout.strip())

    def stop(self) -> None:
        """Ctrl-C, and away with it all."""
        self.process.terminate()
        self.process.wait(60)
        subprocess.run(
            [*self.files.split(), "down", "--volumes"],
            cwd=self.clone,
            env=self.variables,
            check=True,
            capture_output=True,
        )


@pytest.fixture
def composed(clone: Path, request: pytest.FixtureRequest) -> Iterator[Compose]:
    """A compose command of the guide, with the service answering on port 8000."""
    compose = Compose(clone, request.param, PASSWORD)
    try:
        until(answers, 300, compose.log.read_text())
        yield compose
    finally:
        compose.stop()


@pytest.mark.parametrize("composed", ["docker-compose up --build"], indirect=True)
def test_runtime_and_manual_by_compose(composed: Compose) -> None:
    """Up; then the manual script in the container, and a container for one command."""
    backend = composed.container("backend")
    assert "finished 0001" in backend.logs
    until(
        lambda: (
            json.loads(docker("inspect", backend.name).stdout)[0]["State"]["Health"]["Status"]
            == "healthy"
        ),
        90,
        "HEALTHCHECK",
    )
    for command in (
        "docker-compose exec backend ./run-migrations.sh",
        "docker-compose run --rm backend alembic upgrade head",
    ):
        done = shell(command, composed.clone, POSTGRES_PASSWORD=PASSWORD)
        assert done.returncode == 0, done.stdout
        assert "nothing to do" in done.stdout
    assert PASSWORD not in backend.logs


BUILD_TIME = (
    "docker-compose -f docker-compose.yml -f docker-compose.build-migrations.yml up --build"
)


@pytest.mark.parametrize("composed", [BUILD_TIME], indirect=True)
def test_build_time_by_compose(composed: Compose) -> None:
    """On a clean machine: the database comes up migrated, and the backend migrates nothing."""
    backend = composed.container("backend")
    assert "as this build needs it" in backend.logs or "liftlock" not in backend.logs
    assert "applying" not in backend.logs
    snapshot = docker(
        "exec", composed.container("db").name, "ls", "/docker-entrypoint-initdb.d"
    ).stdout
    assert "10-recaller.sql" in snapshot


def test_runtime_by_docker(image: str, database: Database) -> None:
    """`docker build -t recaller-backend ./backend`, then `docker run -e POSTGRES_… recaller-backend`."""
    container = database.start_container(image)
    until(container.ready, 60, container.logs)
    assert database.rows("SELECT version_num FROM alembic_version") == [HEAD]
    assert docker("exec", container.name, "id", "-u").stdout.strip() == "10001", "not root"
    first = docker("exec", container.name, "cat", "/proc/1/cmdline").stdout
    assert first.startswith("python\0-m\0recaller"), "the service is process 1"
    assert docker("exec", container.name, "pg_isready", "-h", "db").returncode == 0


def test_manual_on_the_host(clone: Path, database: Database) -> None:
    """`./run-migrations.sh` from `backend/`."""
    (clone / "backend" / ".venv").symlink_to(Path(__file__).parents[2] / ".venv")
    variables = {
        "POSTGRES_SERVER": database.address,
        "POSTGRES_USER": "recaller",
        "POSTGRES_PASSWORD": PASSWORD,
        "POSTGRES_DB": "recaller",
    }
    done = shell("./run-migrations.sh", clone / "backend", **variables)
    (clone / "backend" / ".venv").unlink()
    assert done.returncode == 0, done.stdout
    assert database.rows("SELECT version_num FROM alembic_version") == [HEAD]


def test_production_job(clone: Path, database: Database) -> None:
    """A job migrates; the container only requires, on a read-only root file system, without capabilities, as any user."""
    done = shell(
        "docker build -f backend/Dockerfile.prod -t recaller-backend:latest ./backend", clone
    )
    assert done.returncode == 0, done.stdout[-2000:]
    hard = (
        "--read-only",
        "--tmpfs",
        "/tmp",
        "--cap-drop",
        "ALL",
        "--user",
        "20001:20001",
        "--security-opt",
        "no-new-privileges",
    )
    service = database.start_container("recaller-backend:latest", options=hard)
    until(lambda: "waiting for another process to migrate" in service.logs, 30, "it waits")
    assert database.rows("SELECT to_regclass('alembic_version')") == [""]
    done = database.run("recaller-backend:latest", "alembic", "upgrade", "head", options=hard)
    assert done.returncode == 0, done.stderr
    until(service.ready, 60, "it serves")
    assert '"event": "service.started"' in service.logs, "logs are JSON"
    shell("docker build -t recaller-backend ./backend", clone)


def build_command(server: str, password: str, tag: str, more: str = "") -> str:
    """The guide's build form."""
    given = f"--build-arg POSTGRES_SERVER={server} --build-arg POSTGRES_USER=recaller --build-arg POSTGRES_PASSWORD={password}"
    return f"docker build -f Dockerfile.build-migrations {given} --build-arg POSTGRES_DB=recaller {more}-t {tag} ./backend"


@pytest.mark.parametrize("buildkit", ["0", "1"])
def test_build_time_migrates_a_database(clone: Path, buildkit: str) -> None:
    """With the classic builder and with BuildKit; the password is in no layer and not in the history."""
    database = Database.start("bridge", SECRET)
    tag = unique("recaller-built")
    try:
        command = build_command(database.address, SECRET, tag, f"--build-arg MIGRATE_AT={tag} ")
        done = shell(command, clone, DOCKER_BUILDKIT=buildkit)
        assert done.returncode == 0, done.stdout[-2000:]
        assert database.rows("SELECT version_num FROM alembic_version") == [HEAD]
        assert database.rows("SELECT count(*) FROM liftlock.revisions") == ["15"]
        assert (
            SECRET
            not in docker("history", "--no-trunc", tag).stdout + docker("inspect", tag).stdout
        )
        assert not _holds(tag, SECRET.encode())
        kept = docker("run", "--rm", "--entrypoint", "cat", tag, "liftlock.json").stdout
        assert json.loads(kept)["required"] == [HEAD]
        assert (
            "CREATE TABLE public.people"
            in docker("run", "--rm", "--entrypoint", "cat", tag, "snapshot.sql").stdout
        )
        served = database.start_container(tag, server=database.address)
        until(served.ready, 60, served.logs)
        assert "applying" not in served.logs
        docker("rm", "--force", served.name)
    finally:
        docker("rm", "--force", "--volumes", database.name)
        docker("rmi", "--force", tag, check=False)


def _holds(image: str, secret: bytes) -> bool:
    """Whether any file of any layer of an image holds some bytes."""
    saved = subprocess.run(
        ["docker", "save", image], env=ENVIRONMENT, capture_output=True, check=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(saved)) as layers:
        for layer in layers:
            content = layers.extractfile(layer)
            if content is not None and secret in content.read():
                return True
    return False


def test_a_secret_in_a_layer_would_be_found(tmp_path: Path) -> None:
    """The test above can fail."""
    (tmp_path / "Dockerfile").write_text(f"FROM postgres:18\nRUN echo {SECRET} > /secret\n")
    tag = unique("recaller-leak")
    docker("build", "--tag", tag, str(tmp_path))
    assert _holds(tag, SECRET.encode())
    docker("rmi", tag)


def test_build_time_without_a_database(clone: Path) -> None:
    """The chain is proven on a throwaway server, and nothing else is touched."""
    tag = unique("recaller-built")
    done = shell(f"docker build -f Dockerfile.build-migrations -t {tag} ./backend", clone)
    assert done.returncode == 0, done.stdout[-2000:]
    manifest = json.loads(docker("run", "--rm", "--entrypoint", "cat", tag, "liftlock.json").stdout)
    assert manifest["postgres"].startswith("18")
    assert len(manifest["fingerprints"]) == 15
    docker("rmi", "--force", tag, check=False)


@pytest.mark.parametrize("folder", [".", "backend"])
def test_build_time_with_a_database_that_is_not_there(clone: Path, folder: str) -> None:
    """The build fails, in bounded time, and says what to start; the full path of the file works too."""
    command = build_command("127.0.0.1", SECRET, unique("never"), "--build-arg LIFTLOCK_WAIT=2 ")
    if folder == "backend":
        command = command.replace("-f Dockerfile", "-f backend/Dockerfile")
    done = shell(command, clone)
    assert done.returncode != 0
    assert "LL-REVISION-FAILS" in done.stdout
    assert "Start the database" in done.stdout
