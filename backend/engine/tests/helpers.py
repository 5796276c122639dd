"""What tests share: addresses, rows, dumps, and projects to run commands on."""

from __future__ import annotations

import contextlib
import os
import pwd
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

import psycopg
from alembic import command
from alembic.config import Config
from sqlalchemy.engine import URL

from liftlock.settings import Address
from liftlock.shadow import embedded

PASSWORD = "p@ss/w%rd:#'\" é$"
"""A password may hold any character."""
PROJECTS = Path(__file__).parent / "projects"


def at(server: Address, dbname: str, **changes: str) -> Address:
    """An address on the same server."""
    given = {
        "host": server.host,
        "port": server.port,
        "user": server.user,
        "password": server.password,
        "dbname": dbname,
    }
    return Address(**{**given, **changes})  # type: ignore[arg-type]


@contextlib.contextmanager
def connected(address: Address, **options: Any) -> Iterator[psycopg.Connection[Any]]:
    """A session in autocommit."""
    with psycopg.connect(**address.keywords(), autocommit=True, **options) as session:
        yield session


def rows(address: Address, query: str) -> list[Any]:
    """The rows of a query, as plain values where there is one column."""
    with connected(address) as session:
        found = session.execute(query).fetchall()
    return [row[0] if len(row) == 1 else row for row in found]


def dump(address: Address) -> str:
    """The schema, as pg_dump sees it, without the ledger."""
    variables = {
        "PGHOST": address.host,
        "PGPORT": address.port,
        "PGUSER": address.user,
        "PGPASSWORD": address.password or "",
    }
    arguments = [
        embedded.program("pg_dump"),
        "--schema-only",
        "--exclude-schema=liftlock",
        address.dbname,
    ]
    done = subprocess.run(arguments, env=variables, capture_output=True, text=True, check=True)
    return "\n".join(
        line
        for line in done.stdout.splitlines()
        if not line.startswith(("\\restrict", "\\unrestrict"))
    )


