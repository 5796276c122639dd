"""Names in SQL text, and the names that PostgreSQL chooses for objects without one.

A recipe that splits ``ADD CHECK (…)`` into steps must name the constraint in each of them. It
chooses the name that PostgreSQL would have chosen, because a later revision drops the constraint by
that name. The functions follow ``makeObjectName`` and ``ChooseRelationName`` of the server:
https://github.com/postgres/postgres/blob/master/src/backend/commands/indexcmds.c
"""

from __future__ import annotations

import itertools
from collections.abc import Container, Sequence

from liftlock.sql import quote_name

_MAX_BYTES = 63


def automatic_name(
    table: str, columns: Sequence[str], label: str, taken: Container[str] = ()
) -> str:
    """Return the name that PostgreSQL chooses for a constraint, an index or a sequence.

    Parameters:
        table: the table's name.
        columns: the columns that become part of the name; may be empty.
        label: ``key``, ``pkey``, ``fkey``, ``check``, ``idx`` or ``seq``.
        taken: the names in use; a number is appended to the label to avoid them.
    """
    middle = _truncate("_".join(columns), _MAX_BYTES)
    name = _join(table, middle, label)
    for number in itertools.count(1):
        if name not in taken:
            break
        name = _join(table, middle, f"{label}{number}")
    return name


def in_schema_of(relation: str, name: str) -> str:
    """Return a name as SQL text, in the schema of another relation.

    Parameters:
        relation: the other relation as SQL text.
        name: the name, without quotes.
    """
    schema, dot, _ = relation.rpartition(".")
    return f"{schema}{dot}{quote_name(name)}"


def quote_literal(text: str) -> str:
    """Return a text as an SQL literal, with any ``standard_conforming_strings``."""
    literal = "'" + text.replace("'", "''") + "'"
    if "\\" in text:
        return "E" + literal.replace("\\", "\\\\")
    return literal


def _join(table: str, middle: str, label: str) -> str:
    """Join the parts of a name; shorten the longer of the first two until the whole fits."""
    available = _MAX_BYTES - len(label) - 1
    if middle:
        available -= 1
    table_bytes = len(table.encode())
    middle_bytes = len(middle.encode())
    while table_bytes + middle_bytes > available:
        if table_bytes > middle_bytes:
            table_bytes -= 1
        else:
            middle_bytes -= 1
    parts = [_truncate(table, table_bytes)]
    if middle:
        parts.append(_truncate(middle, middle_bytes))
    return "_".join([*parts, label])


def _truncate(text: str, most: int) -> str:
    """Return as many whole characters as fit into this number of bytes."""
    return text.encode()[:most].decode(errors="ignore")
