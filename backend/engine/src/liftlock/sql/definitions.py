"""Definitions of constraints, columns, identities and indexes, and the parts of them."""

from __future__ import annotations

from liftlock.sql.tokens import matching, tokenize

_SERIAL = frozenset({"bigserial", "serial", "serial2", "serial4", "serial8", "smallserial"})


def constraint_definition(text: str) -> str:
    """Return a constraint's definition without the ``CONSTRAINT name`` that it begins with.

    Parameters:
        text: as it is written in ALTER TABLE … ADD.
    """
    words = tokenize(text)
    leading = next(words, None)
    name = next(words, None)
    definition = next(words, None)
    if leading is None or name is None or definition is None or leading.keyword != "CONSTRAINT":
        return text
    return text[definition.start :]


def identity_options(text: str) -> str:
    """Return the sequence options of ``GENERATED … AS IDENTITY (…)``; empty where it has none.

    Parameters:
        text: as it is written in the column's definition.
    """
    tokens = list(tokenize(text))
    for index, token in enumerate(tokens[1:], 1):
        if token.keyword == "(" and tokens[index - 1].keyword == "IDENTITY":
            return text[token.end : tokens[matching(tokens, index)].start]
    return ""


def is_serial(specification: str) -> bool:
    """Tell whether a column's type is one of the pseudo-types SERIAL, BIGSERIAL and SMALLSERIAL.

    Parameters:
        specification: the column's name and definition.
    """
    tokens = list(tokenize(specification))[:3]
    qualified = [token.keyword for token in tokens[2:]] == ["."]
    return len(tokens) > 1 and tokens[0].is_name and tokens[1].value in _SERIAL and not qualified


def index_definition(sql: str) -> str:
    """Return the part of CREATE INDEX after its table: method, columns and so on.

    Parameters:
        sql: the statement.
    """
    tokens = list(tokenize(sql))
    words = [token.keyword for token in tokens]
    if words[:1] != ["CREATE"] or "INDEX" not in words[1:3] or "ON" not in words:
        return ""
    start = words.index("ON") + 1
    if words[start : start + 1] == ["ONLY"]:
        start += 1
    start += 1
    while words[start : start + 1] == ["."]:
        start += 2
    return sql[tokens[start].start :] if start < len(tokens) else ""


def same_definition(first: str, second: str) -> bool:
    """Tell whether two definitions are equal except for spelling.

    White space, comments, the case of unquoted words and needless quotes don't matter.

    Parameters:
        first, second: such as ``FOREIGN KEY("a") REFERENCES t (id)``.
    """
    return _normal(first) == _normal(second)


def _normal(text: str) -> list[str]:
    """Return one text per token, and names as PostgreSQL reads them."""
    return [token.value for token in tokenize(text)]


def changed_type(sql: str) -> str:
    """Return the new type of ``ALTER COLUMN … TYPE type [USING …]``; empty for any other text.

    Parameters:
        sql: the statement.
    """
    tokens = list(tokenize(sql))
    words = [token.keyword for token in tokens]
    if "TYPE" not in words:
        return ""
    start = words.index("TYPE") + 1
    end = words.index("USING", start) if "USING" in words[start:] else len(tokens)
    return sql[tokens[start].start : tokens[end - 1].end] if start < end else ""
