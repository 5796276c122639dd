"""What a revision takes away and puts back: in one transaction nobody sees what lies between."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from liftlock.model.operation import Operation, masked

Key = tuple[str, ...]

_PART = r'(?:"(?:[^"]|"")+"|[\w$]+)'
_NAME = rf"{_PART}(?:\.{_PART})*"
_MADE = r"MATERIALIZED\s+VIEW|VIEW|TABLE|FUNCTION|PROCEDURE|AGGREGATE|TRIGGER|POLICY|RULE|TYPE|DOMAIN"
_CREATE = re.compile(
    rf"CREATE\s+(?:OR\s+REPLACE\s+)?(?:(?:UNLOGGED|CONSTRAINT|RECURSIVE)\s+)?(?P<kind>{_MADE})\s+(?:IF\s+NOT\s+EXISTS\s+)?(?P<name>{_NAME})",
    re.IGNORECASE,
)
_DROP = re.compile(rf"DROP\s+(?P<kind>{_MADE})\s+(?:IF\s+EXISTS\s+)?(?P<names>.+)", re.IGNORECASE | re.DOTALL)
_RENAME = re.compile(rf"ALTER\s+(?P<kind>{_MADE})\s+(?:IF\s+EXISTS\s+)?(?P<name>{_NAME})\s+RENAME\s+TO\s+(?P<new>{_NAME})", re.IGNORECASE)
_ALTER = re.compile(rf"ALTER\s+TABLE\s+(?:IF\s+EXISTS\s+)?(?:ONLY\s+)?(?P<name>{_NAME})\s", re.IGNORECASE)
_ACTION = re.compile(
    rf"\b(?P<off>DISABLE|NO\s+FORCE)\s+(?P<what>TRIGGER|RULE|ROW\s+LEVEL)"
    rf"|\b(?P<on>ENABLE|FORCE)\s+(?:(?:ALWAYS|REPLICA)\s+)?(?P<what_on>TRIGGER|RULE|ROW\s+LEVEL)"
    rf"|\bALTER\s+(?:COLUMN\s+)?(?P<no_default>{_NAME})\s+DROP\s+DEFAULT"
    rf"|\bALTER\s+(?:COLUMN\s+)?(?P<default>{_NAME})\s+SET\s+DEFAULT"
    rf"|\bDROP\s+COLUMN\s+(?:IF\s+EXISTS\s+)?(?P<dropped>{_NAME})"
    rf"|\bADD\s+COLUMN\s+(?:IF\s+NOT\s+EXISTS\s+)?(?P<added>{_NAME})"
    rf"|\bRENAME\s+(?:COLUMN\s+)?(?!TO\b|CONSTRAINT\b)(?P<old>{_NAME})\s+TO\s+(?P<new>{_NAME})",
    re.IGNORECASE,
)
_ON = re.compile(rf"\sON\s+(?:TABLE\s+)?(?P<name>{_NAME})", re.IGNORECASE)
_ARGUMENTS = re.compile(r"\([^)]*\)")
_COMMENTS = re.compile(r"/\*.*?\*/|--[^\n]*", re.DOTALL)
_RELATIONS = frozenset({"VIEW", "MATERIALIZED VIEW", "TABLE"})


def still_to_come(operation: Operation, ahead: Sequence[Operation]) -> int:
    """How many of the operations that follow belong to the same transaction, up to the last that puts back what this one takes away.

    Parameters:
        operation: is about to be run.
        ahead: what the revision asks for after it.
    """
    taken = _taken(operation.sql)
    if not taken:
        return 0
    return max((number for number, one in enumerate(ahead, start=1) if taken & _put(one.sql)), default=0)


def _taken(sql: str) -> frozenset[Key]:
    """What others miss after a statement."""
    taken: set[Key] = set()
    for away, key in _changes(sql):
        (taken.add if away else taken.discard)(key)
    return frozenset(taken)


def _put(sql: str) -> frozenset[Key]:
    """What others have after a statement."""
    return frozenset(key for away, key in _changes(sql) if not away)


def _changes(sql: str) -> Iterator[tuple[bool, Key]]:
    """What is taken away, or put there, in order."""
    for statement in _COMMENTS.sub(" ", masked(sql)).split(";"):
        text = statement.strip()
        if found := _CREATE.match(text):
            yield False, _thing(found["kind"], found["name"])
            if found["kind"].upper() == "POLICY" and (table := _ON.search(text)):
                yield False, ("policies", _last(table["name"]))
        elif found := _DROP.match(text):
            for dropped in _ARGUMENTS.sub("", found["names"]).split(","):
                name = dropped.split(maxsplit=1)[0]
                yield True, _thing(found["kind"], name)
                yield False, ("leftover", _last(name))
        elif found := _RENAME.match(text):
            yield True, _thing(found["kind"], found["name"])
            yield False, _thing(found["kind"], found["new"])
            yield True, ("leftover", _last(found["new"]))
        elif found := _ALTER.match(text):
            yield from _actions(_last(found["name"]), text[found.end() :])


def _actions(table: str, text: str) -> Iterator[tuple[bool, Key]]:
    for action in _ACTION.finditer(text):
        if what := (action["off"] and action["what"]) or (action["on"] and action["what_on"]):
            enforced = " ".join(what.upper().split())
            yield bool(action["off"]), (enforced, table)
            if enforced == "ROW LEVEL" and action["on"]:
                yield True, ("policies", table)  # without one nobody sees a row
        elif column := action["no_default"] or action["default"]:
            yield bool(action["no_default"]), ("default", table, _last(column))
        for away, column in ((True, action["dropped"] or action["old"]), (False, action["added"] or action["new"])):
            if column:
                yield away, ("column", table, _last(column))


def _thing(kind: str, name: str) -> Key:
    kind = " ".join(kind.upper().split())
    return ("relation" if kind in _RELATIONS else kind, _last(name))


def _last(name: str) -> str:
    """A name without its schema: what is held together for no reason does no harm."""
    last: str = re.findall(_PART, name)[-1]
    return last[1:-1] if last.startswith('"') else last.lower()
