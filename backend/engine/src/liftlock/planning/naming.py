"""The names that PostgreSQL gives by itself, where a revision gives none.

As ``makeObjectName`` and ``ChooseRelationName`` do in the server:
https://github.com/postgres/postgres/blob/master/src/backend/commands/indexcmds.c
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

_BYTES = 63


def automatic(table: str, columns: Sequence[str], label: str, taken: Callable[[str], bool]) -> str:
    """The name of a constraint, or of the index behind it.

    Parameters:
        table: the table's name.
        columns: the names between; may be none.
        label: ``key``, ``pkey``, ``fkey`` or ``check``.
        taken: whether a name is in use already; a number is then added.
    """
    middle = _clipped("_".join(columns), _BYTES)
    number = 0
    while True:
        name = _joined(table, middle, label + (str(number) if number else ""))
        if not taken(name):
            return name
        number += 1


def _joined(table: str, middle: str, label: str) -> str:
    """The longer of the two names is cut, byte by byte, until all of it fits."""
    room = _BYTES - len(label) - 1 - (1 if middle else 0)
    first, second = len(table.encode()), len(middle.encode())
    while first + second > room:
        if first > second:
            first -= 1
        else:
            second -= 1
    parts = [_clipped(table, first), *([_clipped(middle, second)] if middle else []), label]
    return "_".join(parts)


def _clipped(text: str, most: int) -> str:
    return text.encode()[:most].decode(errors="ignore")
