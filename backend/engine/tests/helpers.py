"""Helpers that all tests share: addresses, rows, schema dumps, projects, waits and assertions."""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy
from alembic import command
from alembic.config import Config
from sqlalchemy.engine import URL

from liftlock.settings import Address
from liftlock.shadow import embedded

PASSWORD = "p@ss/w%rd:#'\" é$"
"""Contains characters that need quoting in URLs, INI files, SQL and shells."""
PROJECTS = Path(__file__).parent / "projects"
HAS_SQLALCHEMY_2 = not sqlalchemy.__version__.startswith("1.")
ALL_TABLES_LARGE = {"LIFTLOCK_SMALL_TABLE": "0"}
"""Makes liftlock treat even a tiny table as one that needs the online form of an operation."""
NOWHERE = Address(host="nowhere.invalid", port="1", user="nobody", password=PASSWORD, dbname="none")
"""The address of no server, for projects whose database must not be contacted."""


def at(server: Address, dbname: str, **changes: str) -> Address:
    """Return the address of another database on the same server."""
    given = {name: getattr(server, name) for name in ("host", "port", "user", "password")}
    return Address(**{**given, "dbname": dbname, **changes})


def url_of(address: Address, driver: str = "") -> str:
    """Return the address as a URL with its password."""
    dialect = f"postgresql+{driver}" if driver else "postgresql"
    parts = {
        "username": address.user,
        "password": address.password,
        "host": address.host,
        "port": int(address.port),
        "database": address.dbname,
    }
    return URL.create(dialect, **parts).render_as_string(hide_password=False)


@contextlib.contextmanager
def connected(address: Address, **options: Any) -> Iterator[psycopg.Connection[Any]]:
    """Open a session in autocommit mode."""
    with psycopg.connect(**address.keywords(), autocommit=True, **options) as session:
        yield session


@contextlib.contextmanager
def in_transaction(address: Address, **options: Any) -> Iterator[psycopg.Connection[Any]]:
    """Open a session whose statements share a transaction, which is committed at the end."""
    with psycopg.connect(**address.keywords(), **options) as session:
        yield session


def rows(address: Address, query: str) -> list[Any]:
    """Return the rows of a query; rows of one column as plain values."""
    with connected(address) as session:
        fetched = session.execute(query).fetchall()
    return [row[0] if len(row) == 1 else row for row in fetched]