@contextlib.contextmanager
def standby_of(primary: Address, folder: Path, *, hot_standby: str = "on") -> Iterator[Address]:
    """A real standby of a server that trusts replication; it may be still starting up."""
    data = folder / "data"
    copy = [
        "-h",
        primary.host,
        "-p",
        primary.port,
        "-U",
        "postgres",
        "-D",
        str(data),
        "-R",
        "-c",
        "fast",
    ]
    subprocess.run(
        [embedded.program("pg_basebackup"), *copy],
        check=True,
        capture_output=True,
        env={"PGPASSWORD": PASSWORD},
    )
    if os.geteuid() == 0:
        user = pwd.getpwnam("nobody")
        for path in [data, *data.rglob("*")]:
            os.chown(path, user.pw_uid, user.pw_gid)
    port, postgres = str(embedded.free_ports()[0]), embedded.program("postgres")
    settings = [
        "-c",
        f"port={port}",
        "-c",
        f"hot_standby={hot_standby}",
        "-c",
        "unix_socket_directories=",
    ]
    command_line = [*embedded.as_postgres(postgres, data), postgres, "-D", str(data), *settings]
    process = subprocess.Popen(command_line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield Address(
            host="127.0.0.1", port=port, user="postgres", password=PASSWORD, dbname="postgres"
        )
    finally:
        process.terminate()
        process.wait(20)


@dataclass
class Project:
    """An Alembic project in a folder, and the database its ini names."""

    folder: Path
    database: Address

    @property
    def versions(self) -> Path:
        """Where its revisions are."""
        return self.folder / "migrations" / "versions"

    @property
    def ini(self) -> str:
        """Its alembic.ini."""
        return str(self.folder / "alembic.ini")

    def env(self, text: str) -> None:
        """Replace its env.py."""
        (self.folder / "migrations" / "env.py").write_text(text)

    def revision(
        self, name: str, down: str | tuple[str, ...] | None, upgrade: str, downgrade: str = "pass"
    ) -> Path:
        """Add a revision; returns its file."""
        path = self.versions / f"{name}.py"
        body = [f'"""{name}"""', "import time", "from alembic import op", "import sqlalchemy as sa"]
        body += [f"revision = {name!r}", f"down_revision = {down!r}"]
        for function, lines in (("upgrade", upgrade), ("downgrade", downgrade)):
            body += [f"def {function}():", *(f"    {line}" for line in lines.splitlines())]
        path.write_text("\n".join(body) + "\n")
        Path(cache_from_source(path)).unlink(
            missing_ok=True
        )  # it would be taken for this file's if that is as long and of the same second
        return path

    def variables(self, **more: str) -> dict[str, str]:
        """The environment for a command: without an address, since the ini has it."""
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("POSTGRES_", "DATABASE_URL", "LIFTLOCK_"))
        }
        bin_folder = str(Path(sys.executable).parent)
        return {
            **kept,
            "PATH": f"{bin_folder}:{kept['PATH']}",
            "LIFTLOCK_WAIT": "5",
            "PYTHONWARNINGS": "default",
            **more,
        }

    def run(
        self, *arguments: str, program: str = "liftlock", timeout: float = 120, **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on it, to its end."""
        command_line = [program, "-c", self.ini, *arguments]
        done = subprocess.run(
            command_line,
            cwd=self.folder,
            env=self.variables(**more),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        secret = self.database.password or "-"
        assert secret not in done.stdout + done.stderr, "a password was shown"
        assert "Traceback" not in done.stderr or program == "alembic", done.stderr
        return done

    def start(self, *arguments: str, **more: str) -> subprocess.Popen[str]:
        """Start a command on it."""
        command_line = ["liftlock", "-c", self.ini, *arguments]
        return subprocess.Popen(
            command_line,
            cwd=self.folder,
            env=self.variables(**more),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def until(so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + 60
    while not so():
        assert time.monotonic() < end
        time.sleep(0.02)


def until_it_says(running: subprocess.Popen[str], text: str) -> str:
    """Wait until a command has written the text to its standard error; returns all it wrote, which `communicate` doesn't give again."""
    assert running.stderr
    said, end = b"", time.monotonic() + 60
    while text.encode() not in said:
        assert select.select([running.stderr], [], [], end - time.monotonic())[0], said.decode()
        more = os.read(running.stderr.fileno(), 4096)
        assert more, said.decode()
        said += more
    return said.decode()


def begun_project(
    folder: Path, database: Address, body: str, *, driver: str = "psycopg"
) -> Project:
    """A project whose first revision is applied, and whose second, of this body, is to be run."""
    project = make_project(folder, database, driver=driver)
    project.revision("r0", None, "pass")
    assert project.run("upgrade").returncode == 0
    project.revision("r1", "r0", body)
    return project


def make_project(
    folder: Path,
    database: Address,
    *,
    template: str | None = None,
    driver: str = "psycopg",
    revisions: str | None = None,
) -> Project:
    """A project as `alembic init` makes it there, with nothing changed but the URL in its ini; for asyncpg, of the async template."""
    template = template or ("async" if driver == "asyncpg" else "generic")
    config = Config(str(folder / "alembic.ini"))
    command.init(config, str(folder / "migrations"), template=template)
    parts = {
        "username": database.user,
        "password": database.password,
        "host": database.host,
        "database": database.dbname,
    }
    url = URL.create(f"postgresql+{driver}", port=int(database.port), **parts).render_as_string(
        hide_password=False
    )
    ini = folder / "alembic.ini"
    given = {"sqlalchemy.url": url.replace("%", "%%"), "script_location": "%(here)s/migrations"}
    lines = [
        f"{name} = {given[name]}" if (name := line.partition(" = ")[0]) in given else line
        for line in ini.read_text().splitlines()
    ]
    ini.write_text("\n".join(lines))
    for source in (PROJECTS / revisions).glob("*.py") if revisions else []:
        shutil.copy(source, folder / "migrations" / "versions")
    return Project(folder, database)
