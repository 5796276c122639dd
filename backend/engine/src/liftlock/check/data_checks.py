"""What in the rows of a table would keep a revision from running: questions that look for it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from liftlock.broker.row_queries import RowQuery, RowsWanted
from liftlock.check.finding import Finding, Severity
from liftlock.check.rules.rule import FindingType
from liftlock.model.lock import LockMode
from liftlock.model.operation import ColumnDetails
from liftlock.shadow.observed import ObservedStatement
from liftlock.shadow.result import RevisionResult
from liftlock.shadow.schema import Schema, holds_all

DATA = FindingType(
    "LL-ROWS-VIOLATE",
    "rows of a real database would break the revision; looked for with `--data-url`",
    Severity.ERROR,
    "The revision would fail on them, or lose them.",
    "Correct those rows first.",
)
UNSEEN = FindingType(
    "LL-ROWS-NOT-CHECKED",
    "what depends on rows wasn't seen",
    Severity.NOTE,
    "It is looked for when the revision runs, and ends it.",
    "Look beforehand: liftlock check --data-url.",
)


@dataclass(frozen=True, slots=True)
class DataCheck:
    """Something to look for.

    Parameters:
        what: for people, behind "rows of …".
        table: as SQL text.
        table_oid: its identity.
        question: looks for it; None where there is none.
        unseen: why there is none.
    """

    what: str
    table: str
    table_oid: int
    question: RowQuery | None = None
    unseen: str = ""


def data_checks(checked: RevisionResult) -> Iterator[DataCheck]:
    """What to look for in a database that a revision is going to change."""
    before, after = checked.before, checked.after
    yield from _columns(checked)
    yield from _expressions(before, after)
    demanded = {one.demand for one in before.uniques.values()} | {
        one.demand for one in before.keys.values()
    }
    for _, one in sorted(after.uniques.items()):
        if one.demand in demanded or not _known(before, one.table_oid, one.columns):
            continue
        what = f"have the same {', '.join(one.columns)}, which are to be unique"
        yield DataCheck(
            what, one.table, one.table_oid, RowQuery(RowsWanted.SAME, one.table, one.columns)
        )
    for _, key in sorted(after.keys.items()):
        if key.demand in demanded or not _known(before, key.table_oid, key.columns):
            continue
        what = f"refer to nothing in {key.refers}, by {', '.join(key.columns)}"
        if key.refers not in before.tables.values():
            yield DataCheck(
                what, key.table, key.table_oid, unseen="the revision makes that table itself"
            )
            continue
        asked = RowQuery(
            RowsWanted.ORPHANED, key.table, key.columns, key.refers, key.refers_columns
        )
        yield DataCheck(what, key.table, key.table_oid, asked)


def _columns(checked: RevisionResult) -> Iterator[DataCheck]:
    before, after = checked.before, checked.after
    for place, new in sorted(after.columns.items()):
        old = before.columns.get(place)
        if old is None or new.inherited:
            continue
        asked = RowQuery(RowsWanted.NULL, old.table, (old.name,))
        if new.not_null and not old.not_null:
            yield DataCheck(
                f"have no {old.name}, which is to be not null", old.table, place[0], asked
            )
        if new.type != old.type and not holds_all(old.type, new.type):
            what = f"have a value of {old.name} that is no {new.type}"
            if _converts(checked, place[0], old.name):
                yield DataCheck(
                    what,
                    old.table,
                    place[0],
                    unseen="the revision makes the new value by an expression of its own",
                )
            else:
                yield DataCheck(
                    what, old.table, place[0], replace(asked, rows=RowsWanted.UNFIT, type=new.type)
                )


def _converts(checked: RevisionResult, table: int, column: str) -> bool:
    """Whether a revision says how values become those of another type: by USING, in an operation or in a statement of its own."""
    for one in checked.statements:
        parts = one.operation.details
        if (
            one.own == table
            and isinstance(parts, ColumnDetails)
            and parts.name == column
            and parts.using
        ):
            return True
        raw = one.kind in {"execute", "connection"} and any(held.oid == table for held in one.held)
        if raw and re.search(r"\bTYPE\b.*\bUSING\b", one.sql, re.IGNORECASE | re.DOTALL):
            return True
    return False


def _expressions(before: Schema, after: Schema) -> Iterator[DataCheck]:
    """What only the revision's own expressions can tell; they are sent nowhere."""
    demanded = {one.demand for one in before.checks.values()}
    for _, one in sorted(after.checks.items()):
        if (
            one.demand not in demanded
            and one.table_oid in before.tables
            and (not one.columns or _known(before, one.table_oid, one.columns))
        ):
            yield DataCheck(
                f"don't satisfy {one.name}",
                one.table,
                one.table_oid,
                unseen="the revision's own expression isn't sent there",
            )


def _known(before: Schema, table: int, columns: tuple[str, ...]) -> bool:
    """Whether a table has had all of these columns."""
    return set(columns) <= {
        column.name for (oid, _), column in before.columns.items() if oid == table
    }


def unchecked_findings(checked: RevisionResult) -> Iterator[Finding]:
    """What the shadow can't show of a revision, since its tables are empty; a type that the server changes in place loses nothing."""
    rewritten = {name for one in checked.statements for name in one.work.rewrites}
    texts = [
        f"whether rows of {one.table} {one.what}"
        for one in data_checks(checked)
        if not _of_type(one) or one.table in rewritten
    ]
    if texts:
        what = "\n".join(("the tables on which it was tried are empty; not seen is", *texts))
        yield UNSEEN.found(what, revision=checked.revision.id, path=checked.path)


def _of_type(hazard: DataCheck) -> bool:
    return hazard.question is not None and hazard.question.rows is RowsWanted.UNFIT


def found_in_rows(checked: RevisionResult, hazard: DataCheck, text: str, *, seen: bool) -> Finding:
    """What was found in a real database, as a finding.

    Parameters:
        checked: the revision.
        hazard: what was looked for.
        text: the rows; or why they couldn't be looked for.
        seen: whether they were.
    """
    place = {"revision": checked.revision.id, "path": checked.path}
    if not seen:
        what = f"whether rows of {hazard.table} {hazard.what}, wasn't seen: {text}"
        return UNSEEN.found(
            what, now="Look for yourself, or give it a replica with less to do.", **place
        )
    what = f"rows of {hazard.table} {hazard.what}:\n{text}"
    if any(_changes_rows(one, hazard.table_oid) for one in checked.statements):
        why, now = (
            "The revision changes rows of that table itself.",
            "Make sure that it corrects these.",
        )
        return DATA.found(what, severity=Severity.NOTE, why=why, now=now, **place)
    return DATA.found(what, **place)


def _changes_rows(one: ObservedStatement, table: int) -> bool:
    return one.kind != "bulk_insert" and any(
        held.oid == table and held.mode is LockMode.ROW_EXCLUSIVE for held in one.taken
    )


def unknown_sizes(error: str) -> Iterator[Finding]:
    """The sizes of the tables weren't seen.

    Parameters:
        error: why; empty when they were.
    """
    if error:
        why, now = (
            "No step's time could be estimated.",
            "Look again later, or give it a replica with less to do.",
        )
        yield UNSEEN.found(f"how large the tables are, wasn't seen: {error}", why=why, now=now)
