"""LL-REVISION-FAILS: the revision can't be executed on the schema that precedes it."""

from __future__ import annotations

from collections.abc import Iterator

from liftlock.check.finding import Severity
from liftlock.check.rules.matching import run_of
from liftlock.check.rules.rule import Example, Match, Rule
from liftlock.shadow.result import RevisionResult


def find(result: RevisionResult, way: str) -> Iterator[Match]:
    """Yield the error that stopped the revision, under the error's own code."""
    refusal = run_of(result, way).refusal
    if refusal is not None:
        yield Match(refusal.what, now=refusal.now, why=refusal.why, code=refusal.code)


RULE = Rule(
    code="LL-REVISION-FAILS",
    title="Fails when it is executed",
    severity=Severity.ERROR,
    why="It would fail in production in the same way.",
    now="Correct the revision as the error says.",
    judge=find,
    bad=Example(
        upgrade='op.execute("ALTER TABLE person ADD COLUMN age integer")',
        downgrade="pass",
    ),
    good=Example(
        upgrade='op.execute("ALTER TABLE person ADD COLUMN size integer")',
        downgrade='op.drop_column("person", "size")',
    ),
    placed=False,
)
