"""What a revision takes away and puts back: in one transaction nobody sees what lies between."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from liftlock.model.operation import Operation, mask_literals


class Name(NamedTuple):
    """A name, and its schema where one is written."""

    schema: str | None
    name: str


class Thing(NamedTuple):
    """What others may miss.

    Parameters:
        kind: in SQL's words where it has one.
        name: its own, or that of the table of which it is a part.
        part: which part.
        instead: of what is left over under another name, the thing whose place is taken anew; None once it is taken.
    """

    kind: str
    name: Name
    part: str = ""
    instead: Thing | None = None

    def same(self, other: Thing) -> bool:
        """Whether it is the same thing; a name without a schema may be in any."""
        kinds = {_FAMILIES.get(one.kind, one.kind) for one in (self, other)}
        schemas = {self.name.schema, other.name.schema} - {None}
        return (
            len(kinds) == 1
            and len(schemas) <= 1
            and (self.name.name, self.part) == (other.name.name, other.part)
        )


_PART = r'(?:"(?:[^"]|"")+"|[\w$]+)'
_NAME = rf"{_PART}(?:\.{_PART})*"
_MADE = (
    r"MATERIALIZED\s+VIEW|VIEW|TABLE|FUNCTION|PROCEDURE|AGGREGATE|TRIGGER|POLICY|RULE|TYPE|DOMAIN"
)
_CREATE = re.compile(
    rf"CREATE\s+(?:OR\s+REPLACE\s+)?(?:(?:UNLOGGED|CONSTRAINT|RECURSIVE)\s+)?(?P<kind>{_MADE})\s+(?:IF\s+NOT\s+EXISTS\s+)?(?P<name>{_NAME})",
    re.IGNORECASE,
)
_DROP = re.compile(
    rf"DROP\s+(?P<kind>{_MADE})\s+(?:IF\s+EXISTS\s+)?(?P<names>.+)", re.IGNORECASE | re.DOTALL
)
_RENAME = re.compile(
    rf"ALTER\s+(?P<kind>{_MADE})\s+(?:IF\s+EXISTS\s+)?(?P<name>{_NAME})(?:\s+ON\s+{_NAME})?\s+RENAME\s+TO\s+(?P<new>{_NAME})",
    re.IGNORECASE,
)
_ALTER = re.compile(
    rf"ALTER\s+TABLE\s+(?:IF\s+EXISTS\s+)?(?:ONLY\s+)?(?P<name>{_NAME})\s", re.IGNORECASE
)
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
_TABLE_OF = {
    "TRIGGER": re.compile(rf"\sON\s+(?P<name>{_NAME})", re.IGNORECASE),
    "POLICY": re.compile(rf"\sON\s+(?P<name>{_NAME})", re.IGNORECASE),
    "RULE": re.compile(
        rf"\s(?:TO|ON(?!\s+(?:SELECT|INSERT|UPDATE|DELETE)\b))\s+(?P<name>{_NAME})", re.IGNORECASE
    ),
}
"""How the table is written of what has a name within one."""
_ARGUMENTS = re.compile(r"\([^)]*\)")
_COMMENTS = re.compile(r"/\*.*?\*/|--[^\n]*", re.DOTALL)
_BODIES = re.compile(r"\$(\w*)\$.*?\$\1\$", re.DOTALL)
_FAMILIES = dict.fromkeys(("VIEW", "MATERIALIZED VIEW", "TABLE"), "relation")
_LEFT_OVER = "left over"
_SELDOM_BACK = frozenset({"TABLE", "COLUMN", _LEFT_OVER})


def taken(sql: str) -> tuple[Thing, ...]:
    """What others miss after a statement."""
    missing: tuple[Thing, ...] = ()
    for away, thing in changes(sql):
        missing = (*missing, thing) if away else _without(missing, [thing])
    return missing


def still_missing(away: tuple[Thing, ...], sql: str) -> tuple[Thing, ...]:
    """What of this is still missing after one more statement."""
    return _without(away, _put(sql))


def put_back(away: Iterable[Thing], coming: Sequence[Operation]) -> list[Thing]:
    """What of this is put back.

    Parameters:
        away: what is missing.
        coming: what the revision asks for next.
    """
    names = {thing.name.name for thing in away}
    put = [thing for one in coming for thing in _put(one.sql) if thing.name.name in names]
    back = [thing for thing in away if any(thing.same(one) for one in put)]
    return [
        thing
        for thing in back
        if thing.instead is None or any(thing.instead.same(one) for one in put)
    ]


def wholes(thing: Thing) -> Iterator[Thing]:
    """What something is, or is a part of, or leaves to be filled."""
    if thing.kind == _LEFT_OVER:
        if thing.instead is not None:
            yield thing.instead
        return
    yield thing
    yield Thing("TABLE", thing.name)
    if thing.kind == "DEFAULT":
        yield Thing("COLUMN", thing.name, thing.part)


def mostly_comes_back(thing: Thing) -> bool:
    """Whether it is of a kind that is seldom taken away for good: a trigger, a view, a default, but no table or column."""
    return thing.kind not in _SELDOM_BACK


def _without(missing: tuple[Thing, ...], put: Sequence[Thing]) -> tuple[Thing, ...]:
    """What is still missing; what is left over of a thing that is there again waits for nothing but its own end."""
    names = {one.name.name for one in put}
    if not any(thing.name.name in names or thing.instead is not None for thing in missing):
        return missing
    still = [thing for thing in missing if not any(thing.same(one) for one in put)]
    filled = [
        thing.instead is not None and any(thing.instead.same(one) for one in put) for thing in still
    ]
    return tuple(
        thing._replace(instead=None) if full else thing
        for thing, full in zip(still, filled, strict=True)
    )


@functools.lru_cache(maxsize=4096)
def _put(sql: str) -> tuple[Thing, ...]:
    """What others have after a statement."""
    return tuple(thing for away, thing in changes(sql) if not away)


@functools.lru_cache(maxsize=4096)
def changes(sql: str) -> tuple[tuple[bool, Thing], ...]:
    """What is taken away, or put there, in order; what the body of a function does isn't done yet."""
    text = _COMMENTS.sub(" ", mask_literals(_BODIES.sub(" ", sql)))
    return tuple(change for statement in text.split(";") for change in _change(statement.strip()))