def dump(address: Address) -> str:
    """Return the schema as pg_dump prints it, without the ledger."""
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
    """Run a standby of a server that trusts replication; it may still be starting up."""
    data = folder / "data"
    copy = ["-h", primary.host, "-p", primary.port, "-U", "postgres"]
    copy += ["-D", str(data), "-R", "-c", "fast"]
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
    port = str(embedded.free_ports()[0])
    postgres = embedded.program("postgres")
    settings = ["-c", f"port={port}", "-c", f"hot_standby={hot_standby}"]
    settings += ["-c", "unix_socket_directories="]
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
    """An Alembic project in a folder, and the database that its alembic.ini names."""

    folder: Path
    database: Address

    @property
    def versions(self) -> Path:
        """The folder of its revisions."""
        return self.folder / "migrations" / "versions"

    @property
    def ini(self) -> str:
        """The path of its alembic.ini."""
        return str(self.folder / "alembic.ini")

    def env(self, text: str) -> None:
        """Replace its env.py."""
        (self.folder / "migrations" / "env.py").write_text(text)

    def before_configure(self, statements: str, options: str = "") -> None:
        """Change the stock env.py: run statements and pass options in its online `configure`.

        Parameters:
            statements: in one line; they may use ``connection``.
            options: further arguments, each followed by a comma.
        """
        path = self.folder / "migrations" / "env.py"
        stock = "        context.configure(\n            connection"
        text = path.read_text()
        assert stock in text
        changed = (
            f"        {statements}\n        context.configure(\n            {options}connection"
        )
        path.write_text(text.replace(stock, changed))

    def revision(
        self, name: str, down: str | tuple[str, ...] | None, upgrade: str, downgrade: str = "pass"
    ) -> Path:
        """Write a revision file and return its path."""
        path = self.versions / f"{name}.py"
        body = [f'"""{name}"""', "import time", "from alembic import op", "import sqlalchemy as sa"]
        body += [f"revision = {name!r}", f"down_revision = {down!r}"]
        for function, lines in (("upgrade", upgrade), ("downgrade", downgrade)):
            body += [f"def {function}():", *(f"    {line}" for line in lines.splitlines())]
        path.write_text("\n".join(body) + "\n")
        # Python takes old bytecode for a rewritten file of the same size and second.
        Path(cache_from_source(path)).unlink(missing_ok=True)
        return path

    def set_url(self, url: str) -> None:
        """Replace the URL in its alembic.ini."""
        ini = self.folder / "alembic.ini"
        lines = [
            f"sqlalchemy.url = {url.replace('%', '%%')}"
            if line.startswith("sqlalchemy.url")
            else line
            for line in ini.read_text().splitlines()
        ]
        ini.write_text("\n".join(lines))

    def variables(self, **more: str) -> dict[str, str]:
        """Return the environment of a command, without an address: alembic.ini has it."""
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
        """Run a command on the project and wait until it ends."""
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
        assert secret not in done.stdout + done.stderr, "the output contains a password"
        assert "Traceback" not in done.stderr or program == "alembic", done.stderr
        return done

    def start(self, *arguments: str, **more: str) -> subprocess.Popen[str]:
        """Start a command on the project."""
        command_line = ["liftlock", "-c", self.ini, *arguments]
        return subprocess.Popen(
            command_line,
            cwd=self.folder,
            env=self.variables(**more),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


ProjectFactory = Callable[[str], Project]
"""Makes a project from a case or from the body of its second revision."""
PairFactory = Callable[[str], tuple[Project, Project]]
"""Makes one project for plain Alembic and one for liftlock, with the same revisions."""
Done = subprocess.CompletedProcess[str]
"""A command that has ended, with its exit code and output."""


def random_numbers(seed: object) -> random.Random:
    """Return random numbers that are the same in each run of a test."""
    return random.Random(str(seed))  # noqa: S311 - numbers of a test


def until(
    condition: Callable[[], object],
    seconds: float = 60,
    description: str = "",
    *,
    running: subprocess.Popen[str] | None = None,
    pause: float = 0.02,
) -> None:
    """Wait until a condition is true.

    Parameters:
        condition: is called over and over.
        seconds: fail after this time.
        description: the awaited condition in words, for the failure message.
        running: a command that must not end before the condition is true.
        pause: seconds between two calls.
    """
    end = time.monotonic() + seconds
    while not condition():
        if running is not None and running.poll() is not None:
            out, err = running.communicate()
            message = f"the command ended before {description or 'the condition was true'}"
            raise AssertionError(f"{message}: {running.returncode}\n{out}\n{err}")
        assert time.monotonic() < end, f"not within {seconds} s: {description or condition}"
        time.sleep(pause)


def until_it_says(running: subprocess.Popen[str], text: str) -> str:
    """Wait until a command has written the text to its standard error.

    Returns all that was read; `communicate` and `ended` return only what follows.
    """
    assert running.stderr
    said, end = b"", time.monotonic() + 60
    while text.encode() not in said:
        assert select.select([running.stderr], [], [], end - time.monotonic())[0], said.decode()
        more = os.read(running.stderr.fileno(), 4096)
        assert more, said.decode()
        said += more
    return said.decode()


def ended(running: subprocess.Popen[str], seconds: float = 60) -> Done:
    """Wait until a started command ends, and return its exit code and output."""
    out, err = running.communicate(timeout=seconds)
    return subprocess.CompletedProcess(running.args, running.returncode, out, err)


def killed(running: subprocess.Popen[str]) -> Done:
    """Kill a started command with SIGKILL, and return its output."""
    running.kill()
    return ended(running)


def assert_succeeded(done: Done) -> None:
    """Assert that a command exited with 0."""
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"


def assert_failed(
    done: Done, code: str, exit_code: int, *, mentions: str | Iterable[str] = ()
) -> None:
    """Assert that a command failed with this error.

    Parameters:
        done: the command.
        code: the code of the error, such as ``LL-STEP-FAILED``.
        exit_code: the exit code of the command.
        mentions: texts that the message must contain, such as the user's own names.
    """
    output = f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert done.returncode == exit_code, f"not exit code {exit_code}: {output}"
    assert re.search(rf"\b{code}\b(?!-)", done.stderr), f"no {code}: {output}"
    for text in [mentions] if isinstance(mentions, str) else mentions:
        assert text in done.stderr, f"no mention of {text!r}: {output}"


def assert_refused(
    done: Done, code: str, *, exit_code: int = 3, mentions: str | Iterable[str] = ()
) -> None:
    """Assert that a command was refused: by default because of the revision, with exit code 3."""
    assert_failed(done, code, exit_code, mentions=mentions)


def begun_project(
    folder: Path, database: Address, body: str, *, driver: str = "psycopg"
) -> Project:
    """Make a project whose first revision is applied, and whose second has this body."""
    project = make_project(folder, database, driver=driver)
    project.revision("r0", None, "pass")
    assert_succeeded(project.run("upgrade"))
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
    """Make a project with `alembic init`, changing only the URL in its alembic.ini.

    Parameters:
        folder: where it is made.
        database: its database.
        template: Alembic's template; by default ``async`` for asyncpg, otherwise ``generic``.
        driver: the driver in its URL.
        revisions: the folder of ``projects`` whose revisions are copied.
    """
    if driver == "psycopg" and not HAS_SQLALCHEMY_2:
        pytest.skip("SQLAlchemy 1.4 has no dialect for psycopg 3")
    template = template or ("async" if driver == "asyncpg" else "generic")
    config = Config(str(folder / "alembic.ini"))
    command.init(config, str(folder / "migrations"), template=template)
    url = url_of(database, driver)
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
