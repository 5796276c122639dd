"""Names that a statement mentions, and roles that it creates, also within the code of DO."""

from __future__ import annotations

from collections.abc import Iterator

from liftlock.sql.tokens import Token, TokenKind, tokenize

_ROLES = frozenset({"ROLE", "USER", "GROUP"})
_DEPTH = 5
"""The levels of strings within strings that are read: EXECUTE in the code of DO, and so on."""


def mentions(sql: str, name: str) -> bool:
    """Tell whether a text names a relation, column, role or other object.

    Strings and comments don't count, except the code of DO and the strings in it: PostgreSQL runs
    that at once. The body of a function doesn't count.

    Parameters:
        sql: any number of statements.
        name: the name as the catalog has it, without quotes and schema.
    """
    return any(token.is_name and token.value == name for token in _code(sql))


def has_keyword(sql: str, *keywords: str) -> bool:
    """Tell whether a text has one of some keywords, outside of strings, comments and quotes.

    Parameters:
        sql: any number of statements.
        keywords: the keywords, in capitals.
    """
    return any(token.keyword in keywords for token in tokenize(sql))


def roles_created(sql: str) -> tuple[str, ...]:
    """Return the roles of CREATE ROLE, CREATE USER and CREATE GROUP, in order.

    Parameters:
        sql: any number of statements. The code of DO counts, such as one that creates a role
            unless it exists.
    """
    roles: list[str] = []
    before = ("", "")
    for token in _code(sql):
        if (
            before[0] == "CREATE"
            and before[1] in _ROLES
            and token.is_name
            and token.keyword != "MAPPING"
        ):
            roles.append(token.value)
        before = (before[1], token.keyword)
    return tuple(roles)


def _code(sql: str) -> Iterator[Token]:
    """Yield the tokens of a text, and those within the strings of DO in place of the strings."""
    begins = True
    runs = False
    for token in tokenize(sql):
        if begins:
            runs = token.keyword == "DO"
        begins = token.keyword == ";"
        if runs and token.kind is TokenKind.STRING:
            yield from _within(token, _DEPTH)
        else:
            yield token


def _within(string: Token, depth: int) -> Iterator[Token]:
    for token in tokenize(string.content):
        if token.kind is TokenKind.STRING and depth:
            yield from _within(token, depth - 1)
        else:
            yield token
