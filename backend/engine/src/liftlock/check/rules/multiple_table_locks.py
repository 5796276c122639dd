"""LL-MULTIPLE-TABLE-LOCKS: one transaction locks a table while it holds locks on others."""

from __future__ import annotations

from collections.abc import Iterator

from liftlock.check.finding import Severity
from liftlock.check.rules.matching import match_at
from liftlock.check.rules.rule import Example, Match, Rule
from liftlock.shadow.observed import ObservedStatement
from liftlock.shadow.result import RevisionResult
from liftlock.sql import excerpt

_TABLES = frozenset({"r", "p"})  # of pg_class.relkind: ordinary and partitioned tables


def find(result: RevisionResult, _way: str) -> Iterator[Match]:
    """Yield the statements that take a blocking lock on a further table."""
    held_by: dict[int, set[str]] = {}
    for statement in result.alembic.observed:
        held = held_by.setdefault(statement.transaction, set())
        further = _tables_blocked_by(statement) - held
        if held and further:
            tables = f"{', '.join(sorted(further))} is locked"
            locked = f"while the lock on {', '.join(sorted(held))} is held"
            yield match_at(f"{tables} {locked}:\n{excerpt(statement.sql)}", statement)
        held |= further


def _tables_blocked_by(statement: ObservedStatement) -> set[str]:
    return {
        lock.relation
        for lock in statement.taken
        if lock.blocks != "nothing" and lock.kind in _TABLES
    }


RULE = Rule(
    code="LL-MULTIPLE-TABLE-LOCKS",
    title="Locks several tables in one transaction",
    severity=Severity.NOTE,
    why="A transaction of the application that locks the tables in another order deadlocks with it,"
    " and the first table stays locked until the last lock is granted.",
    now="Change one table in a revision; or run the revision by liftlock, which releases its locks"
    " after its stall budget and retries.",
    judge=find,
    bad=Example(
        upgrade='op.add_column("country", sa.Column("x", sa.Text))\n'
        'op.add_column("person", sa.Column("x", sa.Text))',
        downgrade='op.drop_column("person", "x")\nop.drop_column("country", "x")',
    ),
    good=Example(
        upgrade='op.add_column("person", sa.Column("x", sa.Text))\n'
        'op.add_column("person", sa.Column("y", sa.Text))',
        downgrade='op.drop_column("person", "y")\nop.drop_column("person", "x")',
    ),
    only="plain",
)
