"""Changes of a statement's text at one place; everything else stays byte for byte."""

from __future__ import annotations

from collections.abc import Sequence

from liftlock.sql.tokens import Token, tokenize

_CREATE_INDEX = (("CREATE", "INDEX"), ("CREATE", "UNIQUE", "INDEX"))
_DROP_INDEX = (("DROP", "INDEX"),)
_IF_NOT_EXISTS = ("IF", "NOT", "EXISTS")


def create_index_concurrently(sql: str) -> str:
    """Return CREATE INDEX with CONCURRENTLY; any other text as it is."""
    return _with_concurrently(sql, _CREATE_INDEX)


def drop_index_concurrently(sql: str) -> str:
    """Return DROP INDEX with CONCURRENTLY; any other text as it is."""
    return _with_concurrently(sql, _DROP_INDEX)


def without_concurrently(sql: str) -> str:
    """Return CREATE INDEX or DROP INDEX without CONCURRENTLY; any other text as it is."""
    tokens = list(tokenize(sql))
    index = _index_word(tokens, (*_CREATE_INDEX, *_DROP_INDEX))
    if index is None or _keyword(tokens, index + 1) != "CONCURRENTLY":
        return sql
    return _without(sql, tokens[index], tokens[index + 1 : index + 2])


def without_if_not_exists(sql: str) -> str:
    """Return CREATE INDEX without IF NOT EXISTS; any other text as it is."""
    tokens = list(tokenize(sql))
    index = _index_word(tokens, _CREATE_INDEX)
    if index is None:
        return sql
    if _keyword(tokens, index + 1) == "CONCURRENTLY":
        index += 1
    words = tokens[index + 1 : index + 4]
    if tuple(token.keyword for token in words) != _IF_NOT_EXISTS:
        return sql
    return _without(sql, tokens[index], words)


def _with_concurrently(sql: str, commands: Sequence[Sequence[str]]) -> str:
    tokens = list(tokenize(sql))
    index = _index_word(tokens, commands)
    if index is None or _keyword(tokens, index + 1) == "CONCURRENTLY":
        return sql
    end = tokens[index].end
    return f"{sql[:end]} CONCURRENTLY{sql[end:]}"


def _index_word(tokens: Sequence[Token], commands: Sequence[Sequence[str]]) -> int | None:
    """Return the place of the word INDEX in one of some commands; None for any other text."""
    for command in commands:
        if [token.keyword for token in tokens[: len(command)]] == list(command):
            return len(command) - 1
    return None


def _keyword(tokens: Sequence[Token], index: int) -> str:
    return tokens[index].keyword if index < len(tokens) else ""


def _without(sql: str, before: Token, words: Sequence[Token]) -> str:
    """Return a text without some words and the white space before each; comments stay."""
    kept = [sql[: before.end]]
    position = before.end
    for word in words:
        kept.append(sql[position : word.start].rstrip())
        position = word.end
    return "".join([*kept, sql[position:]])
