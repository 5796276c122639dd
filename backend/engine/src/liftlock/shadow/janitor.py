"""Drops what a shadow left on a server when the process that made it has ended, however that came: its end closes our standard input.

Its databases; and the roles that are new since it began, and that its revisions make by name.

The address comes by standard input as well, so no password is in the process list.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
import time

import psycopg
from psycopg import sql

_DATABASES = "SELECT datname FROM pg_catalog.pg_database WHERE starts_with(datname::text, %s)"
_MAKES = """SELECT pid FROM pg_catalog.pg_stat_activity
WHERE state = 'active' AND starts_with(query, 'CREATE DATABASE ' || %s) AND pid <> pg_backend_pid()"""
"""A server goes on with a statement whose client is gone; what it makes is seen when it is done."""
_NEW_ROLES = "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname <> ALL (%s)"
_PAUSE_SECONDS = 0.2
HIDDEN, FIRST = "liftlock: ", "first "
"""How the names of roles begin that are kept from one of two runs, and from the second of them."""


def main() -> None:
    """Wait, then drop."""
    told = json.loads(sys.stdin.readline())
    sys.stdin.read()
    with psycopg.connect(**told["address"], autocommit=True) as session:
        while True:
            made = session.execute(_MAKES, [told["name"]]).fetchall()
            for (name,) in session.execute(_DATABASES, [told["name"]]).fetchall():
                session.execute(
                    sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
                )
            if not made:
                break
            time.sleep(_PAUSE_SECONDS)
        for (role,) in session.execute(_NEW_ROLES, [told["roles"]]).fetchall():
            own = re.escape(role.removeprefix(HIDDEN).removeprefix(FIRST))
            if any(
                re.search(rf'CREATE\s+(ROLE|USER|GROUP)\s+"?{own}(?!\w)', text, re.IGNORECASE)
                for text in told["texts"]
            ):
                with contextlib.suppress(psycopg.Error):  # somebody else uses it
                    session.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


if __name__ == "__main__":
    main()
