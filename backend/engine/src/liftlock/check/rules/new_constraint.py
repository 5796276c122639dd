"""LL-NEW-CONSTRAINT: a constraint on existing columns may reject writes of the old release."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from liftlock.check.finding import Severity
from liftlock.check.rules.matching import find_statement, match_at
from liftlock.check.rules.rule import Example, Match, Rule
from liftlock.shadow.result import RevisionResult
from liftlock.shadow.schema import ForeignKey, Schema, SchemaConstraint, Unique


@dataclass(frozen=True, slots=True)
class _Family:
    """Constraints of one kind before and after a revision, and the operations that create them."""

    before: Mapping[int, SchemaConstraint]
    after: Mapping[int, SchemaConstraint]
    kinds: frozenset[str]


def find(result: RevisionResult, _way: str) -> Iterator[Match]:
    """Yield the new constraints whose table and columns existed before."""
    for family in _families(result.before, result.after):
        known = {constraint.demand for constraint in family.before.values()}
        for oid, constraint in sorted(family.after.items(), key=lambda pair: pair[0]):
            is_new = oid not in family.before and constraint.demand not in known
            if is_new and _columns_existed(result.before, constraint):
                yield _match(result, family, constraint)


def _families(before: Schema, after: Schema) -> tuple[_Family, ...]:
    uniques = {"create_unique_constraint", "create_primary_key", "create_index"}
    checks = {"create_check_constraint", "create_exclude_constraint", "create_index"}
    return (
        _Family(before.uniques, after.uniques, frozenset(uniques)),
        _Family(before.checks, after.checks, frozenset(checks)),
        _Family(before.keys, after.keys, frozenset({"create_foreign_key"})),
    )


def _columns_existed(before: Schema, constraint: SchemaConstraint) -> bool:
    columns = {
        column.name for (oid, _), column in before.columns.items() if oid == constraint.table_oid
    }
    return constraint.table_oid in before.tables and columns.issuperset(constraint.columns)


def _match(result: RevisionResult, family: _Family, constraint: SchemaConstraint) -> Match:
    statement = find_statement(
        result, family.kinds, constraint.table_oid, constraint.columns, constraint.name
    )
    what = f"{constraint.table}: {_demand_of(constraint)}, by {constraint.name}"
    return match_at(what, statement)


def _demand_of(constraint: SchemaConstraint) -> str:
    columns = ", ".join(constraint.columns)
    if isinstance(constraint, ForeignKey):
        return f"{columns} must refer to {constraint.refers}"
    if isinstance(constraint, Unique):
        return f"{columns} must be unique"
    return f"{columns or 'rows'} must satisfy a check"


RULE = Rule(
    code="LL-NEW-CONSTRAINT",
    title="New constraint that may reject writes of the running release",
    severity=Severity.NOTE,
    why="Rows that were valid before are refused now, also for containers whose code doesn't know"
    " the constraint.",
    now="Make sure that the running release writes no such rows.",
    judge=find,
    bad=Example(
        upgrade='op.create_unique_constraint("uq_email", "person", ["email"])',
        downgrade='op.drop_constraint("uq_email", "person")',
    ),
    good=Example(
        upgrade='op.create_index("ix_email", "person", ["email"])',
        downgrade='op.drop_index("ix_email")',
    ),
)
