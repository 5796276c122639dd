"""Names in SQL text: quoted, split at their dots, and folded as PostgreSQL folds them.

https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS
"""

from __future__ import annotations

from liftlock.sql.tokens import fold, unquote


def quote_name(name: str) -> str:
    """Return a name as SQL text, in quotes, with any characters in it."""
    return '"' + name.replace('"', '""') + '"'


def split_name(text: str) -> tuple[str, ...]:
    """Return the parts of a qualified name: unquoted parts in lower case, quoted ones as they are.

    Parameters:
        text: such as ``app."Visit"``.
    """
    return tuple(_read(part.strip()) for part in _parts(text))


def unqualified(text: str) -> str:
    """Return the last part of a qualified name without its quotes; letters keep their case."""
    last = _parts(text)[-1]
    return (last or text).removeprefix('"').removesuffix('"').replace('""', '"')


def _parts(text: str) -> list[str]:
    """Return the parts between the dots that aren't quoted."""
    parts: list[str] = []
    start = 0
    quoted = False
    for position, character in enumerate(text):
        if character == '"':
            quoted = not quoted
        elif character == "." and not quoted:
            parts.append(text[start:position])
            start = position + 1
    return [*parts, text[start:]]


def _read(part: str) -> str:
    if part.startswith(('"', 'U&"', 'u&"')):
        return unquote(part)
    return fold(part)
