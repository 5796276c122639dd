"""LL-BLOCKS-TRAFFIC: queries wait for a lock while the server does work that grows with a table."""

from __future__ import annotations

from collections.abc import Iterator

from liftlock.check.finding import Severity
from liftlock.check.rules.matching import adds_required_column, is_truncate, match_at, run_of
from liftlock.check.rules.rule import Example, Match, Rule
from liftlock.model.lock import LockMode
from liftlock.shadow.observed import ObservedStatement
from liftlock.shadow.result import RevisionResult
from liftlock.sql import excerpt

_CHANGES_ROWS = frozenset({"execute", "connection", "update", "delete"})


def find(result: RevisionResult, way: str) -> Iterator[Match]:
    """Yield the statements that work for long while they or earlier ones hold a blocking lock."""
    for statement in run_of(result, way).observed:
        # A required column fails on a real table, and has a rule of its own.
        if adds_required_column(statement) or is_truncate(statement):
            continue
        if statement.work.long or (way == "plain" and _changes_rows(statement)):
            yield from _matches_at(statement)


def _changes_rows(statement: ObservedStatement) -> bool:
    """Tell whether a statement changes rows.

    Alembic keeps all locks until the revision ends, so a change of many rows prolongs an earlier
    statement's lock. liftlock commits before it.
    """
    locks_rows = any(lock.mode is LockMode.ROW_EXCLUSIVE for lock in statement.taken)
    return locks_rows and statement.kind in _CHANGES_ROWS


def _matches_at(statement: ObservedStatement) -> Iterator[Match]:
    work = statement.work.describe() or "changes rows"
    for queries, relations in statement.blocked.items():
        blocked = f"{queries} of {', '.join(sorted(relations))}"
        what = f"{blocked} wait while the server {work}:\n{excerpt(statement.sql)}"
        yield match_at(what, statement)


RULE = Rule(
    code="LL-BLOCKS-TRAFFIC",
    title="Blocks reads or writes while a table is scanned or rewritten",
    severity=Severity.ERROR,
    why="The time grows with the table. Queries that need the lock wait for all of it, and later"
    " queries queue up after them.",
    now="Use the operation of Alembic instead of SQL text, such as op.create_index or"
    " op.create_check_constraint: liftlock runs it online.",
    judge=find,
    bad=Example(
        upgrade='op.execute("CREATE INDEX ix_email ON person (email)")',
        downgrade='op.execute("DROP INDEX ix_email")',
    ),
    good=Example(
        upgrade='op.create_index("ix_email", "person", ["email"])',
        downgrade='op.drop_index("ix_email")',
    ),
)
