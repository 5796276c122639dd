"""A Docker engine, the base images, and a clone of the repository."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker_helpers import DOCKER, ENVIRONMENT, Database, docker, shell, unique
from recaller_helpers import BACKEND, PASSWORD, wheel

STAND_INS = Path(__file__).parent / "stand_ins"
PYTHON = "python:3.13-slim-bookworm"
POSTGRES = "postgres:18"


@pytest.fixture(scope="session", autouse=True)
def engine() -> None:
    """Skip the tests where no Docker engine answers, but fail in CI; provide the base images."""
    if DOCKER is None or docker("info", check=False).returncode:
        reason = (
            "no Docker engine answers (`docker info` fails): the container tests are skipped;"
            " start one, or run .ci/run as root"
        )
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    _provide(PYTHON, STAND_INS / "python.sh")
    _provide(POSTGRES, STAND_INS / "postgres.sh", str(wheel()))


def _provide(image: str, script: Path, *arguments: str) -> None:
    """Pull an image unless the engine has it; build a stand-in where it can't be pulled."""
    if docker("image", "inspect", image, check=False).returncode == 0:
        return
    if docker("pull", "--quiet", image, check=False).returncode == 0:
        return
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "recaller-stand-ins"
    subprocess.run(
        [script, image, str(cache), *arguments], check=True, env=ENVIRONMENT, timeout=600
    )


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the files that `git clone` gives, with the changes that aren't committed yet."""
    target = tmp_path_factory.mktemp("clone") / "recaller"
    root = BACKEND.parent
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=root, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # deleted, but not committed yet
            shutil.copy(root / name, target / name, follow_symlinks=False)
    return target


@pytest.fixture(scope="session")
def image(clone: Path) -> str:
    """Build the image that migrates at run time, with the guide's command."""
    done = shell("docker build -t recaller-backend ./backend", clone)
    assert done.returncode == 0, done.stdout[-2000:]
    return "recaller-backend"


@pytest.fixture
def network() -> Iterator[str]:
    """Create a network for the test; remove it and its containers afterwards."""
    name = unique("net")
    docker("network", "create", name)
    yield name
    left = docker("ps", "--all", "--quiet", "--filter", f"network={name}").stdout.split()
    if left:
        docker("rm", "--force", "--volumes", *left)
    docker("network", "rm", name)


@pytest.fixture
def database(network: str) -> Database:
    """Start an empty database; its password has special characters."""
    return Database.start(network, PASSWORD)


@pytest.fixture(scope="session")
def newcomer(clone: Path) -> str:
    """Build an image of a newcomer's machine: Python, git, make and an ordinary user.

    The repository to clone is at /source.
    """
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
