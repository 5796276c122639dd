"""A schema as text, to compare it with another."""

from __future__ import annotations

import os
import re
import subprocess
from difflib import unified_diff

from psycopg.conninfo import make_conninfo

from liftlock.errors import StepFailed
from liftlock.settings import Address
from liftlock.shadow import embedded

_TABLE = re.compile(
    r"(?<=^CREATE )((?:UNLOGGED |FOREIGN )?TABLE [^\n]+ \()\n(.*?)(?=^\))", re.MULTILINE | re.DOTALL
)
_SESSION = re.compile(
    r"-- (Name|TOC entry|Data for Name|PostgreSQL database dump|Dumped)\b.*|--|\\(un)?restrict .*"
    r"|-- \*not\* creating schema, since initdb creates it"  # before PostgreSQL 15 it belongs to another role
    r"|SELECT pg_catalog\.set_config\('search_path', '', false\);"
    r"|SET (default_\w+|\w+_timeout|client_\w+|standard_conforming_strings|check_function_bodies|xmloption|row_security) = .*;"
)
"""Lines of pg_dump's own, which tell nothing of the schema; those of a function's body look otherwise."""


def difference(before: str, after: str) -> tuple[str, ...]:
    """The lines that one text has and the other hasn't, as ``diff`` marks them."""
    lines = unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return tuple(line for line in lines if not line.startswith(("@@", "--- ", "+++ ")))


def dumped(address: Address, *options: str) -> str:
    """A database as pg_dump writes it.

    Parameters:
        address: the database; it is only read.
        options: of pg_dump.

    Raises:
        StepFailed: pg_dump can't read it.
    """
    words = address.keywords()
    secret = {"PGPASSWORD": words.pop("password")} if "password" in words else {}
    done = subprocess.run(
        [embedded.program("pg_dump"), *options, make_conninfo(**words)],
        env=os.environ | secret,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise StepFailed(
            "LL-PG-DUMP-FAILED",
            f"pg_dump failed: {done.stderr.strip()}",
            why="Without it there is nothing to keep or to compare.",
            now="Read its words; it is that of the extra [embedded], which reads servers up to its own major.",
        )
    return done.stdout


def schema_text(address: Address, version_table: str) -> str:
    """The schema as pg_dump writes it, but for owners, privileges, the order of columns, the ledger and the version table.

    Parameters:
        address: the database; it is only read.
        version_table: its name, with its schema where it has one.

    Raises:
        StepFailed: pg_dump can't read it.
    """
    options = [
        "--schema-only",
        "--no-owner",
        "--no-privileges",
        "--no-comments",
        "--exclude-schema=liftlock",
    ]
    text = dumped(address, *options, f"--exclude-table={version_table}")
    kept = [line for line in text.splitlines() if line and not _SESSION.fullmatch(line)]
    return _TABLE.sub(
        lambda found: "\n".join(
            [found[1], *sorted(line.rstrip(",") for line in found[2].splitlines()), ""]
        ),
        "\n".join(kept),
    )
