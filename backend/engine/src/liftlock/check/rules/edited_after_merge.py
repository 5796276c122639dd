"""LL-EDITED-AFTER-MERGE: the file of a merged revision differs from the main branch."""

from __future__ import annotations

from collections.abc import Iterator

from liftlock.check.finding import Severity
from liftlock.check.rules.rule import Example, Match, Rule
from liftlock.shadow.result import RevisionResult


def find(result: RevisionResult, _way: str) -> Iterator[Match]:
    """Yield one match when git says that the file has changed."""
    if result.edited:
        yield Match("the file has changed since it was merged")


RULE = Rule(
    code="LL-EDITED-AFTER-MERGE",
    title="Revision edited after it was merged",
    severity=Severity.ERROR,
    why="Databases that have applied it won't run it again, so they will differ from databases that"
    " apply it from now on.",
    now="Restore the file, and make the change in a new revision.",
    judge=find,
    bad=Example(
        merged='op.add_column("person", sa.Column("size", sa.Integer))',
        upgrade='op.add_column("person", sa.Column("size", sa.BigInteger))',
        downgrade='op.drop_column("person", "size")',
    ),
    good=Example(
        merged='op.add_column("person", sa.Column("size", sa.Integer))',
        upgrade='op.add_column("person", sa.Column("size", sa.Integer))',
        downgrade='op.drop_column("person", "size")',
    ),
    placed=False,
)
