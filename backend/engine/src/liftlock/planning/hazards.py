"""What in the rows of a table would keep a revision from running: queries that look for it, made from names alone.

Nothing that a revision wrote becomes a part of them, so a hostile one reaches no database by them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from liftlock.model.checked import Checked
from liftlock.model.finding import Finding, Severity
from liftlock.model.operation import quoted
from liftlock.model.schema import Schema, holds_all

SAMPLE = 5
_SOFT_INPUT = 160000
"""The first server that tells whether a text is a value of a type, without an error: ``pg_input_is_valid``."""


@dataclass(frozen=True, slots=True)
class Hazard:
    """Something to look for.

    Parameters:
        what: for people, behind "rows of …".
        table: as SQL text.
        sql: a query for some of the rows: their primary key, else their place; never other values.
        since: the first server version that understands it.
        parameters: of the query.
    """

    what: str
    table: str
    sql: str
    since: int = 0
    parameters: tuple[tuple[str, str], ...] = ()


def hazards(before: Schema, after: Schema) -> Iterator[Hazard]:
    """What to look for in a database that is as ``before`` and is to become as ``after``."""
    yield from _columns(before, after)
    demanded = {one.demand for one in before.uniques.values()} | {one.demand for one in before.keys.values()}
    for _, one in sorted(after.uniques.items()):
        if one.demand in demanded or not _known(before, one.table_oid, one.columns):
            continue
        listed = [quoted(name) for name in one.columns]
        present = " AND ".join(f"{name} IS NOT NULL" for name in listed)
        sql = f"SELECT CAST(min(ctid) AS text) AS first, count(*) AS times FROM {one.table} WHERE {present}"
        sql += f" GROUP BY {', '.join(listed)} HAVING count(*) > 1"
        yield Hazard(f"have the same {', '.join(one.columns)}, which are to be unique", one.table, f"{sql} LIMIT {SAMPLE}")
    for _, key in sorted(after.keys.items()):
        if key.demand in demanded or not _known(before, key.table_oid, key.columns) or key.refers not in before.tables.values():
            continue
        present = " AND ".join(f"t.{quoted(name)} IS NOT NULL" for name in key.columns)
        same = " AND ".join(f"r.{quoted(other)} = t.{quoted(name)}" for name, other in zip(key.columns, key.refers_columns, strict=True))
        sql = f"SELECT {_sample(before, key.table_oid, 't.')} FROM {key.table} AS t WHERE {present}"
        sql += f" AND NOT EXISTS (SELECT FROM {key.refers} AS r WHERE {same})"
        yield Hazard(f"refer to nothing in {key.refers}, by {', '.join(key.columns)}", key.table, f"{sql} LIMIT {SAMPLE}")


def _columns(before: Schema, after: Schema) -> Iterator[Hazard]:
    for place, new in sorted(after.columns.items()):
        old = before.columns.get(place)
        if old is None or new.inherited:
            continue
        name, sample = quoted(old.name), _sample(before, place[0])
        if new.not_null and not old.not_null:
            sql = f"SELECT {sample} FROM {old.table} WHERE {name} IS NULL LIMIT {SAMPLE}"
            yield Hazard(f"have no {old.name}, which is to be not null", old.table, sql)
        if new.type != old.type and not holds_all(old.type, new.type):
            sql = f"SELECT {sample} FROM {old.table} WHERE {name} IS NOT NULL AND NOT pg_input_is_valid(CAST({name} AS text), :kind)"
            what = f"have a value of {old.name} that is no {new.type}"
            yield Hazard(what, old.table, f"{sql} LIMIT {SAMPLE}", _SOFT_INPUT, (("kind", new.type),))


def _known(before: Schema, table: int, columns: tuple[str, ...]) -> bool:
    """Whether a table has had all of these columns."""
    return set(columns) <= {column.name for (oid, _), column in before.columns.items() if oid == table}


def _sample(schema: Schema, table: int, prefix: str = "") -> str:
    key = next((one.columns for one in schema.uniques.values() if one.table_oid == table and one.primary), ())
    return ", ".join(prefix + quoted(name) for name in key) or f"CAST({prefix}ctid AS text) AS ctid"


def unseen(checked: Checked) -> Iterator[Finding]:
    """What the shadow can't show of a revision, since its tables are empty; a type that the server changes in place loses nothing."""
    rewritten = {name for one in checked.statements for name in one.work.rewrites}
    texts = [
        f"whether rows of {one.table} {one.what}"
        for one in hazards(checked.before, checked.after)
        if not one.parameters or one.table in rewritten
    ]
    if texts:
        why, now = "It is looked for when the revision runs, and ends it.", "Look beforehand: liftlock check --data-url."
        what = "\n".join(("the tables on which it was tried are empty; not seen is", *texts))
        yield Finding("LL-DATA-UNSEEN", Severity.NOTE, what, why, now, checked.revision.id, checked.path)


def found_in_data(checked: Checked, hazard: Hazard, text: str, *, seen: bool) -> Finding:
    """What was found in a real database, as a finding.

    Parameters:
        checked: the revision.
        hazard: what was looked for.
        text: the rows; or why they couldn't be looked for.
        seen: whether they were.
    """
    if not seen:
        what = f"whether rows of {hazard.table} {hazard.what}, wasn't seen: {text}"
        why, now = "It will be looked for when the revision runs.", "Look for yourself, or give it a replica with less to do."
        return Finding("LL-DATA-UNSEEN", Severity.NOTE, what, why, now, checked.revision.id, checked.path)
    why, now = "The revision would fail on them, or lose them.", "Correct those rows first."
    return Finding("LL-DATA", Severity.ERROR, f"rows of {hazard.table} {hazard.what}:\n{text}", why, now, checked.revision.id, checked.path)
