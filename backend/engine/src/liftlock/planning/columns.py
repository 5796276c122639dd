"""Recipes for columns."""

from __future__ import annotations

from dataclasses import replace

from liftlock.model.lock import LockMode
from liftlock.model.operation import ColumnDetails, ConstraintDetails, Operation, quote_name
from liftlock.model.step import Pace, Step, StepKind
from liftlock.model.table import Facts, Table
from liftlock.planning import sequences
from liftlock.planning.column_type import replace_column, validated_constraints
from liftlock.planning.constraints import check, referring
from liftlock.planning.default import is_small_or_new, phase, row_identifier, table_of, unchanged
from liftlock.planning.naming import automatic
from liftlock.planning.not_null import not_null
from liftlock.planning.steps import add, filling, find_violations, taken_back
from liftlock.planning.unsafe import refuse_unless_allowed

_REWRITE = "LL-TABLE-REWRITE"


def alter_nullable(operation: Operation, facts: Facts) -> list[Step] | None:
    """SET NOT NULL, proven by a helper check; nothing at all where the column is so already."""
    table, parts = table_of(operation, facts), operation.details
    if not isinstance(parts, ColumnDetails) or table is None or table.created_by_run:
        return None
    column = table.column(parts.name)
    if column is not None and column.not_null:
        return []
    return (
        None
        if is_small_or_new(table, facts)
        else not_null(
            operation.relation, parts.name, phase(operation, facts), row_identifier(table)
        )
    )


def alter_type(operation: Operation, facts: Facts) -> list[Step] | None:
    """Brief where PostgreSQL keeps the table and its indexes as they are; else by a twin.

    Even a brief one deletes the column's statistics, so that plans go wrong until they are refreshed.
    """
    table, parts, rehearsal = table_of(operation, facts), operation.details, facts.dry_run
    if not isinstance(parts, ColumnDetails) or table is None or is_small_or_new(table, facts):
        return None
    refreshed = Step(
        name="analyze",
        sql=f"ANALYZE {operation.relation} ({quote_name(parts.name)})",
        pace=Pace.ONLINE,
        lock=LockMode.SHARE_UPDATE_EXCLUSIVE,
    )
    twin = rehearsal.replacement if rehearsal else None
    if rehearsal and not rehearsal.rewrites and not rehearsal.rebuilds:
        return (
            validated_constraints(operation, twin, refreshed, facts)
            if twin and twin.checks
            else [unchanged(operation, facts), refreshed]
        )
    obstacles = [*(twin.obstacles if twin else ()), *table.obstacles]
    if twin is not None and not obstacles:
        return replace_column(operation, parts, table, twin, facts)
    _refuse(operation, parts, facts, obstacles)
    return [unchanged(operation, facts), refreshed]


def _refuse(operation: Operation, parts: ColumnDetails, facts: Facts, obstacles: list[str]) -> None:
    held = (
        f", and nothing can take its place online because of {'; '.join(obstacles)}"
        if obstacles
        else ""
    )
    refuse_unless_allowed(
        _REWRITE,
        operation,
        facts,
        what=f"a type change of {operation.table}.{parts.name} rewrites the table or its indexes while reads and writes wait{held}",
        remedy="Add a column of the new type, fill it in batches, and drop the old one in a later release",
    )


def add_column(operation: Operation, facts: Facts) -> list[Step] | None:
    """Split what would rewrite or scan the table: the column first, then its values, then its constraints.

    Rows that break one of these take the column away again.
    """
    table, parts = table_of(operation, facts), operation.details
    if not isinstance(parts, ColumnDetails) or table is None or is_small_or_new(table, facts):
        return None
    if parts.optional and table.column(parts.name) is not None:
        return []
    if parts.key is not None:
        alone = replace(parts, special="", key=None)
        bare = replace(
            operation,
            sql=f"ALTER TABLE {operation.relation} ADD COLUMN {parts.written}",
            details=alone,
        )
        column = [
            one if one.kind is not StepKind.PLAIN else add(bare, parts.written)
            for one in _added(bare, alone, table, facts) or ()
        ]
        name = automatic(
            table.name, (parts.name,), "fkey", lambda name: name in table.constraint_names
        )
        proven = referring(operation, table, parts.key, name, facts)
        steps = [*(column or [add(bare, parts.written)]), *proven] if proven is not None else None
    else:
        steps = _added(operation, parts, table, facts)
    return steps and taken_back(
        steps, f"ALTER TABLE {operation.relation} DROP COLUMN IF EXISTS {quote_name(parts.name)}"
    )


def _added(
    operation: Operation, parts: ColumnDetails, table: Table, facts: Facts
) -> list[Step] | None:
    if facts.dry_run is None or facts.dry_run.rewrites:
        return _rewriting(operation, parts, table, facts)
    if parts.not_null and not parts.default and not parts.special:
        return [
            find_violations(f"SELECT {row_identifier(table)} FROM {operation.relation} LIMIT 5"),
            unchanged(operation, facts),
        ]
    if parts.checks and parts.special not in {"GENERATED", "PRIMARY KEY"}:
        return [add(operation, parts.written), *_checks(operation, parts, table, facts)]
    return None


def _rewriting(
    operation: Operation, parts: ColumnDetails, table: Table, facts: Facts
) -> list[Step] | None:
    by_type = facts.dry_run is not None and facts.dry_run.type_rewrites
    domain = (
        (f"{parts.type}, a domain with a constraint, which it proves for each row",)
        if by_type
        else ()
    )
    obstacles = (*domain, *table.obstacles)
    filled = None if obstacles else _filled(operation, parts, table, facts)
    if filled is not None:
        return [*filled, *_checks(operation, parts, table, facts)]
    remedy = "Add it as a plain column that may be null, fill it in batches, then make it what it is to be"
    refuse_unless_allowed(
        _REWRITE,
        operation,
        facts,
        what=f"the new column {operation.table}.{parts.name} makes PostgreSQL rewrite the table while reads and writes wait"
        + (
            f", and it can't be filled in batches because of {'; '.join(obstacles)}"
            if obstacles
            else ""
        ),
        remedy="Give it the type that the domain is of, and a check like the domain's"
        if by_type
        else remedy,
    )
    return None


def _filled(
    operation: Operation, parts: ColumnDetails, table: Table, facts: Facts
) -> list[Step] | None:
    """Values that differ from row to row: new rows get them at once, old ones in batches. None for what can't be filled so."""
    if parts.special == "SERIAL":
        return sequences.serial(operation, parts, table, phase(operation, facts))
    if parts.special == "IDENTITY":
        return sequences.identity(operation, parts, table, phase(operation, facts))
    if parts.special or not parts.default:
        return None
    steps = filling(operation, parts, parts.default)
    return steps + (
        not_null(operation.relation, parts.name, phase(operation, facts), row_identifier(table))
        if parts.not_null
        else []
    )


def _checks(operation: Operation, parts: ColumnDetails, table: Table, facts: Facts) -> list[Step]:
    found = facts.dry_run.check_columns if facts.dry_run else ()
    taken = set(table.constraint_names)
    steps: list[Step] = []
    for number, one in enumerate(parts.checks):
        columns = found[number] if number < len(found) else (parts.name,)
        name = _named(one, columns, table, taken)
        taken.add(name)
        steps += check(operation.relation, name, one.expression, row_identifier(table))
    return steps


def _named(one: ConstraintDetails, columns: tuple[str, ...], table: Table, taken: set[str]) -> str:
    return one.name or automatic(
        table.name, columns if len(columns) == 1 else (), "check", lambda name: name in taken
    )
