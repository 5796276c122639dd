"""Servers, databases and Alembic projects that the benchmarks share."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import psycopg
from alembic import command
from alembic.config import Config
from psycopg.conninfo import make_conninfo

from liftlock import Address

UNSAFE = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
}
"""Settings of a server whose data may be lost."""


def at(server: Address, dbname: str) -> Address:
    """Return the address of a database on a server."""
    return Address(
        host=server.host,
        port=server.port,
        user=server.user,
        password=server.password,
        dbname=dbname,
    )


def connected(address: Address, **options: str) -> psycopg.Connection[Any]:
    """Connect to a database, in autocommit mode."""
    return psycopg.connect(make_conninfo(**address.keywords(), **options), autocommit=True)


def seed(server: Address, statements: str) -> str:
    """Create the database `seed` from SQL statements; return the server's version."""
    with connected(server) as session:
        session.execute("CREATE DATABASE seed")
    with connected(at(server, "seed")) as session:
        session.execute(statements.encode())
        session.execute("VACUUM ANALYZE")
        return str(session.info.parameter_status("server_version"))


def copy_of_seed(server: Address, dbname: str) -> Address:
    """Make a database a fresh copy of `seed`, and return its address."""
    with connected(server) as session:
        session.execute(f"DROP DATABASE IF EXISTS {dbname} WITH (FORCE)".encode())
        session.execute(f"CREATE DATABASE {dbname} TEMPLATE seed STRATEGY file_copy".encode())
    return at(server, dbname)


def make_project(folder: Path, address: Address, *bodies: str) -> Path:
    """Make a project as `alembic init` does, and return its alembic.ini.

    Parameters:
        folder: is created.
        address: of the database, written into the ini.
        bodies: of the function `upgrade` of each revision, in order.
    """
    ini = folder / "alembic.ini"
    with contextlib.redirect_stdout(io.StringIO()):
        command.init(Config(str(ini)), str(folder / "migrations"))
    name_database(ini, address)
    down = None
    for number, body in enumerate(bodies, start=1):
        revision = f"{number:04}"
        text = revision_text(revision, down, body)
        (folder / "migrations" / "versions" / f"{revision}.py").write_text(text)
        down = revision
    return ini


def name_database(ini: Path, address: Address) -> None:
    """Write a database's URL into an alembic.ini."""
    where = f"{address.host}:{address.port}/{address.dbname}"
    url = f"sqlalchemy.url = postgresql+psycopg://{address.user}:{address.password}@{where}"
    lines = ini.read_text().splitlines()
    named = [url if line.startswith("sqlalchemy.url") else line for line in lines]
    ini.write_text("\n".join(named))


def revision_text(revision: str, down: str | None, body: str) -> str:
    """Return the source of a revision."""
    lines = [
        f'"""Number {revision}."""',
        "import sqlalchemy as sa",
        "from alembic import op",
        f"revision = {revision!r}",
        f"down_revision = {down!r}",
        "def upgrade():",
        f"    {body}",
        "def downgrade():",
        "    pass",
    ]
    return "\n".join(lines) + "\n"
