"""The work that PostgreSQL reports at ``client_min_messages = debug1``.

The messages come from ``ATRewriteTable`` and ``ATAddForeignKeyConstraint`` in ``tablecmds.c`` and
from ``index_build`` in ``index.c`` of PostgreSQL's source. They are the same from PostgreSQL 13 to
18, and they are sent for empty tables too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from liftlock.shadow.observed import ServerWork

_PATTERNS = {
    "rewrites": re.compile(r'^rewriting table "(.+)"$'),
    "scans": re.compile(r'^verifying table "(.+)"$'),
    "builds": re.compile(r'^building index ".+" on table "(.+)"'),
    "validates": re.compile(r'^validating foreign key constraint "(.+)"$'),
    "proven": re.compile(
        r'^existing constraints on column "(.+)\.[^.]+" are sufficient'
        r'|^(?:updated )?partition constraint for (?:default partition|table) "(.+)" is implied'
    ),
}
"""Patterns by the field of ``ServerWork``; a group is the name of a table or of a constraint."""


def work_in(messages: Iterable[str]) -> ServerWork:
    """Return the work that messages report.

    Parameters:
        messages: the primary texts of the messages, in English.
    """
    names: dict[str, set[str]] = {field: set() for field in _PATTERNS}
    for message in messages:
        for field, pattern in _PATTERNS.items():
            match = pattern.match(message)
            if match is not None:
                names[field].update(group for group in match.groups() if group is not None)
    return ServerWork(**{field: frozenset(found) for field, found in names.items()})
