"""PostgreSQL's own parser, applied to SQL text.

This is the only module that imports pgparse, which wraps libpg_query: the parser of PostgreSQL 17
as a library.
"""

from __future__ import annotations

import functools
import threading
from bisect import bisect_right

import pgparse

from liftlock.sql.effects import effects_of
from liftlock.sql.objects import changes_of
from liftlock.sql.opaque import opaque_statement, overlong_statement
from liftlock.sql.settings import as_session_setting, settings_of
from liftlock.sql.statement import Effect, Statement, combined
from liftlock.sql.tags import tag
from liftlock.sql.tokens import nesting, split, without_placeholders
from liftlock.sql.tree import Node

_PARSED_CHARACTERS = 1_000_000
_NESTING = 1_000
"""The depth of a tree that is safe: libpg_query writes JSON by recursion, without a stack check."""
_SMALL = 20_000
"""Characters of a text that is kept in the cache along with thousands of others."""
_SPACE = " \t\n\r\f\v"
_END = f"{_SPACE};"


def parse(text: str) -> Statement:
    """Return what SQL text does; never raise, for any text.

    Parameters:
        text: one statement, several or none; placeholders such as ``%s`` are understood.
    """
    if len(text) > _PARSED_CHARACTERS:
        return overlong_statement(text.strip(_END))
    return _parsed(text) if len(text) <= _SMALL else _parsed_large(text)


@functools.lru_cache(maxsize=4096)
def _parsed(text: str) -> Statement:
    statements = _statements(text)
    if len(statements) == 1:
        return statements[0]
    if not statements:
        return Statement(text.strip(_END), effects=frozenset({Effect.READS}))
    end = text.rindex(statements[-1].text) + len(statements[-1].text)
    return combined(text[:end].lstrip(_END), statements)


@functools.lru_cache(maxsize=8)
def _parsed_large(text: str) -> Statement:
    return _parsed.__wrapped__(text)


def _statements(text: str) -> list[Statement]:
    parsed = _parsed_statements(text)
    if parsed is not None:
        return parsed
    found: list[Statement] = []
    for part in split(text):
        alone = _parsed_statements(part) if part != text else None
        found += [opaque_statement(part.strip(_SPACE))] if alone is None else alone
    return found


def _parsed_statements(text: str) -> list[Statement] | None:
    """Return the statements of a text; None where the parser rejects it.

    A text that is rejected as it is is tried once more without placeholders.
    """
    if "\0" in text or nesting(text) > _NESTING:
        return None
    try:
        sent = text.encode()
    except UnicodeEncodeError:
        return None
    trees = _trees(text)
    if trees is not None:
        return [
            _statement(tree, sent[start:end].decode())
            for tree, start, end in _places(trees, len(sent))
        ]
    plain, ends = without_placeholders(sent)
    trees = _trees(plain.decode()) if ends else None
    if trees is None:
        return None
    places = _places(trees, len(plain))
    return [
        _statement(tree, sent[_sent(ends, start) : _sent(ends, end)].decode())
        for tree, start, end in places
    ]


def _trees(text: str) -> list[dict[str, object]] | None:
    try:
        trees: list[dict[str, object]] = pgparse.parse(text)
    except RecursionError:
        return _trees_in_thread(text)
    except (pgparse.PGQueryError, UnicodeError):
        return None
    return trees


def _trees_in_thread(text: str) -> list[dict[str, object]] | None:
    """Return the trees of a deep text, at any depth of the caller's own stack."""
    trees: list[list[dict[str, object]]] = []

    def work() -> None:
        try:
            trees.append(pgparse.parse(text))
        except RecursionError:
            return

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return trees[0] if trees else None


def _places(trees: list[dict[str, object]], length: int) -> list[tuple[Node, int, int]]:
    """Return each statement's tree with the place of its text, in bytes."""
    places: list[tuple[Node, int, int]] = []
    for tree in trees:
        node = Node.of(tree.get("stmt"))
        start = _number(tree.get("stmt_location"))
        size = _number(tree.get("stmt_len"))
        if node is not None:
            places.append((node, start, start + size if size else length))
    return places


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _sent(ends: list[tuple[int, int]], position: int) -> int:
    """Return the place in the text as it is sent for one in the text without placeholders."""
    index = bisect_right(ends, position, key=lambda pair: pair[0])
    if index == 0:
        return position
    plain, sent = ends[index - 1]
    return sent + position - plain


def _statement(node: Node, text: str) -> Statement:
    text = text.rstrip(_SPACE).lstrip(_END)
    kind = tag(node)
    changes = tuple(changes_of(node))
    settings = settings_of(node)
    effects = effects_of(node, kind, changes, settings)
    if settings is None or Effect.SESSION_SETTING not in effects:
        return Statement(text, kind, changes=changes, effects=effects)
    return Statement(
        text,
        kind,
        changes=changes,
        effects=effects,
        setting=settings.first,
        as_session_setting=as_session_setting(text),
        custom_settings=settings.custom,
    )
