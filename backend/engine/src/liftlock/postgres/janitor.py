"""Drops the databases of a shadow when the process that made them has ended, however that came: its end closes our standard input.

The address comes by standard input as well, so no password is in the process list.
"""

from __future__ import annotations

import json
import sys

import psycopg
from psycopg import sql


def main() -> None:
    """Wait, then drop."""
    told = json.loads(sys.stdin.readline())
    sys.stdin.read()
    with psycopg.connect(**told["address"], autocommit=True) as session:
        listed = session.execute("SELECT datname FROM pg_catalog.pg_database WHERE starts_with(datname::text, %s)", [told["name"]])
        for (name,) in listed.fetchall():
            session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


if __name__ == "__main__":
    main()
