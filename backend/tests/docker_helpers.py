"""Helpers that run containers."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from recaller_helpers import until

_numbers = itertools.count(1)
# Debian's client comes first: another one on the path may lack BuildKit.
ENVIRONMENT = {
    **os.environ,
    "PATH": f"/usr/bin:{os.environ['PATH']}",
    "COMPOSE_HTTP_TIMEOUT": "120",
}
DOCKER = shutil.which("docker", path=ENVIRONMENT["PATH"])


def docker(
    *arguments: str, check: bool = True, timeout: float = 300, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the Docker client.

    Parameters:
        arguments: of the client.
        check: fail if the client fails.
        timeout: in seconds.
        variables: environment variables, which `--env NAME` passes to a container.
    """
    if DOCKER is None:
        return subprocess.CompletedProcess(arguments, 127, "", "no docker")
    done = subprocess.run(
        [DOCKER, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**ENVIRONMENT, **variables},
    )
    output = done.stdout + done.stderr
    assert not check or done.returncode == 0, f"docker {' '.join(arguments)}: {output}"
    return done


def shell(
    command: str, folder: Path, *, timeout: float = 900, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command exactly as a guide prints it, with a terminal.

    Parameters:
        command: the line.
        folder: the one that the guide names.
        timeout: in seconds.
        variables: environment variables.
    """
    line = ["script", "--quiet", "--return", "--echo", "never", "--command", command, "/dev/null"]
    return subprocess.run(
        line,
        cwd=folder,
        env={**ENVIRONMENT, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def unique(stem: str) -> str:
    """Return a name that no other test uses."""
    return f"{stem}-{os.getpid()}-{next(_numbers)}"


def env_options(*variables: str) -> list[str]:
    """Return the options of `docker run` that set or pass on environment variables."""
    return [option for variable in variables for option in ("--env", variable)]


@dataclass
class Database:
    """A container that runs PostgreSQL."""

    name: str
    network: str
    password: str

    @classmethod
    def start(cls, network: str, password: str, *options: str, wait: bool = True) -> Database:
        """Start a database, which is reachable as `db` on its network.

        Parameters:
            network: a Docker network; `bridge` doesn't resolve names.
            password: of the role recaller.
            options: of `docker run`.
            wait: until it accepts connections.
        """
        database = cls(unique("db"), network, password)
        alias = [] if network == "bridge" else ["--network-alias", "db"]
        variables = env_options(
            "POSTGRES_USER=recaller", "POSTGRES_PASSWORD", "POSTGRES_DB=recaller"
        )
        start = ["run", "--detach", "--name", database.name, "--network", network]
        docker(*start, *alias, *variables, *options, "postgres:18", POSTGRES_PASSWORD=password)
        if wait:
            until(database.ready, 60, "the database is ready")
        return database

    def ready(self) -> bool:
        """Tell whether it accepts connections over TCP."""
        assert Container(self.name).running, Container(self.name).logs
        done = docker("exec", self.name, "pg_isready", "-h", "127.0.0.1", check=False)
        return done.returncode == 0

    def rows(self, query: str) -> list[str]:
        """Run a query and return its rows as psql prints them, with | between the columns."""
        command = ["psql", "-XAt", "-h", "/run/postgresql", "-U", "recaller", "-c", query]
        return docker("exec", self.name, *command, "recaller").stdout.splitlines()

    @property
    def address(self) -> str:
        """The IP address on its network."""
        template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        return docker("inspect", "--format", template, self.name).stdout.strip()

    def run(
        self,
        image: str,
        *command: str,
        options: tuple[str, ...] = (),
        server: str = "db",
        **variables: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run a container that uses this database until it ends, and remove it.

        Parameters:
            image: of the container.
            command: instead of the image's own.
            options: of `docker run`.
            server: the host name of the database.
            variables: environment variables of the Docker client.
        """
        return docker(
            "run",
            "--rm",
            *self._options(server),
            *options,
            image,
            *command,
            check=False,
            POSTGRES_PASSWORD=self.password,
            **variables,
        )

    def start_container(
        self, image: str, *command: str, options: tuple[str, ...] = (), server: str = "db"
    ) -> Container:
        """Start a container that uses this database; see `run` for the parameters."""
        name = unique("backend")
        docker(
            "run",
            "--detach",
            "--name",
            name,
            *self._options(server),
            *options,
            image,
            *command,
            POSTGRES_PASSWORD=self.password,
        )
        return Container(name)

    def _options(self, server: str) -> list[str]:
        variables = env_options(
            f"POSTGRES_SERVER={server}",
            "POSTGRES_USER=recaller",
            "POSTGRES_PASSWORD",
            "POSTGRES_DB=recaller",
        )
        return ["--network", self.network, *variables]


@dataclass
class Container:
    """A container that was started."""

    name: str

    def inspect(self, template: str) -> str:
        """Return a part of the container's state, as a Go template names it."""
        return docker("inspect", "--format", template, self.name).stdout.strip()

    @property
    def running(self) -> bool:
        """Tell whether it runs."""
        return self.inspect("{{.State.Running}}") == "true"

    @property
    def exit_code(self) -> int:
        """The exit code of its process 1."""
        return int(self.inspect("{{.State.ExitCode}}"))

    @property
    def logs(self) -> str:
        """All output so far."""
        done = docker("logs", self.name)
        return done.stdout + done.stderr

    def ready(self) -> bool:
        """Tell whether its service is ready."""
        command = ["python", "-m", "recaller.healthcheck"]
        return docker("exec", self.name, *command, check=False).returncode == 0

    def signal(self, name: str) -> None:
        """Send a signal to its process 1."""
        docker("kill", "--signal", name, self.name)