def _change(text: str) -> Iterator[tuple[bool, Thing]]:
    if found := _CREATE.match(text):
        thing = _thing(found["kind"], found["name"], text)
        yield False, thing
        if thing.kind == "POLICY":
            yield False, Thing("POLICIES", thing.name)
    elif found := _DROP.match(text):
        for dropped in _ARGUMENTS.sub("", found["names"]).split(","):
            name = dropped.split(maxsplit=1)[0]
            yield True, _thing(found["kind"], name, text)
            yield False, Thing(_LEFT_OVER, _named(name))
    elif found := _RENAME.match(text):
        old = _thing(found["kind"], found["name"], text)
        yield True, old
        yield False, _thing(found["kind"], found["new"], text)
        yield True, Thing(_LEFT_OVER, _named(found["new"]), instead=old)
    elif found := _ALTER.match(text):
        yield from _actions(_named(found["name"]), text[found.end() :])


def _actions(table: Name, text: str) -> Iterator[tuple[bool, Thing]]:
    for action in _ACTION.finditer(text):
        if what := (action["off"] and action["what"]) or (action["on"] and action["what_on"]):
            enforced = " ".join(what.upper().split())
            yield bool(action["off"]), Thing(f"ENABLED {enforced}", table)
            if enforced == "ROW LEVEL" and action["on"]:
                yield True, Thing("POLICIES", table)  # without one nobody sees a row
        elif column := action["no_default"] or action["default"]:
            yield bool(action["no_default"]), Thing("DEFAULT", table, _named(column).name)
        for away, column in (
            (True, action["dropped"] or action["old"]),
            (False, action["added"] or action["new"]),
        ):
            if column:
                yield away, Thing("COLUMN", table, _named(column).name)


def _thing(kind: str, name: str, text: str) -> Thing:
    kind = " ".join(kind.upper().split())
    table = _TABLE_OF[kind].search(text) if kind in _TABLE_OF else None
    return (
        Thing(kind, _named(table["name"]), _named(name).name)
        if table
        else Thing(kind, _named(name))
    )


def _named(name: str) -> Name:
    parts = [
        part[1:-1] if part.startswith('"') else part.lower() for part in re.findall(_PART, name)
    ]
    return Name(parts[-2] if len(parts) > 1 else None, parts[-1])
