"""The commands of the guides, exactly as printed, in real containers and the guide's folder."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from docker_helpers import ENVIRONMENT, Container, Database, docker, shell, unique
from recaller_helpers import BACKEND, PASSWORD, until

pytestmark = pytest.mark.containers

HEAD = "0015"
SECRET = "B4sic-s3cret"
CURRENT = "SELECT version_num FROM alembic_version"
AT_RUN_TIME = "docker-compose up --build"
AT_BUILD_TIME = (
    "docker-compose -f docker-compose.yml -f docker-compose.build-migrations.yml up --build"
)
LOCKED_DOWN = (
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


def is_ready() -> bool:
    """Tell whether the service on port 8000 is ready."""
    try:
        return httpx.get("http://127.0.0.1:8000/health/ready", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


class Compose:
    """`docker-compose … up`, running in the foreground.

    Parameters:
        clone: the folder of the compose files.
        command: the guide's.
        password: of the database.
    """

    def __init__(self, clone: Path, command: str, password: str) -> None:
        self.clone = clone
        self.variables = {**ENVIRONMENT, "POSTGRES_PASSWORD": password}
        self.with_files = command.split(" up", maxsplit=1)[0].split()
        self.log = clone / "compose.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command.split(),
                cwd=clone,
                env=self.variables,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def container(self, service: str) -> Container:
        """Return the container of a service."""
        return Container(self._run("ps", "-q", service).strip())

    def stop(self) -> None:
        """End the command as Ctrl-C does, and remove the containers and their data."""
        self.process.terminate()
        self.process.wait(60)
        self._run("down", "--volumes")

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self.with_files, *arguments],
            cwd=self.clone,
            env=self.variables,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout


@pytest.fixture
def composed(clone: Path, request: pytest.FixtureRequest) -> Iterator[Compose]:
    """Run a compose command of the guide until the service is ready."""
    compose = Compose(clone, request.param, PASSWORD)
    try:
        until(is_ready, 300, compose.log.read_text())
        yield compose
    finally:
        compose.stop()


@pytest.mark.parametrize("composed", [AT_RUN_TIME], indirect=True)
def test_compose_migrates_at_run_time_and_by_hand(composed: Compose) -> None:
    """The script in the running container and a container for one command find nothing to do."""
    backend = composed.container("backend")
    assert "finished 0001" in backend.logs
    until(
        lambda: backend.inspect("{{.State.Health.Status}}") == "healthy",
        90,
        "HEALTHCHECK succeeds",
    )
    for command in (
        "docker-compose exec backend ./run-migrations.sh",
        "docker-compose run --rm backend alembic upgrade head",
    ):
        done = shell(command, composed.clone, POSTGRES_PASSWORD=PASSWORD)
        assert done.returncode == 0, done.stdout
        assert "nothing to do" in done.stdout
    assert PASSWORD not in backend.logs


@pytest.mark.parametrize("composed", [AT_BUILD_TIME], indirect=True)
def test_compose_with_migrations_at_build_time(composed: Compose) -> None:
    """On a clean machine the database starts migrated, and the backend migrates nothing."""
    backend = composed.container("backend")
    assert "as this build needs it" in backend.logs or "liftlock" not in backend.logs
    assert "applying" not in backend.logs
    database = composed.container("db").name
    scripts = docker("exec", database, "ls", "/docker-entrypoint-initdb.d").stdout
    assert "10-recaller.sql" in scripts


def test_container_migrates_at_run_time(image: str, database: Database) -> None:
    """The service is process 1, isn't root, and its image has pg_isready."""
    container = database.start_container(image)
    until(container.ready, 60, container.logs)
    assert database.rows(CURRENT) == [HEAD]
    assert docker("exec", container.name, "id", "-u").stdout.strip() == "10001"
    first_process = docker("exec", container.name, "cat", "/proc/1/cmdline").stdout
    assert first_process.startswith("python\0-m\0recaller")
    assert docker("exec", container.name, "pg_isready", "-h", "db").returncode == 0


def test_script_migrates_from_the_host(clone: Path, database: Database) -> None:
    """`./run-migrations.sh` is run in `backend/`."""
    environment = clone / "backend" / ".venv"
    environment.symlink_to(BACKEND / ".venv")
    variables = {
        "POSTGRES_SERVER": database.address,
        "POSTGRES_USER": "recaller",
        "POSTGRES_PASSWORD": PASSWORD,
        "POSTGRES_DB": "recaller",
    }
    done = shell("./run-migrations.sh", clone / "backend", **variables)
    environment.unlink()
    assert done.returncode == 0, done.stdout
    assert database.rows(CURRENT) == [HEAD]


