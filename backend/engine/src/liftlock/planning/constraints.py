"""Recipes for constraints: add them unproven under a brief lock, prove them while the traffic goes on.

https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES
"""

from __future__ import annotations

from dataclasses import replace

from liftlock.model.facts import Facts, Table
from liftlock.model.lock import LockMode
from liftlock.model.operation import ConstraintParts, Operation, quoted
from liftlock.model.step import Pace, Step
from liftlock.planning.concurrently import build
from liftlock.planning.forms import is_brief, phase, sample, subject
from liftlock.planning.names import automatic
from liftlock.planning.not_null import not_null
from liftlock.planning.partitions import Whole, foreign_key
from liftlock.planning.proofs import SAMPLE, look, validate
from liftlock.planning.refusals import refuse_unless_allowed

_PROVES_PARTITIONS = 180000


def create_check_constraint(operation: Operation, facts: Facts) -> list[Step] | None:
    """Look for rows that break it; add it NOT VALID; validate it."""
    table, parts = subject(operation, facts), operation.parts
    if not isinstance(parts, ConstraintParts) or table is None or is_brief(table, facts) or parts.not_valid:
        return None
    columns = facts.rehearsal.check_columns[0] if facts.rehearsal and facts.rehearsal.check_columns else ()
    name = parts.name or automatic(table.name, columns if len(columns) == 1 else (), "check", lambda name: name in table.constraint_names)
    return check(operation.relation, name, parts.expression, sample(table))


def check(relation: str, name: str, expression: str, shown: str) -> list[Step]:
    """A check on a table that others use.

    An old row that breaks a NOT VALID check can't be updated any more, in whatever column; so such rows
    are looked for first.
    """
    drop = f"ALTER TABLE {relation} DROP CONSTRAINT IF EXISTS {quoted(name)}"
    return [
        look(f"SELECT {shown} FROM {relation} WHERE NOT ({expression}) LIMIT {SAMPLE}"),
        Step(
            part="add",
            sql=f"ALTER TABLE {relation} ADD CONSTRAINT {quoted(name)} CHECK ({expression}) NOT VALID",
            pace=Pace.BRIEF,
            lock=LockMode.ACCESS_EXCLUSIVE,
        ),
        validate(relation, name, drop),
    ]


def create_foreign_key(operation: Operation, facts: Facts) -> list[Step] | None:
    """Look for orphans; add it NOT VALID, the referred table locked first; validate it."""
    table, parts = subject(operation, facts), operation.parts
    if not isinstance(parts, ConstraintParts) or table is None or parts.not_valid:
        return None
    if table.new or (is_brief(table, facts) and is_brief(facts.tables.get(parts.refers), facts)):
        return None
    name = parts.name or automatic(table.name, parts.columns, "fkey", lambda name: name in table.constraint_names)
    return referring(operation, table, parts, name, facts)


def referring(operation: Operation, table: Table, parts: ConstraintParts, name: str, facts: Facts) -> list[Step] | None:
    """A foreign key on a table that others use, with a name.

    Before PostgreSQL 18, VALIDATE leaves what a key to a partitioned table has for each of its partitions unproven for ever:
    https://www.postgresql.org/docs/18/release-18.html (and seen on 13 and 16)
    """
    relation, refers = operation.relation, facts.tables.get(parts.refers)
    if refers is not None and refers.kind == "p" and facts.server < _PROVES_PARTITIONS:
        refuse_unless_allowed(
            "LL-REWRITE",
            operation,
            facts,
            what=f"a foreign key from {operation.table} to {refers.name}, which is partitioned, is proven by this server while writes wait",
            remedy="Use PostgreSQL 18, which can prove it online",
        )
        return None
    drop = f"ALTER TABLE {relation} DROP CONSTRAINT IF EXISTS {quoted(name)}"
    steps = (
        [look(_orphans(_own(relation, table), parts, _own(parts.refers, refers), sample(table, "child")))] if parts.refers_columns else []
    )
    if table.kind == "p":
        add = f"ALTER TABLE {relation} ADD CONSTRAINT {quoted(name)} {parts.definition}"
        both = tuple(dict.fromkeys([parts.refers, relation]))
        above = Step(part="add", sql=add, pace=Pace.BRIEF, lock=LockMode.SHARE_ROW_EXCLUSIVE, tables=both)
        return [*steps, *foreign_key(table, parts, name, above)]
    return [
        *steps,
        Step(
            part="add",
            sql=f"ALTER TABLE {relation} ADD CONSTRAINT {quoted(name)} {parts.definition} NOT VALID",
            pace=Pace.BRIEF,
            lock=LockMode.SHARE_ROW_EXCLUSIVE,
            tables=tuple(dict.fromkeys([parts.refers, relation])),
        ),
        validate(relation, name, drop),
    ]


