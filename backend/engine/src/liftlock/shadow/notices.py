"""What PostgreSQL says at ``client_min_messages = debug1`` about the work of a statement.

The messages are in the server's source, ``ATRewriteTable`` and ``ATAddForeignKeyConstraint`` in ``tablecmds.c`` and
``index_build`` in ``index.c``; they are the same from PostgreSQL 13 to 18, on empty tables too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from liftlock.shadow.observed import ServerWork

_SIGNS = {
    "rewrites": re.compile(r'^rewriting table "(?P<name>.+)"$'),
    "scans": re.compile(r'^verifying table "(?P<name>.+)"$'),
    "builds": re.compile(r'^building index ".+" on table "(?P<name>.+)"'),
    "validates": re.compile(r'^validating foreign key constraint "(?P<name>.+)"$'),
    "proven": re.compile(
        r'^existing constraints on column "(?P<name>.+)\.[^.]+" are sufficient'
        r'|^(?:updated )?partition constraint for (?:default partition|table) "(?P<part>.+)" is implied'
    ),
}


def work_in(messages: Iterable[str]) -> ServerWork:
    """The work that messages tell of.

    Parameters:
        messages: the primary texts, in English.
    """
    found: dict[str, set[str]] = {name: set() for name in _SIGNS}
    for message in messages:
        for name, sign in _SIGNS.items():
            told = sign.match(message)
            if told:
                found[name].add(next(one for one in told.groups() if one is not None))
    return ServerWork(**{name: frozenset(names) for name, names in found.items()})
