"""Schemas as text, made comparable: the output of pg_dump without what doesn't matter."""

from __future__ import annotations

import os
import re
import subprocess
from difflib import unified_diff

from psycopg.conninfo import make_conninfo

from liftlock.errors import StepFailed
from liftlock.settings import Address
from liftlock.shadow import embedded

_OPTIONS = (
    "--schema-only",
    "--no-owner",
    "--no-privileges",
    "--no-comments",
    "--exclude-schema=liftlock",
)
_HEADER = re.compile(r"^--\n-- Name: .*; Type: .*; Schema: .*; Owner: .*\n--\n", re.MULTILINE)
"""The comment that pg_dump writes before each object. A statement can't be found by its semicolon:
the body of a function has semicolons too."""
_TABLE = re.compile(
    r"(?<=^CREATE )((?:UNLOGGED |FOREIGN )?TABLE [^\n]+ \()\n(.*?)(?=^\))", re.MULTILINE | re.DOTALL
)
_NOISE = re.compile(
    r"-- (Data for Name|PostgreSQL database dump|Dumped)\b.*"
    r"|--"
    r"|\\(un)?restrict .*"
    # before PostgreSQL 15, the schema "public" belongs to another role
    r"|-- \*not\* creating schema, since initdb creates it"
    r"|SELECT pg_catalog\.set_config\('search_path', '', false\);"
    r"|SET (default_\w+|\w+_timeout|client_\w+|standard_conforming_strings|check_function_bodies"
    r"|xmloption|row_security) = .*;"
)
"""Lines of pg_dump that aren't about the schema; the body of a function hardly has such lines."""


def difference(before: str, after: str) -> tuple[str, ...]:
    """Return the lines that only one of two texts has, marked with ``-`` and ``+`` like a diff."""
    lines = unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return tuple(line for line in lines if not line.startswith(("@@", "--- ", "+++ ")))


def dumped(address: Address, *options: str) -> str:
    """Return the output of pg_dump for a database, which is only read.

    Parameters:
        address: the database.
        options: the options of pg_dump.

    Raises:
        StepFailed: pg_dump failed.
    """
    keywords = address.keywords()
    password = keywords.pop("password", None)
    secret = {"PGPASSWORD": password} if password is not None else {}
    done = subprocess.run(
        [embedded.program("pg_dump"), *options, make_conninfo(**keywords)],
        env=os.environ | secret,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise _pg_dump_failed(done.stderr)
    return done.stdout


def schema_text(address: Address, version_table: str) -> str:
    """Return the schema of a database as SQL text, which is comparable line by line.

    It has no owners, privileges and comments, and neither the ledger nor the version table. The
    columns of a table are in alphabetical order.

    Parameters:
        address: the database, which is only read.
        version_table: the name of the version table, with its schema if it has one.

    Raises:
        StepFailed: pg_dump failed.
    """
    return "\n".join(schema_objects(address, version_table))


def schema_objects(address: Address, version_table: str) -> list[str]:
    """Return the definitions of a database's objects, each as SQL text like ``schema_text``.

    Parameters:
        address: the database, which is only read.
        version_table: the name of the version table, with its schema if it has one.

    Raises:
        StepFailed: pg_dump failed.
    """
    return objects_in(dumped(address, *_OPTIONS, f"--exclude-table={version_table}"))


def objects_in(dump: str) -> list[str]:
    """Split the output of pg_dump into the definitions of objects, without noise."""
    definitions = [_comparable(section) for section in _HEADER.split(dump)]
    return [definition for definition in definitions if definition]


def _comparable(section: str) -> str:
    lines = [line for line in section.splitlines() if line and not _NOISE.fullmatch(line)]
    return _TABLE.sub(_with_sorted_columns, "\n".join(lines))


def _with_sorted_columns(table: re.Match[str]) -> str:
    """Sort the columns of a table: their order can't be changed, and doesn't matter."""
    head, body = table.groups()
    columns = sorted(line.rstrip(",") for line in body.splitlines())
    return "\n".join([head, *columns, ""])


def _pg_dump_failed(output: str) -> StepFailed:
    return StepFailed(
        "LL-PG-DUMP-FAILED",
        f"pg_dump failed: {output.strip()}",
        why="Without its output, there is no schema to keep or to compare.",
        now="Correct what its message says. If the server is newer than pg_dump, install a newer"
        " one: pip install --upgrade 'liftlock[embedded]'.",
    )
