"""The schema objects that a statement creates, changes and removes, read from its words.

This is for statements that PostgreSQL 17's parser rejects, such as PostgreSQL 18's CREATE TABLE
with a virtual generated column. The beginning of the statement, and of each action of ALTER TABLE,
is enough.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from liftlock.sql.statement import TEMPORARY, Action, Change, SchemaObject
from liftlock.sql.tokens import Token

KINDS = tuple(
    tuple(kind.split())
    for kind in (
        "MATERIALIZED VIEW",
        "FOREIGN TABLE",
        "FOREIGN DATA WRAPPER",
        "EVENT TRIGGER",
        "USER MAPPING",
        "DEFAULT PRIVILEGES",
        "OPERATOR CLASS",
        "OPERATOR FAMILY",
        "AGGREGATE",
        "CAST",
        "COLLATION",
        "DATABASE",
        "DOMAIN",
        "EXTENSION",
        "FUNCTION",
        "GROUP",
        "INDEX",
        "LANGUAGE",
        "OPERATOR",
        "OWNED",
        "POLICY",
        "PROCEDURE",
        "PUBLICATION",
        "ROLE",
        "ROUTINE",
        "RULE",
        "SCHEMA",
        "SEQUENCE",
        "SERVER",
        "STATISTICS",
        "SUBSCRIPTION",
        "SYSTEM",
        "TABLE",
        "TABLESPACE",
        "TRIGGER",
        "TYPE",
        "USER",
        "VIEW",
    )
)
_MODIFIERS = frozenset(
    {
        "OR",
        "REPLACE",
        "GLOBAL",
        "LOCAL",
        "TEMP",
        "TEMPORARY",
        "UNLOGGED",
        "UNIQUE",
        "RECURSIVE",
        "CONSTRAINT",
        "TRUSTED",
    }
)
_IN_TABLES = frozenset({"TRIGGER", "POLICY", "RULE"})
_WITHOUT_CHANGES = frozenset(
    {
        "",
        "CAST",
        "DEFAULT PRIVILEGES",
        "OPERATOR",
        "OPERATOR CLASS",
        "OPERATOR FAMILY",
        "OWNED",
        "SYSTEM",
        "USER MAPPING",
    }
)
_NO_COLUMNS = frozenset({"CHECK", "CONSTRAINT", "EXCLUDE", "FOREIGN", "PRIMARY", "UNIQUE"})
_ACTIONS = {"CREATE": Action.CREATED, "DROP": Action.REMOVED, "ALTER": Action.CHANGED}


class Words:
    """A reader of tokens from left to right.

    Parameters:
        tokens: of one statement, or of a part of it.
    """

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._keywords = [token.keyword for token in tokens]
        self._at = 0

    def take(self, *wanted: str) -> bool:
        """Step over words if they come next, and tell whether they did."""
        found = tuple(self._keywords[self._at : self._at + len(wanted)]) == wanted
        self._at += len(wanted) if found else 0
        return found

    def take_any(self, words: frozenset[str]) -> set[str]:
        """Step over all words of a set that come next, and return them."""
        start = self._at
        while self._at < len(self._keywords) and self._keywords[self._at] in words:
            self._at += 1
        return set(self._keywords[start : self._at])

    def next(self) -> str:
        """Return the next word; empty at the end and for names in quotes."""
        return self._keywords[self._at] if self._at < len(self._keywords) else ""

    def kind(self) -> str:
        """Step over modifiers and a kind of objects, and return the kind; empty for none."""
        self.take_any(_MODIFIERS)
        kind = next((kind for kind in KINDS if self.take(*kind)), ())
        return "ROLE" if kind in {("USER",), ("GROUP",)} else " ".join(kind)

    def name(self) -> tuple[str, ...]:
        """Step over a qualified name, and return its parts; none where no name comes next."""
        parts: list[str] = []
        while self._at < len(self._tokens) and self._tokens[self._at].is_name:
            parts.append(self._tokens[self._at].value)
            self._at += 1
            if not self.take("."):
                break
        return tuple(parts)

    def skip_to(self, *words: str) -> bool:
        """Step over the next of some words, and tell whether there is one."""
        places = [
            index
            for index in range(self._at, len(self._keywords))
            if self._keywords[index] in words
        ]
        self._at = places[0] + 1 if places else len(self._keywords)
        return bool(places)

    def items(self) -> Iterator[Words]:
        """Yield the rest, split at the commas that aren't within parentheses."""
        depth = 0
        start = self._at
        for index in range(self._at, len(self._tokens)):
            word = self._keywords[index]
            depth += (word in {"(", "["}) - (word in {")", "]"})
            if word == "," and depth == 0:
                yield Words(self._tokens[start:index])
                start = index + 1
        yield Words(self._tokens[start:])


