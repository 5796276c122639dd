"""LL-NOT-NULL-WITHOUT-DEFAULT: a new column has no value for the rows that exist."""

from __future__ import annotations

from collections.abc import Iterator

from liftlock.check.finding import Severity
from liftlock.check.rules.matching import adds_required_column, match_at
from liftlock.check.rules.rule import Example, Match, Rule
from liftlock.shadow.result import RevisionResult
from liftlock.sql import excerpt


def find(result: RevisionResult, _way: str) -> Iterator[Match]:
    """Yield the statements that add such a column to a table that existed before."""
    for statement in result.statements:
        # Without a lock that others can see, the table is one that the revision creates.
        if adds_required_column(statement) and statement.strongest:
            what = f"the new column is NOT NULL and has no default:\n{excerpt(statement.sql)}"
            yield match_at(what, statement)


RULE = Rule(
    code="LL-NOT-NULL-WITHOUT-DEFAULT",
    title="New NOT NULL column without a default",
    severity=Severity.ERROR,
    why="The statement fails as soon as the table has a row, and INSERTs of the running release,"
    " which doesn't know the column, fail as well.",
    now="Give the column a server_default, or add it as nullable.",
    judge=find,
    bad=Example(
        upgrade='op.add_column("person", sa.Column("size", sa.Integer, nullable=False))',
        downgrade='op.drop_column("person", "size")',
    ),
    good=Example(
        upgrade='column = sa.Column("size", sa.Integer, server_default="0", nullable=False)\n'
        'op.add_column("person", column)',
        downgrade='op.drop_column("person", "size")',
    ),
)
