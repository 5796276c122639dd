"""What in the rows of a table would keep a revision from running: queries that look for it, made from names alone.

Nothing that a revision wrote becomes a part of them, so a hostile one reaches no database by them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from liftlock.model.checked import Checked
from liftlock.model.finding import Finding, Severity
from liftlock.model.lock import LockMode
from liftlock.model.observed import Observed
from liftlock.model.operation import ColumnParts, quoted
from liftlock.model.schema import Schema, holds_all
from liftlock.planning.rules.rule import Kind

SAMPLE = 5
DATA = Kind(
    "LL-DATA",
    "rows of a real database would break the revision; looked for with `--data-url`",
    Severity.ERROR,
    "The revision would fail on them, or lose them.",
    "Correct those rows first.",
)
UNSEEN = Kind(
    "LL-DATA-UNSEEN",
    "what depends on rows wasn't seen",
    Severity.NOTE,
    "It is looked for when the revision runs, and ends it.",
    "Look beforehand: liftlock check --data-url.",
)
_SOFT_INPUT = 160000
"""The first server that tells whether a text is a value of a type, without an error: ``pg_input_is_valid``."""


@dataclass(frozen=True, slots=True)
class Hazard:
    """Something to look for.

    Parameters:
        what: for people, behind "rows of …".
        table: as SQL text.
        table_oid: its identity.
        sql: a query for some of the rows: their primary key, else their place; never other values. Empty where there is none.
        since: the first server version that understands it.
        parameters: of the query.
        unseen: why there is no query.
    """

    what: str
    table: str
    table_oid: int
    sql: str = ""
    since: int = 0
    parameters: tuple[tuple[str, str], ...] = ()
    unseen: str = ""


def hazards(checked: Checked) -> Iterator[Hazard]:
    """What to look for in a database that a revision is going to change."""
    before, after = checked.before, checked.after
    yield from _columns(checked)
    yield from _expressions(before, after)
    demanded = {one.demand for one in before.uniques.values()} | {one.demand for one in before.keys.values()}
    for _, one in sorted(after.uniques.items()):
        if one.demand in demanded or not _known(before, one.table_oid, one.columns):
            continue
        listed = [quoted(name) for name in one.columns]
        present = " AND ".join(f"{name} IS NOT NULL" for name in listed)
        sql = f"SELECT CAST(min(ctid) AS text) AS first, count(*) AS times FROM {one.table} WHERE {present}"
        sql += f" GROUP BY {', '.join(listed)} HAVING count(*) > 1"
        yield Hazard(f"have the same {', '.join(one.columns)}, which are to be unique", one.table, one.table_oid, f"{sql} LIMIT {SAMPLE}")
    for _, key in sorted(after.keys.items()):
        if key.demand in demanded or not _known(before, key.table_oid, key.columns):
            continue
        what = f"refer to nothing in {key.refers}, by {', '.join(key.columns)}"
        if key.refers not in before.tables.values():
            yield Hazard(what, key.table, key.table_oid, unseen="the revision makes that table itself")
            continue
        present = " AND ".join(f"t.{quoted(name)} IS NOT NULL" for name in key.columns)
        same = " AND ".join(f"r.{quoted(other)} = t.{quoted(name)}" for name, other in zip(key.columns, key.refers_columns, strict=True))
        sql = f"SELECT {_sample(before, key.table_oid, 't.')} FROM {key.table} AS t WHERE {present}"
        sql += f" AND NOT EXISTS (SELECT FROM {key.refers} AS r WHERE {same})"
        yield Hazard(what, key.table, key.table_oid, f"{sql} LIMIT {SAMPLE}")


def _columns(checked: Checked) -> Iterator[Hazard]:
    before, after = checked.before, checked.after
    for place, new in sorted(after.columns.items()):
        old = before.columns.get(place)
        if old is None or new.inherited:
            continue
        name, sample = quoted(old.name), _sample(before, place[0])
        if new.not_null and not old.not_null:
            sql = f"SELECT {sample} FROM {old.table} WHERE {name} IS NULL LIMIT {SAMPLE}"
            yield Hazard(f"have no {old.name}, which is to be not null", old.table, place[0], sql)
        if new.type != old.type and not holds_all(old.type, new.type):
            sql = f"SELECT {sample} FROM {old.table} WHERE {name} IS NOT NULL AND NOT pg_input_is_valid(CAST({name} AS text), :kind)"
            what = f"have a value of {old.name} that is no {new.type}"
            if _converts(checked, place[0], old.name):
                yield Hazard(what, old.table, place[0], unseen="the revision makes the new value by an expression of its own")
            else:
                yield Hazard(what, old.table, place[0], f"{sql} LIMIT {SAMPLE}", _SOFT_INPUT, (("kind", new.type),))


def _converts(checked: Checked, table: int, column: str) -> bool:
    """Whether a revision says how values become those of another type: by USING, in an operation or in a statement of its own."""
    for one in checked.statements:
        parts = one.operation.parts
        if one.own == table and isinstance(parts, ColumnParts) and parts.name == column and parts.using:
            return True
        raw = one.kind in {"execute", "connection"} and any(held.oid == table for held in one.held)
        if raw and re.search(r"\bTYPE\b.*\bUSING\b", one.sql, re.IGNORECASE | re.DOTALL):
            return True
    return False


def _expressions(before: Schema, after: Schema) -> Iterator[Hazard]:
    """What only the revision's own expressions can tell; they are sent nowhere."""
    demanded = {one.demand for one in before.checks.values()}
    for _, one in sorted(after.checks.items()):
        if (
            one.demand not in demanded
            and one.table_oid in before.tables
            and (not one.columns or _known(before, one.table_oid, one.columns))
        ):
            yield Hazard(f"don't satisfy {one.name}", one.table, one.table_oid, unseen="the revision's own expression isn't sent there")


