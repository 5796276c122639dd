"""LL-ROWS-NOT-CHECKED: the outcome depends on rows, which the check hasn't seen."""

from __future__ import annotations

from dataclasses import replace

from liftlock.check.finding import Finding, Severity
from liftlock.check.rules.rule import Example, FindingType

_LATER = "Check again later, or name a replica that is less busy."


def not_looked_for(questions: list[str]) -> Finding:
    """Return the finding for questions that a check without a real database leaves open."""
    lines = ["not checked, because the tables of the shadow are empty:", *questions]
    return RULE.finding("\n".join(lines))


def not_answered(question: str, reason: str) -> Finding:
    """Return the finding for a question that the real database couldn't answer."""
    found = RULE.finding(f"{question} was not checked: {reason}")
    return replace(found, now=f"Look yourself. {_LATER}")


def sizes_unknown(reason: str) -> Finding:
    """Return the finding for table sizes that the real database couldn't tell."""
    found = RULE.finding(f"the sizes of the tables are unknown: {reason}")
    return replace(found, why="No step's time could be estimated.", now=_LATER)


RULE = FindingType(
    code="LL-ROWS-NOT-CHECKED",
    title="Not checked: depends on existing data",
    severity=Severity.NOTE,
    why="The revision fails at run time if it finds such rows.",
    now="Check them beforehand: liftlock check --data-url URL.",
    bad=Example(
        upgrade='op.create_unique_constraint("uq_email", "person", ["email"])',
        downgrade='op.drop_constraint("uq_email", "person")',
    ),
    good=Example(
        upgrade='op.create_index("ix_email", "person", ["email"])',
        downgrade='op.drop_index("ix_email")',
    ),
)
