"""LL-BREAKS-RUNNING-RELEASE: the running release uses something that the revision removes."""

from __future__ import annotations

from collections.abc import Iterator

from liftlock.check.finding import Severity
from liftlock.check.rules.breaking_changes import breaking_changes
from liftlock.check.rules.matching import match_at
from liftlock.check.rules.rule import Example, Match, Rule
from liftlock.shadow.result import RevisionResult
from liftlock.sql import excerpt


def find(result: RevisionResult, _way: str) -> Iterator[Match]:
    """Yield each breaking change, with the statement that causes it."""
    for change in breaking_changes(result):
        statement = change.statement
        sql = f":\n{excerpt(statement.sql)}" if statement is not None else ""
        yield match_at(f"{change.text}{sql}", statement)


RULE = Rule(
    code="LL-BREAKS-RUNNING-RELEASE",
    title="Incompatible with the release that is still running",
    severity=Severity.WARNING,
    why="Its queries fail until its last container has stopped.",
    now="First ship a release that doesn't use it. Then allow this change in a revision of its own,"
    " and name that release as the reason.",
    judge=find,
    bad=Example(
        upgrade='op.alter_column("person", "nick", new_column_name="name")',
        downgrade='op.alter_column("person", "name", new_column_name="nick")',
    ),
    good=Example(
        upgrade='op.add_column("person", sa.Column("name", sa.Text))',
        downgrade='op.drop_column("person", "name")',
    ),
)
