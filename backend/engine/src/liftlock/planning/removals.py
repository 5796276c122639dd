"""Schema objects that a revision removes for a while.

Many revisions drop a view and create it again, disable a trigger and enable it again, or rename a
table and create a new one by its old name. In one transaction that is safe: other sessions see
either the old object or the new one. Liftlock may commit between two operations of a revision, for
example before an index is built concurrently. If it did so between DROP VIEW and the CREATE VIEW
that follows, queries of the application would fail meanwhile because the view is missing. While a
trigger is disabled, rows would be written without it. So nothing may be committed while such an
object is missing and a later statement restores it.

This module says which objects a statement removes, which of them later statements restore, and
which kinds of objects revisions usually restore.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from liftlock.sql import Action, Change, SchemaObject, Statement, parse
from liftlock.sql.statement import TEMPORARY

LEFTOVER = "left over"
POLICIES = "POLICIES"
_OBJECTS = frozenset(
    {
        "AGGREGATE",
        "DOMAIN",
        "FUNCTION",
        "MATERIALIZED VIEW",
        "POLICY",
        "PROCEDURE",
        "RULE",
        "TABLE",
        "TRIGGER",
        "TYPE",
        "VIEW",
    }
)
_PARTS = frozenset({"COLUMN", "DEFAULT"})
_STATES = frozenset(
    {"ENABLED RULE", "ENABLED TRIGGER", "FORCE ROW LEVEL SECURITY", "ROW LEVEL SECURITY"}
)
_MISSED = _OBJECTS | _PARTS | _STATES
"""The kinds that an application misses; it works without an index or a constraint."""
_FAMILIES = dict.fromkeys(("MATERIALIZED VIEW", "TABLE", "VIEW"), "relation")
_SELDOM_RESTORED = frozenset({"COLUMN", "TABLE", LEFTOVER})
_EVERY_TRIGGER = frozenset({"ALL", "USER"})


@dataclass(frozen=True, slots=True)
class Leftover:
    """A renamed object, such as ``mood_old``, that the revision is going to drop.

    It is left over once another object has its old name. Nothing may be committed before it is
    dropped, because others would see it.

    Parameters:
        schema: its schema; None where the statement names none.
        name: its new name.
        replaced: the object whose place another one has to take; None once that is done.
    """

    schema: str | None
    name: str
    replaced: SchemaObject | None = None

    @property
    def kind(self) -> str:
        """Return the kind of all leftovers."""
        return LEFTOVER

    @property
    def part(self) -> str:
        """Return nothing: a leftover is no part of a table."""
        return ""


Missing = SchemaObject | Leftover
"""An object that others miss, or a leftover that waits for its end."""


def removed_by(sql: str) -> tuple[Missing, ...]:
    """Return the objects that others miss after a statement.

    Parameters:
        sql: the statement, or several. An object that one of them removes and a later one creates
            isn't missing.
    """
    missing: tuple[Missing, ...] = ()
    for action, changed in visible_changes(sql):
        missing = (*missing, changed) if action is Action.REMOVED else _without(missing, [changed])
    return missing


@functools.lru_cache(maxsize=4096)
def created_by(sql: str) -> tuple[Missing, ...]:
    """Return the objects that others have after a statement, and the leftovers that it drops.

    Parameters:
        sql: the statement, or several.
    """
    return tuple(changed for action, changed in visible_changes(sql) if action is Action.CREATED)


def not_restored(missing: tuple[Missing, ...], sql: str) -> tuple[Missing, ...]:
    """Return the missing objects that are still missing after one more statement.

    Parameters:
        missing: the objects that are missing before it.
        sql: the statement, or several.
    """
    return _without(missing, created_by(sql))


def restored_by(missing: Iterable[Missing], coming: Iterable[str]) -> list[Missing]:
    """Return the missing objects that later statements restore.

    A leftover is among them when it is dropped and another object has its old name.

    Parameters:
        missing: the objects that are missing.
        coming: the statements that follow in the revision.
    """
    absent = list(missing)
    names = {one.name for one in absent} | {_replaced(one).name for one in absent}
    created = [one for sql in coming for one in created_by(sql) if one.name in names]
    restored = [one for one in absent if _is_among(one, created)]
    return [one for one in restored if not _waits(one) or _is_among(_replaced(one), created)]


def owners(missing: Missing) -> Iterator[SchemaObject]:
    """Yield a missing object, its table, and the column of a default.

    If the revision itself has created one of them, others have never seen the missing object.

    Parameters:
        missing: the missing object; a leftover has the object that it was as its owner.
    """
    if isinstance(missing, Leftover):
        if missing.replaced is not None:
            yield missing.replaced
        return
    yield missing
    yield SchemaObject("TABLE", missing.schema, missing.name)
    if missing.kind == "DEFAULT":
        yield SchemaObject("COLUMN", missing.schema, missing.name, missing.part)


def usually_restored(missing: Missing) -> bool:
    """Tell whether revisions seldom remove an object of this kind for good.

    That is so for triggers, views and defaults, but not for tables, columns and leftovers.

    Parameters:
        missing: the missing object.
    """
    return missing.kind not in _SELDOM_RESTORED


def is_same(one: Missing, other: Missing) -> bool:
    """Tell whether two descriptions fit the same object.

    A name without a schema may be in any schema. A table may take the place of a view, and a view
    that of a table. All triggers of a table include each of them.

    Parameters:
        one, other: the objects.
    """
    kinds = {_FAMILIES.get(kind, kind) for kind in (one.kind, other.kind)}
    schemas = {one.schema, other.schema} - {None}
    if len(kinds) > 1 or len(schemas) > 1 or one.name != other.name:
        return False
    if one.kind == "ENABLED TRIGGER" and not _EVERY_TRIGGER.isdisjoint({one.part, other.part}):
        return True
    return one.part == other.part


@functools.lru_cache(maxsize=4096)
def visible_changes(sql: str) -> tuple[tuple[Action, Missing], ...]:
    """Return what other sessions see removed and created once a statement is committed, in order.

    Parameters:
        sql: the statement, or several. Bodies of functions and of DO aren't included.
    """
    return tuple(change for statement in parse(sql).each for change in _changes(statement))


def _changes(statement: Statement) -> Iterator[tuple[Action, Missing]]:
    visible = [change for change in statement.changes if _is_missed(change)]
    if _is_rename(visible):
        yield from _rename(visible[0].object, visible[1].object)
        return
    for change in visible:
        yield change.action, change.object
        yield from _consequences(change)


def _is_missed(change: Change) -> bool:
    temporary = change.object.schema == TEMPORARY
    return change.object.kind in _MISSED and not temporary and change.action is not Action.CHANGED


def _is_rename(changes: list[Change]) -> bool:
    """Tell whether an object got a new name or schema: only ALTER removes and creates one kind."""
    if [change.action for change in changes] != [Action.REMOVED, Action.CREATED]:
        return False
    return changes[0].object.kind == changes[1].object.kind and changes[0].object.kind in _OBJECTS


def _rename(old: SchemaObject, new: SchemaObject) -> Iterator[tuple[Action, Missing]]:
    """Yield the changes of a rename or move."""
    yield Action.CREATED, new  # first, because it may be taken for the old one, which is missing
    yield Action.REMOVED, old
    if _own_name(old) != _own_name(new):
        yield Action.REMOVED, Leftover(new.schema, _own_name(new), old)


def _consequences(change: Change) -> Iterator[tuple[Action, Missing]]:
    """Yield the end of a dropped leftover, and the policies that row level security needs."""
    changed = change.object
    policies = SchemaObject(POLICIES, changed.schema, changed.name)
    if change.action is Action.REMOVED and changed.kind in _OBJECTS:
        yield Action.CREATED, Leftover(changed.schema, _own_name(changed))
    elif change.action is Action.CREATED and changed.kind == "ROW LEVEL SECURITY":
        yield Action.REMOVED, policies
    elif change.action is Action.CREATED and changed.kind == "POLICY":
        yield Action.CREATED, policies


def _own_name(missing: Missing) -> str:
    """Return the name of an object, and not that of its table."""
    return missing.part or missing.name


def _without(missing: tuple[Missing, ...], created: Iterable[Missing]) -> tuple[Missing, ...]:
    """Return what is still missing; a leftover whose old name is in use again has to be dropped."""
    present = list(created)
    names = {one.name for one in present}
    if not any(one.name in names or _waits(one) for one in missing):
        return missing
    still = (one for one in missing if not _is_among(one, present))
    return tuple(_replaced_if_taken(one, present) for one in still)


def _replaced_if_taken(missing: Missing, created: list[Missing]) -> Missing:
    if isinstance(missing, Leftover) and _waits(missing) and _is_among(_replaced(missing), created):
        return replace(missing, replaced=None)
    return missing


def _waits(missing: Missing) -> bool:
    return isinstance(missing, Leftover) and missing.replaced is not None


def _replaced(missing: Missing) -> Missing:
    """Return the object that a leftover was; for any other object itself."""
    if isinstance(missing, Leftover) and missing.replaced is not None:
        return missing.replaced
    return missing


def _is_among(missing: Missing, present: Iterable[Missing]) -> bool:
    return any(is_same(missing, one) for one in present)