def _known(before: Schema, table: int, columns: tuple[str, ...]) -> bool:
    """Whether a table has had all of these columns."""
    return set(columns) <= {column.name for (oid, _), column in before.columns.items() if oid == table}


def _sample(schema: Schema, table: int, prefix: str = "") -> str:
    key = next((one.columns for one in schema.uniques.values() if one.table_oid == table and one.primary), ())
    return ", ".join(prefix + quoted(name) for name in key) or f"CAST({prefix}ctid AS text) AS ctid"


def unseen(checked: Checked) -> Iterator[Finding]:
    """What the shadow can't show of a revision, since its tables are empty; a type that the server changes in place loses nothing."""
    rewritten = {name for one in checked.statements for name in one.work.rewrites}
    texts = [f"whether rows of {one.table} {one.what}" for one in hazards(checked) if not one.parameters or one.table in rewritten]
    if texts:
        what = "\n".join(("the tables on which it was tried are empty; not seen is", *texts))
        yield UNSEEN.found(what, revision=checked.revision.id, path=checked.path)


def found_in_data(checked: Checked, hazard: Hazard, text: str, *, seen: bool) -> Finding:
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
        return UNSEEN.found(what, now="Look for yourself, or give it a replica with less to do.", **place)
    what = f"rows of {hazard.table} {hazard.what}:\n{text}"
    if any(_changes_rows(one, hazard.table_oid) for one in checked.statements):
        why, now = "The revision changes rows of that table itself.", "Make sure that it corrects these."
        return DATA.found(what, severity=Severity.NOTE, why=why, now=now, **place)
    return DATA.found(what, **place)


def _changes_rows(one: Observed, table: int) -> bool:
    return one.kind != "bulk_insert" and any(held.oid == table and held.mode is LockMode.ROW_EXCLUSIVE for held in one.taken)


def unsized(error: str) -> Iterator[Finding]:
    """The sizes of the tables weren't seen.

    Parameters:
        error: why; empty when they were.
    """
    if error:
        why, now = "No step's time could be estimated.", "Look again later, or give it a replica with less to do."
        yield UNSEEN.found(f"how large the tables are, wasn't seen: {error}", why=why, now=now)
