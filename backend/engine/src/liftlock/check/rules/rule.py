"""What a rule is."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from liftlock.check.finding import Finding, Severity
from liftlock.model.lock import LockMode
from liftlock.model.operation import ColumnDetails, ConstraintDetails, first_words
from liftlock.shadow.observed import ObservedStatement
from liftlock.shadow.result import RevisionResult

CHANGES_TABLE = frozenset(LockMode) - {
    LockMode.ACCESS_SHARE,
    LockMode.ROW_SHARE,
    LockMode.ROW_EXCLUSIVE,
}
"""Locks of statements that change a table, and not only rows."""


@dataclass(frozen=True, slots=True)
class Example:
    """Bodies of a revision: its upgrade and its downgrade, on the tables of the examples."""

    upgrade: str
    downgrade: str


@dataclass(frozen=True, slots=True)
class Match:
    """Where a rule hits.

    Parameters:
        what: what was found, with the reader's own names.
        line: in the revision's file.
        allowed: what the revision allows there, with reasons.
        now: another remedy than the rule's own.
        why: another reason than the rule's own.
        code: another code than the rule's own.
    """

    what: str
    line: int | None = None
    allowed: tuple[tuple[str, str], ...] = ()
    now: str = ""
    why: str = ""
    code: str = ""


def truncates(one: ObservedStatement) -> bool:
    """Whether a statement is TRUNCATE: its table gets a new file, and is brief; the server's reports don't tell it from others."""
    return first_words(one.sql) == ["TRUNCATE"]


def requires_value(one: ObservedStatement) -> bool:
    """A new column that must not be null and has no value: it gets through on an empty table only, where a scan is nothing."""
    parts = one.operation.details
    new = one.kind == "add_column" and isinstance(parts, ColumnDetails)
    return (
        new
        and isinstance(parts, ColumnDetails)
        and parts.not_null
        and not parts.default
        and not parts.special
    )


def match(what: str, statement: ObservedStatement | None) -> Match:
    """A hit at a statement, with what is allowed there."""
    if statement is None:
        return Match(what)
    return Match(what, statement.line, tuple(statement.operation.allowed.items()))


def find_statement(
    checked: RevisionResult, kinds: Collection[str], table: int, columns: tuple[str, ...], name: str
) -> ObservedStatement | None:
    """The statement that did something: an operation's, else a raw one that has changed the table, else one that names it.

    Parameters:
        checked: the revision.
        kinds: of operations that do such things.
        table: the table's identity.
        columns: its columns; empty where it is about the table itself.
        name: of the constraint, column or table.
    """
    for one in checked.statements:
        parts = one.operation.details
        mine = (parts.name,) if isinstance(parts, ColumnDetails) else getattr(parts, "columns", ())
        named = isinstance(parts, ConstraintDetails) and parts.name == name
        if one.kind in kinds and one.own == table and (not columns or mine == columns or named):
            return one
    raw = [
        one
        for one in checked.statements
        if one.kind in {"execute", "connection"} and not one.work.updates
    ]
    names = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE)
    changed = [
        one
        for one in raw
        if any(held.oid == table and held.mode in CHANGES_TABLE for held in one.held)
    ]
    first = [
        one
        for one in changed
        if any(held.oid == table and held.mode in CHANGES_TABLE for held in one.taken)
    ]
    for likely in (
        [one for one in changed if names.search(one.sql)],
        first,
        [one for one in raw if names.search(one.sql)],
    ):
        if likely:
            return likely[0]
    return None


@dataclass(frozen=True, slots=True)
class FindingType:
    """What findings of one code have in common.

    Parameters:
        code: its stable name.
        title: what is found, in a few words.
        severity: how much that matters.
        why: why it matters.
        now: what to do instead.
    """

    code: str
    title: str
    severity: Severity
    why: str
    now: str

    def found(self, what: str, **other: Any) -> Finding:
        """A finding.

        Parameters:
            what: what was found, with the reader's own names.
            other: what else a finding has, or has otherwise.
        """
        common = {"code": self.code, "severity": self.severity, "why": self.why, "now": self.now}
        return Finding(
            what=what, **common | {name: value for name, value in other.items() if value}
        )


@dataclass(frozen=True, slots=True)
class Rule(FindingType):
    """A judgement of a revision.

    Parameters:
        code, title, severity, why, now: as of its kind.
        judge: finds the hits; of a revision, and of the way it is to be run: ``plain`` or ``liftlock``.
        bad: an example that it finds.
        good: the same end without it.
        only: the way that it judges; both by default.
        placed: whether its hits are at operations, where the revision can allow them.
    """

    judge: Callable[[RevisionResult, str], Iterable[Match]]
    bad: Example
    good: Example
    only: str = ""
    placed: bool = True

    def findings(
        self, checked: RevisionResult, way: str, allowed: dict[tuple[str, str], str]
    ) -> Iterable[Finding]:
        """What it finds in a revision.

        Parameters:
            checked: the revision.
            way: how it is to be run.
            allowed: reasons, by code and revision; an empty revision means all of them.
        """
        for match in self.judge(checked, way) if self.only in ("", way) else ():
            code = match.code or self.code
            name = checked.revision.id
            because = (
                dict(match.allowed).get(code)
                or allowed.get((code, name))
                or allowed.get((code, ""))
                or ""
            )
            yield self.found(
                match.what,
                code=code,
                why=match.why,
                now=match.now,
                revision=name,
                path=checked.path,
                line=match.line,
                because=because,
            )