def _own(relation: str, table: Table | None) -> str:
    """The rows that a foreign key is about: not those of tables that inherit."""
    return relation if table is None or table.kind == "p" else f"ONLY {relation}"


def _orphans(child: str, parts: ConstraintParts, parent: str, shown: str) -> str:
    pairs = zip(parts.columns, parts.refers_columns, strict=True)
    same = " AND ".join(f"parent.{quoted(other)} = child.{quoted(mine)}" for mine, other in pairs)
    given = " AND ".join(f"child.{quoted(mine)} IS NOT NULL" for mine in parts.columns)
    orphan = f"NOT EXISTS (SELECT FROM {parent} AS parent WHERE {same})"
    return f"SELECT {shown} FROM {child} AS child WHERE {given} AND {orphan} LIMIT {SAMPLE}"


def create_unique_constraint(operation: Operation, facts: Facts) -> list[Step] | None:
    """Build a unique index concurrently; make it a constraint under a brief lock."""
    table, parts = subject(operation, facts), operation.parts
    if not isinstance(parts, ConstraintParts) or table is None or is_brief(table, facts):
        return None
    return _from_index(operation, table, parts, "UNIQUE", facts)


def create_primary_key(operation: Operation, facts: Facts) -> list[Step] | None:
    """Prove the columns not null; then as a unique constraint: the index alone would scan for nulls."""
    table, parts = subject(operation, facts), operation.parts
    if not isinstance(parts, ConstraintParts) or table is None or is_brief(table, facts):
        return None
    columns = [table.column(name) for name in parts.columns]
    nullable = [one.name for one in columns if one is not None and not one.not_null]
    proofs = [step for name in nullable for step in not_null(operation.relation, name, phase(operation, facts), sample(table))]
    drops = tuple(f"ALTER TABLE {operation.relation} ALTER COLUMN {quoted(name)} DROP NOT NULL" for name in nullable)
    built = (replace(one, undo=(*one.undo, *drops)) for one in _from_index(operation, table, parts, "PRIMARY KEY", facts))
    return [*proofs, *built]


def _from_index(operation: Operation, table: Table, parts: ConstraintParts, words: str, facts: Facts) -> list[Step]:
    taken = table.relation_names | table.constraint_names
    label, named_by = ("key", parts.columns) if words == "UNIQUE" else ("pkey", ())
    name = parts.name or automatic(table.name, named_by, label, lambda name: name in taken)
    schema, dot, _ = operation.relation.rpartition(".")
    listed = ", ".join(quoted(column) for column in parts.columns)
    if table.kind == "p":
        rest = f"({listed}){parts.index}"
        present = facts.rehearsal.present if facts.rehearsal else {}
        whole = Whole(
            operation.relation, name, unique=True, rest=rest, columns=parts.columns, present=present, constraint=words, parts=parts
        )
        return list(whole.steps(table.partitions))
    return [
        build(
            f"CREATE UNIQUE INDEX CONCURRENTLY {quoted(name)} ON {operation.relation} ({listed}){parts.index}",
            f"{schema}{dot}{quoted(name)}",
            operation.relation,
        ),
        Step(
            part="attach",
            sql=f"ALTER TABLE {operation.relation} ADD CONSTRAINT {quoted(name)} {words} USING INDEX {quoted(name)}{parts.deferral}",
            pace=Pace.BRIEF,
            lock=LockMode.ACCESS_EXCLUSIVE,
        ),
    ]


def create_exclude_constraint(operation: Operation, facts: Facts) -> list[Step] | None:
    """PostgreSQL can't build the index of an exclusion constraint concurrently."""
    if not is_brief(subject(operation, facts), facts):
        refuse_unless_allowed(
            "LL-EXCLUDE",
            operation,
            facts,
            what=f"an exclusion constraint on {operation.table} builds its index while reads and writes wait",
            remedy="Make a new table with the constraint and fill it beside the old one",
        )
    return None
