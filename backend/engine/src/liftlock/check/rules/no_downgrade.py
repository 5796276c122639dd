"""LL-NO-DOWNGRADE: the downgrade is missing or fails."""

from __future__ import annotations

from collections.abc import Iterator

from liftlock.check.finding import Severity
from liftlock.check.rules.rule import Example, Match, Rule
from liftlock.shadow.result import RevisionResult


def find(result: RevisionResult, _way: str) -> Iterator[Match]:
    """Yield one match when the downgrade fails, or does nothing after an upgrade that did."""
    downgrade = result.downgrade
    if downgrade is None:
        return
    if downgrade.error:
        yield Match(f"its downgrade fails: {downgrade.error}")
    elif not downgrade.statements and downgrade.difference:
        yield Match("its downgrade does nothing")


RULE = Rule(
    code="LL-NO-DOWNGRADE",
    title="Downgrade that is missing or fails",
    severity=Severity.WARNING,
    why="When the release has to be rolled back, the schema can't be.",
    now="Write a downgrade; or allow it, and say how you would return: by a backup, or by another"
    " revision.",
    judge=find,
    bad=Example(
        upgrade='op.add_column("person", sa.Column("size", sa.Integer))',
        downgrade="pass",
    ),
    good=Example(
        upgrade='op.add_column("person", sa.Column("size", sa.Integer))',
        downgrade='op.drop_column("person", "size")',
    ),
    placed=False,
)
