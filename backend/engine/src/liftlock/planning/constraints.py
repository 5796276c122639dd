"""Recipes for constraints: add them unproven under a brief lock, prove them while the traffic goes on.

https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES
"""

from __future__ import annotations

from dataclasses import replace

from liftlock.model.lock import LockMode
from liftlock.model.operation import ConstraintDetails, Operation, quote_name
from liftlock.model.step import Pace, Step
from liftlock.model.table import Facts, Table
from liftlock.planning.default import is_small_or_new, phase, row_identifier, table_of
from liftlock.planning.naming import automatic
from liftlock.planning.not_null import not_null
from liftlock.planning.partitions import PartitionedIndex, foreign_key
from liftlock.planning.steps import SAMPLE, build_index, find_violations, validate
from liftlock.planning.unsafe import refuse_unless_allowed

_PROVES_PARTITIONS = 180000


def create_check_constraint(operation: Operation, facts: Facts) -> list[Step] | None:
    """Look for rows that break it; add it NOT VALID; validate it."""
    table, parts = table_of(operation, facts), operation.details
    if (
        not isinstance(parts, ConstraintDetails)
        or table is None
        or is_small_or_new(table, facts)
        or parts.not_valid
    ):
        return None
    columns = (
        facts.dry_run.check_columns[0] if facts.dry_run and facts.dry_run.check_columns else ()
    )
    name = parts.name or automatic(
        table.name,
        columns if len(columns) == 1 else (),
        "check",
        lambda name: name in table.constraint_names,
    )
    return check(operation.relation, name, parts.expression, row_identifier(table))


def check(relation: str, name: str, expression: str, shown: str) -> list[Step]:
    """A check on a table that others use.

    An old row that breaks a NOT VALID check can't be updated any more, in whatever column; so such rows
    are looked for first.
    """
    drop = f"ALTER TABLE {relation} DROP CONSTRAINT IF EXISTS {quote_name(name)}"
    return [
        find_violations(f"SELECT {shown} FROM {relation} WHERE NOT ({expression}) LIMIT {SAMPLE}"),
        Step(
            name="add",
            sql=f"ALTER TABLE {relation} ADD CONSTRAINT {quote_name(name)} CHECK ({expression}) NOT VALID",
            pace=Pace.BRIEF,
            lock=LockMode.ACCESS_EXCLUSIVE,
        ),
        validate(relation, name, drop),
    ]


def create_foreign_key(operation: Operation, facts: Facts) -> list[Step] | None:
    """Look for orphans; add it NOT VALID, the referred table locked first; validate it."""
    table, parts = table_of(operation, facts), operation.details
    if not isinstance(parts, ConstraintDetails) or table is None or parts.not_valid:
        return None
    if table.created_by_run or (
        is_small_or_new(table, facts) and is_small_or_new(facts.tables.get(parts.refers), facts)
    ):
        return None
    name = parts.name or automatic(
        table.name, parts.columns, "fkey", lambda name: name in table.constraint_names
    )
    return referring(operation, table, parts, name, facts)


def referring(
    operation: Operation, table: Table, parts: ConstraintDetails, name: str, facts: Facts
) -> list[Step] | None:
    """A foreign key on a table that others use, with a name.

    Before PostgreSQL 18, VALIDATE leaves what a key to a partitioned table has for each of its partitions unproven for ever:
    https://www.postgresql.org/docs/18/release-18.html (and seen on 13 and 16)
    """
    relation, refers = operation.relation, facts.tables.get(parts.refers)
    if refers is not None and refers.kind == "p" and facts.server < _PROVES_PARTITIONS:
        refuse_unless_allowed(
            "LL-TABLE-REWRITE",
            operation,
            facts,
            what=f"a foreign key from {operation.table} to {refers.name}, which is partitioned, is proven by this server while writes wait",
            remedy="Use PostgreSQL 18, which can prove it online",
        )
        return None
    drop = f"ALTER TABLE {relation} DROP CONSTRAINT IF EXISTS {quote_name(name)}"
    steps = (
        [
            find_violations(
                _orphans(
                    _own(relation, table),
                    parts,
                    _own(parts.refers, refers),
                    row_identifier(table, "child"),
                )
            )
        ]
        if parts.refers_columns
        else []
    )
    if table.kind == "p":
        add = f"ALTER TABLE {relation} ADD CONSTRAINT {quote_name(name)} {parts.definition}"
        both = tuple(dict.fromkeys([parts.refers, relation]))
        above = Step(
            name="add", sql=add, pace=Pace.BRIEF, lock=LockMode.SHARE_ROW_EXCLUSIVE, tables=both
        )
        return [*steps, *foreign_key(table, parts, name, above)]
    return [
        *steps,
        Step(
            name="add",
            sql=f"ALTER TABLE {relation} ADD CONSTRAINT {quote_name(name)} {parts.definition} NOT VALID",
            pace=Pace.BRIEF,
            lock=LockMode.SHARE_ROW_EXCLUSIVE,
            tables=tuple(dict.fromkeys([parts.refers, relation])),
        ),
        validate(relation, name, drop),
    ]


