"""Drops the databases of a shadow when the process that made them has ended, however that came: its end closes our standard input.

The address comes by standard input as well, so no password is in the process list.
"""

from __future__ import annotations

import json
import sys
import time

import psycopg
from psycopg import sql

_DATABASES = "SELECT datname FROM pg_catalog.pg_database WHERE starts_with(datname::text, %s)"
_MAKES = """SELECT pid FROM pg_catalog.pg_stat_activity
WHERE state = 'active' AND starts_with(query, 'CREATE DATABASE ' || %s) AND pid <> pg_backend_pid()"""
"""A server goes on with a statement whose client is gone; what it makes is seen when it is done."""
_PAUSE_SECONDS = 0.2


def main() -> None:
    """Wait, then drop."""
    told = json.loads(sys.stdin.readline())
    sys.stdin.read()
    with psycopg.connect(**told["address"], autocommit=True) as session:
        while True:
            made = session.execute(_MAKES, [told["name"]]).fetchall()
            for (name,) in session.execute(_DATABASES, [told["name"]]).fetchall():
                session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
            if not made:
                return
            time.sleep(_PAUSE_SECONDS)


if __name__ == "__main__":
    main()