def test_production_container_requires_the_schema_that_a_job_migrates(
    clone: Path, database: Database
) -> None:
    """Both run as any user, without capabilities, on a read-only root file system."""
    image = "recaller-backend:latest"
    built = shell(f"docker build -f backend/Dockerfile.prod -t {image} ./backend", clone)
    assert built.returncode == 0, built.stdout[-2000:]
    service = database.start_container(image, options=LOCKED_DOWN)
    until(lambda: "waiting for another process to migrate" in service.logs, 30, "the service waits")
    assert database.rows("SELECT to_regclass('alembic_version')") == [""]
    job = database.run(image, "alembic", "upgrade", "head", options=LOCKED_DOWN)
    assert job.returncode == 0, job.stderr
    until(service.ready, 60, "the service is ready")
    assert '"event": "service.started"' in service.logs, "the log isn't JSON"
    shell("docker build -t recaller-backend ./backend", clone)


def build_command(server: str, password: str, tag: str, *arguments: str) -> str:
    """Return the guide's command that migrates a database during the build.

    Parameters:
        server: host of the database.
        password: of the database.
        tag: of the image.
        arguments: further build arguments, as NAME=value.
    """
    named = (
        f"POSTGRES_SERVER={server}",
        "POSTGRES_USER=recaller",
        f"POSTGRES_PASSWORD={password}",
        "POSTGRES_DB=recaller",
        *arguments,
    )
    options = " ".join(f"--build-arg {argument}" for argument in named)
    return f"docker build -f Dockerfile.build-migrations {options} -t {tag} ./backend"


def read(image: str, path: str) -> str:
    """Return the text of a file in an image."""
    return docker("run", "--rm", "--entrypoint", "cat", image, path).stdout


@pytest.mark.parametrize("buildkit", ["0", "1"])
def test_build_migrates_a_database(clone: Path, buildkit: str) -> None:
    """With the classic builder and BuildKit; no layer and no history holds the password."""
    database = Database.start("bridge", SECRET)
    tag = unique("recaller-built")
    try:
        command = build_command(database.address, SECRET, tag, f"MIGRATE_AT={tag}")
        built = shell(command, clone, DOCKER_BUILDKIT=buildkit)
        assert built.returncode == 0, built.stdout[-2000:]
        assert database.rows(CURRENT) == [HEAD]
        assert database.rows("SELECT count(*) FROM liftlock.revisions") == ["15"]
        assert SECRET not in docker("history", "--no-trunc", tag).stdout
        assert SECRET not in docker("inspect", tag).stdout
        assert not layers_hold(tag, SECRET.encode())
        assert json.loads(read(tag, "liftlock.json"))["required"] == [HEAD]
        assert "CREATE TABLE public.people" in read(tag, "snapshot.sql")
        service = database.start_container(tag, server=database.address)
        until(service.ready, 60, service.logs)
        assert "applying" not in service.logs
        docker("rm", "--force", service.name)
    finally:
        docker("rm", "--force", "--volumes", database.name)
        docker("rmi", "--force", tag, check=False)


def layers_hold(image: str, secret: bytes) -> bool:
    """Tell whether any file of any layer of an image holds these bytes."""
    saved = subprocess.run(
        ["docker", "save", image], env=ENVIRONMENT, capture_output=True, check=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(saved)) as layers:
        files = (layers.extractfile(layer) for layer in layers)
        return any(file is not None and secret in file.read() for file in files)


def test_secret_in_a_layer_is_found(tmp_path: Path) -> None:
    """The search of the layers, which other tests expect to find nothing, can find something."""
    (tmp_path / "Dockerfile").write_text(f"FROM postgres:18\nRUN echo {SECRET} > /secret\n")
    tag = unique("recaller-leak")
    docker("build", "--tag", tag, str(tmp_path))
    assert layers_hold(tag, SECRET.encode())
    docker("rmi", tag)


def test_build_without_a_database_checks_the_revisions(clone: Path) -> None:
    """They run on a temporary server during the build; the manifest holds the result."""
    tag = unique("recaller-built")
    built = shell(f"docker build -f Dockerfile.build-migrations -t {tag} ./backend", clone)
    assert built.returncode == 0, built.stdout[-2000:]
    manifest = json.loads(read(tag, "liftlock.json"))
    assert manifest["postgres"].startswith("18")
    assert len(manifest["fingerprints"]) == 15
    docker("rmi", "--force", tag, check=False)


@pytest.mark.parametrize("folder", [".", "backend"])
def test_build_fails_if_the_database_is_missing(clone: Path, folder: str) -> None:
    """It fails within LIFTLOCK_WAIT and says what to start, for both paths of the Dockerfile."""
    command = build_command("127.0.0.1", SECRET, unique("never"), "LIFTLOCK_WAIT=2")
    if folder == "backend":
        command = command.replace("-f Dockerfile", "-f backend/Dockerfile")
    built = shell(command, clone)
    assert built.returncode != 0
    assert "LL-REFUSED" in built.stdout
    assert "Start the database" in built.stdout
