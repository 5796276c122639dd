"""Running containers in tests."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_numbers = itertools.count(1)
# Debian's client before others: another one may come without BuildKit.
ENVIRONMENT = {
    **os.environ,
    "PATH": f"/usr/bin:{os.environ['PATH']}",
    "COMPOSE_HTTP_TIMEOUT": "120",
}
DOCKER = shutil.which("docker", path=ENVIRONMENT["PATH"])


def docker(
    *arguments: str, check: bool = True, timeout: float = 300, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run the Docker client."""
    if DOCKER is None:
        return subprocess.CompletedProcess(arguments, 127, "", "no docker")
    done = subprocess.run(
        [DOCKER, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**ENVIRONMENT, **more},
    )
    assert not check or done.returncode == 0, (
        f"docker {' '.join(arguments)}: {done.stdout}{done.stderr}"
    )
    return done


def shell(
    command: str, folder: Path, *, timeout: float = 900, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a command of the guide, letter by letter, with a terminal as a person has one."""
    line = ["script", "--quiet", "--return", "--echo", "never", "--command", command, "/dev/null"]
    return subprocess.run(
        line,
        cwd=folder,
        env={**ENVIRONMENT, **more},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def unique(stem: str) -> str:
    """A name that no other test uses."""
    return f"{stem}-{os.getpid()}-{next(_numbers)}"


def until(condition: Callable[[], bool], seconds: float, what: str) -> float:
    """Wait for something; returns how long it took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, f"not within {seconds} s: {what}"
        time.sleep(0.1)
    return time.monotonic() - started


@dataclass
class Database:
    """A PostgreSQL container."""

    name: str
    network: str
    password: str

    @classmethod
    def start(cls, network: str, password: str, *options: str, wait: bool = True) -> Database:
        """Start one, as `db` on the network."""
        database = cls(unique("db"), network, password)
        variables = [
            "-e",
            "POSTGRES_USER=recaller",
            "-e",
            "POSTGRES_PASSWORD",
            "-e",
            "POSTGRES_DB=recaller",
        ]
        where = ["--network", network, *(["--network-alias", "db"] if network != "bridge" else [])]
        docker(
            "run",
            "--detach",
            "--name",
            database.name,
            *where,
            *variables,
            *options,
            "postgres:18",
            POSTGRES_PASSWORD=password,
        )
        if wait:
            until(database.ready, 60, "the database is ready")
        return database

    def ready(self) -> bool:
        """Whether it answers by TCP."""
        assert Container(self.name).running, Container(self.name).logs
        return (
            docker("exec", self.name, "pg_isready", "-h", "127.0.0.1", check=False).returncode == 0
        )

    def rows(self, query: str) -> list[str]:
        """The lines of a query's answer."""
        command = [
            "psql",
            "-XAt",
            "-h",
            "/run/postgresql",
            "-U",
            "recaller",
            "-c",
            query,
            "recaller",
        ]
        return docker("exec", self.name, *command).stdout.splitlines()

    @property
    def address(self) -> str:
        """Its address on its network."""
        return docker(
            "inspect",
            "--format",
            "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}",
            self.name,
        ).stdout.strip()

    def run(
        self,
        image: str,
        *command: str,
        options: tuple[str, ...] = (),
        server: str = "db",
        **more: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run a container of an image on this database, to its end."""
        return docker(
            "run",
            "--rm",
            *self._options(server, options),
            image,
            *command,
            check=False,
            POSTGRES_PASSWORD=self.password,
            **more,
        )

    def start_container(
        self, image: str, *command: str, options: tuple[str, ...] = (), server: str = "db"
    ) -> Container:
        """Start a container of an image on this database."""
        name = unique("backend")
        docker(
            "run",
            "--detach",
            "--name",
            name,
            *self._options(server, options),
            image,
            *command,
            POSTGRES_PASSWORD=self.password,
        )
        return Container(name)

    def _options(self, server: str, options: tuple[str, ...]) -> list[str]:
        variables = [
            "-e",
            f"POSTGRES_SERVER={server}",
            "-e",
            "POSTGRES_USER=recaller",
            "-e",
            "POSTGRES_PASSWORD",
            "-e",
            "POSTGRES_DB=recaller",
        ]
        return ["--network", self.network, *variables, *options]


@dataclass
class Container:
    """A container that was started."""

    name: str

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return (
            docker("inspect", "--format", "{{.State.Running}}", self.name).stdout.strip() == "true"
        )

    @property
    def exit_code(self) -> int:
        """What it ended with."""
        return int(docker("inspect", "--format", "{{.State.ExitCode}}", self.name).stdout)

    @property
    def logs(self) -> str:
        """All that it wrote."""
        done = docker("logs", self.name)
        return done.stdout + done.stderr

    def ready(self) -> bool:
        """Whether its service says so."""
        return (
            docker(
                "exec", self.name, "python", "-m", "recaller.healthcheck", check=False
            ).returncode
            == 0
        )

    def signal(self, name: str) -> None:
        """Send a signal to its process 1."""
        docker("kill", "--signal", name, self.name)