def changes_of(tokens: Sequence[Token]) -> Iterator[Change]:
    """Yield what a statement seems to do to the schema, in order.

    Parameters:
        tokens: the statement.
    """
    words = Words(tokens)
    action = next((action for word, action in _ACTIONS.items() if words.take(word)), None)
    temporary = any(token.keyword in {"TEMP", "TEMPORARY"} for token in tokens[1:4])
    kind = words.kind()
    if action is None or kind in _WITHOUT_CHANGES:
        return
    words.take("CONCURRENTLY")
    _ = words.take("IF", "NOT", "EXISTS") or words.take("IF", "EXISTS")
    words.take("ONLY")
    if action is Action.REMOVED:
        for item in words.items():
            yield from _named(action, kind, item)
    elif action is Action.CHANGED and kind in {"TABLE", "FOREIGN TABLE"}:
        yield from _alter_table(kind, words)
    elif temporary and action is Action.CREATED:
        yield Change(action, _object(kind, (TEMPORARY, *words.name()[-1:])))
    else:
        yield from _named(action, kind, words)


def _named(action: Action, kind: str, words: Words) -> Iterator[Change]:
    if kind == "INDEX" and action is Action.CREATED:
        yield Change(action, _new_index(words))
        return
    names = words.name()
    if not names:
        return
    if kind not in _IN_TABLES:
        yield Change(action, _object(kind, names))
    elif _skip_to_table(kind, words):
        yield Change(action, _object(kind, words.name(), names[-1]))


def _new_index(words: Words) -> SchemaObject:
    """Return the index of CREATE INDEX, which is in the schema of its table."""
    name = words.name() if words.next() != "ON" else ("",)
    words.skip_to("ON")
    words.take("ONLY")
    return _object("INDEX", (*words.name()[:-1], *name[-1:]))


def _skip_to_table(kind: str, words: Words) -> bool:
    """Step to the table of a trigger, policy or rule; CREATE RULE names it after TO."""
    if kind != "RULE":
        return words.skip_to("ON")
    if words.take("AS"):
        return words.skip_to("TO")
    return words.skip_to("ON", "TO")


def _object(kind: str, names: Sequence[str], part: str = "") -> SchemaObject:
    return SchemaObject(
        kind, names[-2] if len(names) > 1 else None, names[-1] if names else "", part
    )


def _alter_table(kind: str, words: Words) -> Iterator[Change]:
    table = words.name()
    words.take("*")
    for item in words.items():
        action, part_kind, part = _table_action(item)
        yield Change(action, _object(part_kind or kind, table, part))


def _table_action(words: Words) -> tuple[Action, str, str]:
    """Return the effect of one action of ALTER TABLE, the kind of the part, and its name."""
    if words.take("ADD"):
        return Action.CREATED, *_part(words)
    if words.take("DROP"):
        return Action.REMOVED, *_part(words)
    if words.take("ALTER") and words.next() != "CONSTRAINT":
        return _alter_column(words)
    return Action.CHANGED, "", ""


def _alter_column(words: Words) -> tuple[Action, str, str]:
    _, column = _part(words)
    if words.take("SET", "DEFAULT"):
        return Action.CREATED, "DEFAULT", column
    if words.take("DROP", "DEFAULT"):
        return Action.REMOVED, "DEFAULT", column
    return Action.CHANGED, "COLUMN", column


def _part(words: Words) -> tuple[str, str]:
    if words.take("CONSTRAINT"):
        _ = words.take("IF", "EXISTS")
        return "CONSTRAINT", "".join(words.name()[-1:])
    if words.next() in _NO_COLUMNS:
        return "CONSTRAINT", ""
    words.take("COLUMN")
    _ = words.take("IF", "NOT", "EXISTS") or words.take("IF", "EXISTS")
    return "COLUMN", "".join(words.name()[-1:])