def _own(relation: str, table: Table | None) -> str:
    """The rows that a foreign key is about: not those of tables that inherit."""
    return relation if table is None or table.kind == "p" else f"ONLY {relation}"


def _orphans(child: str, parts: ConstraintDetails, parent: str, shown: str) -> str:
    pairs = zip(parts.columns, parts.refers_columns, strict=True)
    same = " AND ".join(
        f"parent.{quote_name(other)} = child.{quote_name(mine)}" for mine, other in pairs
    )
    given = " AND ".join(f"child.{quote_name(mine)} IS NOT NULL" for mine in parts.columns)
    orphan = f"NOT EXISTS (SELECT FROM {parent} AS parent WHERE {same})"
    return f"SELECT {shown} FROM {child} AS child WHERE {given} AND {orphan} LIMIT {SAMPLE}"


def create_unique_constraint(operation: Operation, facts: Facts) -> list[Step] | None:
    """Build a unique index concurrently; make it a constraint under a brief lock."""
    table, parts = table_of(operation, facts), operation.details
    if not isinstance(parts, ConstraintDetails) or table is None or is_small_or_new(table, facts):
        return None
    return _from_index(operation, table, parts, "UNIQUE", facts)


def create_primary_key(operation: Operation, facts: Facts) -> list[Step] | None:
    """Prove the columns not null; then as a unique constraint: the index alone would scan for nulls."""
    table, parts = table_of(operation, facts), operation.details
    if not isinstance(parts, ConstraintDetails) or table is None or is_small_or_new(table, facts):
        return None
    columns = [table.column(name) for name in parts.columns]
    nullable = [one.name for one in columns if one is not None and not one.not_null]
    proofs = [
        step
        for name in nullable
        for step in not_null(
            operation.relation, name, phase(operation, facts), row_identifier(table)
        )
    ]
    drops = tuple(
        f"ALTER TABLE {operation.relation} ALTER COLUMN {quote_name(name)} DROP NOT NULL"
        for name in nullable
    )
    built = (
        replace(one, undo=(*one.undo, *drops))
        for one in _from_index(operation, table, parts, "PRIMARY KEY", facts)
    )
    return [*proofs, *built]


def _from_index(
    operation: Operation, table: Table, parts: ConstraintDetails, words: str, facts: Facts
) -> list[Step]:
    taken = table.relation_names | table.constraint_names
    label, named_by = ("key", parts.columns) if words == "UNIQUE" else ("pkey", ())
    name = parts.name or automatic(table.name, named_by, label, lambda name: name in taken)
    schema, dot, _ = operation.relation.rpartition(".")
    listed = ", ".join(quote_name(column) for column in parts.columns)
    if table.kind == "p":
        rest = f"({listed}){parts.index}"
        present = facts.dry_run.present if facts.dry_run else {}
        whole = PartitionedIndex(
            operation.relation,
            name,
            unique=True,
            rest=rest,
            columns=parts.columns,
            present=present,
            constraint=words,
            parts=parts,
        )
        return list(whole.steps(table.partitions))
    return [
        build_index(
            f"CREATE UNIQUE INDEX CONCURRENTLY {quote_name(name)} ON {operation.relation} ({listed}){parts.index}",
            f"{schema}{dot}{quote_name(name)}",
            operation.relation,
        ),
        Step(
            name="attach",
            sql=f"ALTER TABLE {operation.relation} ADD CONSTRAINT {quote_name(name)} {words} USING INDEX {quote_name(name)}{parts.deferral}",
            pace=Pace.BRIEF,
            lock=LockMode.ACCESS_EXCLUSIVE,
        ),
    ]


def create_exclude_constraint(operation: Operation, facts: Facts) -> list[Step] | None:
    """PostgreSQL can't build the index of an exclusion constraint concurrently."""
    if not is_small_or_new(table_of(operation, facts), facts):
        refuse_unless_allowed(
            "LL-EXCLUSION-CONSTRAINT",
            operation,
            facts,
            what=f"an exclusion constraint on {operation.table} builds its index while reads and writes wait",
            remedy="Make a new table with the constraint and fill it beside the old one",
        )
    return None
