"""LL-LEFT-INVALID: an index or a constraint is still invalid at the end of the revision."""

from __future__ import annotations

from collections.abc import Iterator

from liftlock.check.finding import Severity
from liftlock.check.rules.rule import Example, Match, Rule
from liftlock.shadow.result import RevisionResult


def find(result: RevisionResult, _way: str) -> Iterator[Match]:
    """Yield the constraints and indexes that became invalid in the revision."""
    for table, name in sorted(result.after.unproven - result.before.unproven):
        yield Match(f"constraint {name} of {table} is left NOT VALID")
    for table, name in sorted(result.after.broken - result.before.broken):
        yield Match(f"index {name} of {table} is left invalid")


RULE = Rule(
    code="LL-LEFT-INVALID",
    title="Leaves an index invalid or a constraint NOT VALID",
    severity=Severity.WARNING,
    why="Queries can't use an invalid index, the planner can't rely on the constraint, and existing"
    " rows that violate the constraint can't be updated.",
    now="Validate the constraint; or remove NOT VALID: liftlock adds the constraint NOT VALID and"
    " then validates it without blocking writes.",
    judge=find,
    bad=Example(
        upgrade='op.execute("ALTER TABLE person ADD CONSTRAINT old CHECK (age > 0) NOT VALID")',
        downgrade='op.execute("ALTER TABLE person DROP CONSTRAINT old")',
    ),
    good=Example(
        upgrade='op.create_check_constraint("old", "person", "age > 0")',
        downgrade='op.drop_constraint("old", "person")',
    ),
    placed=False,
)
