"""The commands of README on a machine that has only Python, git and make."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from docker_helpers import Container, docker, unique
from recaller_helpers import until

pytestmark = pytest.mark.containers

PROCESSES = """
import contextlib, pathlib
for file in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
    with contextlib.suppress(OSError):
        print(file.parent.name, *file.read_text().split("\\0"))
"""
READY = """
import urllib.request
print(urllib.request.urlopen("http://localhost:8000/health/ready").read().decode())
"""


def clone_in(image: str, user: str, home: str) -> Container:
    """Start a container in which a user has cloned the repository and done nothing else."""
    container = Container(unique("newcomer"))
    options = ["--detach", "--user", user, "--workdir", home, "--name", container.name]
    docker("run", *options, image, "sleep", "3600")
    docker("exec", container.name, "git", "clone", "--quiet", "/source", "recaller")
    return container


def processes(container: Container, *words: str) -> list[str]:
    """Return the ids of a container's processes that have one of the words as part of a command."""
    lines = docker("exec", container.name, "python3", "-c", PROCESSES).stdout.splitlines()
    return [line.split()[0] for line in lines if any(word in line for word in words)]


@pytest.fixture(params=[("root", "/root"), ("newcomer", "/home/newcomer")], ids=["root", "user"])
def machine(request: pytest.FixtureRequest, newcomer: str) -> Iterator[tuple[Container, str]]:
    """Start a newcomer's machine, with the clone in the home folder of root or of a user."""
    user, home = request.param
    container = clone_in(newcomer, user, home)
    yield container, f"{home}/recaller"
    docker("rm", "--force", container.name)


def test_make_up_serves_and_stops_cleanly(machine: tuple[Container, str]) -> None:
    """After Ctrl-C only the data are left; the second start is quick."""
    container, folder = machine
    inside = ("exec", "--detach", "--workdir", folder, container.name)

    def ready() -> bool:
        done = docker("exec", container.name, "python3", "-c", READY, check=False)
        return done.returncode == 0

    for seconds in (300, 60):
        docker(*inside, "sh", "-c", "make up >>/tmp/up.log 2>&1")
        until(ready, seconds, "make up serves")
        log = docker("exec", container.name, "cat", "/tmp/up.log", check=False).stdout
        assert "API docs: http://localhost:8000/docs" in log
        # A terminal sends SIGINT to all processes of its foreground group.
        interrupt = f"kill -INT {' '.join(processes(container, '-m recaller'))}"
        docker("exec", container.name, "sh", "-c", interrupt)
        until(
            lambda: not processes(container, "postgres", "recaller"), 30, "all processes have ended"
        )


@pytest.mark.timeout(1800)
def test_make_test_passes(newcomer: str) -> None:
    """The tests that need a Docker engine are skipped, with a line that says why."""
    container = clone_in(newcomer, "newcomer", "/home/newcomer")
    command = ["exec", "--workdir", "/home/newcomer/recaller", container.name, "make", "test"]
    done = docker(*command, check=False, timeout=1500)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "no Docker engine answers" in done.stdout
    docker("rm", "--force", container.name)
