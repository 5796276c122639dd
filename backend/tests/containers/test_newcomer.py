"""README's two commands, on a machine with only Python, git and make."""

from __future__ import annotations

import pytest
from docker_helpers import Container, docker, unique, until

pytestmark = pytest.mark.containers

PROCESSES = """
import contextlib, pathlib
for file in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
    with contextlib.suppress(OSError):
        print(file.parent.name, *file.read_text().split("\\0"))
"""
READY = "import urllib.request; print(urllib.request.urlopen('http://localhost:8000/health/ready').read().decode())"


def clone_in(image: str, user: str, home: str) -> Container:
    """A container in which the user has cloned the repository, and nothing else."""
    container = Container(unique("newcomer"))
    docker(
        "run",
        "--detach",
        "--user",
        user,
        "--workdir",
        home,
        "--name",
        container.name,
        image,
        "sleep",
        "3600",
    )
    docker("exec", container.name, "git", "clone", "--quiet", "/source", "recaller")
    return container


def processes(container: Container, *words: str) -> list[str]:
    """The numbers of a container's processes whose command lines have one of these words."""
    lines = docker("exec", container.name, "python3", "-c", PROCESSES).stdout.splitlines()
    return [line.split()[0] for line in lines if any(word in line for word in words)]


@pytest.fixture(params=[("root", "/root"), ("newcomer", "/home/newcomer")], ids=["root", "user"])
def machine(request: pytest.FixtureRequest, newcomer: str):
    """A newcomer's machine: as root, in root's closed home folder, and as a user."""
    user, home = request.param
    container = clone_in(newcomer, user, home)
    yield container, f"{home}/recaller"
    docker("rm", "--force", container.name)


def test_make_up_serves_and_stops_cleanly(machine: tuple[Container, str]) -> None:
    """A real service on port 8000, and after Ctrl-C nothing is left but the data; the second start is quick."""
    container, folder = machine
    for seconds in (300, 60):
        docker(
            "exec",
            "--detach",
            "--workdir",
            folder,
            container.name,
            "sh",
            "-c",
            "make up >>/tmp/up.log 2>&1",
        )

        def ready() -> bool:
            return (
                docker("exec", container.name, "python3", "-c", READY, check=False).returncode == 0
            )

        def log() -> str:
            return docker("exec", container.name, "cat", "/tmp/up.log", check=False).stdout

        until(ready, seconds, "make up serves")
        assert "API docs: http://localhost:8000/docs" in log()
        docker(
            "exec",
            container.name,
            "sh",
            "-c",
            f"kill -INT {' '.join(processes(container, '-m recaller'))}",
        )  # as a terminal does
        until(
            lambda: not processes(container, "postgres", "recaller"), 30, "nothing is left running"
        )


@pytest.mark.timeout(1800)
def test_make_test_passes(newcomer: str) -> None:
    """All checks and tests that need no Docker engine; the others are skipped, with a line that says why."""
    container = clone_in(newcomer, "newcomer", "/home/newcomer")
    done = docker(
        "exec",
        "--workdir",
        "/home/newcomer/recaller",
        container.name,
        "make",
        "test",
        check=False,
        timeout=1500,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "no Docker engine answers" in done.stdout
    docker("rm", "--force", container.name)
