"""A process that drops the databases and roles of a shadow when the process that made it has ended.

It notices that end, also by a kill, because its standard input is closed then. It drops the
shadow's databases, and the roles that are new since the shadow began and that its revisions create
by name.

The address arrives by standard input, so that no password is in the list of processes.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from liftlock.sql import roles_created

_DATABASES = "SELECT datname FROM pg_catalog.pg_database WHERE starts_with(datname::text, %s)"
_CREATE_DATABASE_RUNS = """SELECT FROM pg_catalog.pg_stat_activity
WHERE state = 'active' AND starts_with(query, 'CREATE DATABASE ' || %s)
  AND pid <> pg_catalog.pg_backend_pid()"""
"""The server finishes a statement whose client has been killed; its database appears only then."""
_NEW_ROLES = "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname <> ALL (%s)"
_PAUSE_SECONDS = 0.2
HIDDEN, FIRST = "liftlock: ", "first "
"""The prefixes of the names of hidden roles: of any run, and of the first of two runs."""

Connection = psycopg.Connection[tuple[Any, ...]]


def main() -> None:
    """Wait for the end of standard input, then drop the databases and the roles of a shadow."""
    task = json.loads(sys.stdin.readline())
    sys.stdin.read()
    with psycopg.connect(**task["address"], autocommit=True) as session:
        drop_databases(session, task["name"])
        drop_roles(session, task["roles"], task["texts"])


def drop_databases(session: Connection, prefix: str) -> None:
    """Drop the databases whose names begin with a prefix, also those that are being created."""
    while True:
        still_creating = session.execute(_CREATE_DATABASE_RUNS, [prefix]).fetchall()
        for (name,) in session.execute(_DATABASES, [prefix]).fetchall():
            drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
            session.execute(drop.format(sql.Identifier(name)))
        if not still_creating:
            return
        time.sleep(_PAUSE_SECONDS)


def drop_roles(session: Connection, known: Sequence[str], texts: Sequence[str]) -> None:
    """Drop the roles that are new and that a revision creates by name.

    Parameters:
        session: a session to the server.
        known: the roles that existed before.
        texts: the SQL texts in the revisions.
    """
    for (role,) in session.execute(_NEW_ROLES, [list(known)]).fetchall():
        if is_created_in(role, texts):
            # another database may use the role
            with contextlib.suppress(psycopg.Error):
                session.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def is_created_in(role: str, texts: Sequence[str]) -> bool:
    """Return whether one of the texts creates a role, which may be hidden by a prefix."""
    own = role.removeprefix(HIDDEN).removeprefix(FIRST)
    return any(own in roles_created(text) for text in texts)


if __name__ == "__main__":
    main()
