"""Statements that PostgreSQL 17's parser rejects, judged by their first words.

Examples are new syntax of later majors, commands of psql, other dialects, and texts that are too
long to be parsed. In doubt the careful answer is given.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import dropwhile, islice

from liftlock.sql.effects import of_kind, of_settings, with_may_write
from liftlock.sql.opaque_objects import Words, changes_of
from liftlock.sql.settings import Settings, as_session_setting
from liftlock.sql.statement import TEMPORARY, Action, Change, Effect, Statement
from liftlock.sql.tokens import Token, TokenKind, tokenize

_SYNONYMS = {
    "ABORT": "ROLLBACK",
    "CLOSE": "CLOSE CURSOR",
    "DECLARE": "DECLARE CURSOR",
    "END": "COMMIT",
    "LOCK": "LOCK TABLE",
    "START": "START TRANSACTION",
    "TRUNCATE": "TRUNCATE TABLE",
}
_QUERIES = frozenset({"SELECT", "TABLE", "VALUES", "WITH"})
_READS = _QUERIES | {"EXPLAIN", "SHOW"}
_CHANGES_ROWS = frozenset({"DELETE", "INSERT", "MERGE", "UPDATE"})
_ROW_LOCKS = (("UPDATE",), ("SHARE",), ("NO", "KEY", "UPDATE"), ("KEY", "SHARE"))
_LOCK_FUNCTIONS = ("PG_ADVISORY_XACT_LOCK", "PG_TRY_ADVISORY_XACT_LOCK")
_TWO_WORDS = frozenset(
    {"COMMIT PREPARED", "PREPARE TRANSACTION", "ROLLBACK PREPARED", "SET CONSTRAINTS"}
)
_NAMED_BY_SECOND_WORD = frozenset({"ALTER", "CREATE", "DROP"})
_HEAD = 20
_HEAD_CHARACTERS = 100_000
"""Tokens and characters that are read of a text that is too long."""


def opaque_statement(text: str) -> Statement:
    """Return what is known of one statement that can't be parsed.

    Parameters:
        text: the statement.
    """
    return _statement(text, list(tokenize(text)))


def overlong_statement(text: str) -> Statement:
    """Return what is known of a text that is too long to be parsed, by its beginning alone.

    Parameters:
        text: one statement or several.
    """
    head = _statement(text, list(islice(tokenize(text[:_HEAD_CHARACTERS]), _HEAD)))
    if ";" not in text:
        return head
    effects = {effect for effect in head.effects if effect in {Effect.DDL, Effect.ONE_TRANSACTION}}
    return Statement(text, opaque=True, effects=with_may_write(effects, ""))


def _statement(text: str, written: Sequence[Token]) -> Statement:
    tokens = list(dropwhile(_opens, written))
    words = [token.keyword for token in tokens]
    kind = _kind(tokens, words)
    settings = _settings(tokens, kind)
    changes = tuple(changes_of(tokens))
    return Statement(
        text,
        kind,
        opaque=True,
        changes=changes,
        effects=_effects(words, kind, changes, settings),
        setting=settings.first if settings else "",
        as_session_setting=as_session_setting(text),
        custom_settings=settings.custom if settings else (),
    )


def _opens(token: Token) -> bool:
    return token.keyword == "("


def _kind(tokens: Sequence[Token], words: Sequence[str]) -> str:
    first = words[0] if words and words[0][:1].isalpha() else ""
    second = f"{first} {words[1]}" if len(words) > 1 else ""
    if first in _NAMED_BY_SECOND_WORD:
        return f"{first} {Words(tokens[1:]).kind()}".strip()
    if second in _TWO_WORDS:
        return second
    if first == "ROLLBACK" and "TO" in words[1:3]:
        return "ROLLBACK TO SAVEPOINT"
    return _SYNONYMS.get(first, first)


def _settings(tokens: Sequence[Token], kind: str) -> Settings | None:
    if kind == "SET CONSTRAINTS":
        return Settings(local=True)
    if kind in _QUERIES:
        return _calls(tokens)
    if kind not in {"SET", "RESET"}:
        return None
    rest = Words(tokens[1:])
    local = rest.take("LOCAL")
    rest.take("SESSION")
    if rest.take("TIME"):
        return Settings(("timezone",), local)
    if rest.take("AUTHORIZATION"):
        return Settings(("session_authorization",), local)
    name = ".".join(rest.name())
    return Settings((name,) if name else (), local)


def _calls(tokens: Sequence[Token]) -> Settings | None:
    """Return the parameter that a call of set_config sets."""
    for index, token in enumerate(tokens[:-1]):
        if token.keyword == "SET_CONFIG" and _opens(tokens[index + 1]):
            arguments = tokens[index + 2 : index + 7]
            strings = [
                argument.content for argument in arguments[:1] if argument.kind is TokenKind.STRING
            ]
            return Settings(
                tuple(strings), any(argument.keyword == "TRUE" for argument in arguments)
            )
    return None


def _effects(
    words: Sequence[str], kind: str, changes: Sequence[Change], settings: Settings | None
) -> frozenset[Effect]:
    tests = {
        Effect.READS: _reads(words, kind),
        Effect.ONE_TRANSACTION: _binds(words, kind, changes),
        Effect.REWRITES_TABLE: _rewrites(words, kind),
        Effect.IF_NOT_EXISTS: kind.startswith("CREATE") and _has(words, ("IF", "NOT", "EXISTS")),
        Effect.CONCURRENT: "CONCURRENTLY" in words,
        Effect.TYPE_WITH_USING: kind.startswith("ALTER") and _has_in_order(words, "TYPE", "USING"),
    }
    effects = {effect for effect, holds in tests.items() if holds} | of_kind(kind)
    if settings is not None and (Effect.READS in effects or kind not in _READS):
        effects |= of_settings(settings)
    return with_may_write(effects, kind)


def _reads(words: Sequence[str], kind: str) -> bool:
    changes_rows = not _CHANGES_ROWS.isdisjoint(words)
    if kind == "WITH" or (kind == "EXPLAIN" and "ANALYZE" in words):
        return not changes_rows
    return kind in _READS


def _binds(words: Sequence[str], kind: str, changes: Sequence[Change]) -> bool:
    if kind in _QUERIES:
        locks_rows = any(_has(words, ("FOR", *lock)) for lock in _ROW_LOCKS)
        into = _has(words, ("INTO", "TEMP")) or _has(words, ("INTO", "TEMPORARY"))
        return locks_rows or into or any(word.startswith(_LOCK_FUNCTIONS) for word in words)
    temporary = (
        change.object.schema == TEMPORARY for change in changes if change.action is Action.CREATED
    )
    return any(temporary)


def _rewrites(words: Collection[str], kind: str) -> bool:
    if kind == "VACUUM":
        return "FULL" in words
    return kind == "CLUSTER" or (kind == "REINDEX" and "CONCURRENTLY" not in words)


def _has(words: Sequence[str], wanted: tuple[str, ...]) -> bool:
    """Tell whether words follow each other."""
    size = len(wanted)
    return any(tuple(words[start : start + size]) == wanted for start in range(len(words)))


def _has_in_order(words: Sequence[str], first: str, second: str) -> bool:
    return first in words and second in words[words.index(first) :]
