"""LL-STATISTICS-LOST: a change of type removes a column's statistics."""

from __future__ import annotations

from collections.abc import Iterator

from liftlock.check.finding import Severity
from liftlock.check.rules.matching import find_statement, match_at, run_of
from liftlock.check.rules.rule import Example, Match, Rule
from liftlock.shadow.result import RevisionResult, RunResult
from liftlock.sql import parse


def find(result: RevisionResult, way: str) -> Iterator[Match]:
    """Yield the columns with a new type whose table isn't analyzed afterwards."""
    analyzed = _tables_analyzed(run_of(result, way))
    for place, old in sorted(result.before.columns.items()):
        new = result.after.columns.get(place)
        if new is None or new.type == old.type or new.inherited or new.table in analyzed:
            continue
        statement = find_statement(result, {"alter_type"}, place[0], (old.name,), old.name)
        yield match_at(f"{new.table}.{new.name} has a new type and no statistics", statement)


def _tables_analyzed(run: RunResult) -> set[str]:
    analyses = (statement for statement in run.observed if parse(statement.sql).kind == "ANALYZE")
    return {lock.relation for statement in analyses for lock in statement.taken}


RULE = Rule(
    code="LL-STATISTICS-LOST",
    title="Loses a column's statistics by a change of its type",
    severity=Severity.NOTE,
    why="PostgreSQL removes them even when the table isn't rewritten. Until the next ANALYZE, the"
    " planner may choose slow plans.",
    now='Analyze the column at once: op.execute("ANALYZE person (email)"). For op.alter_column,'
    " liftlock does so.",
    judge=find,
    bad=Example(
        upgrade='op.execute("ALTER TABLE person ALTER COLUMN email TYPE text")',
        downgrade='op.execute("ALTER TABLE person ALTER COLUMN email TYPE varchar(50)")',
    ),
    good=Example(
        upgrade='op.alter_column("person", "email", type_=sa.Text())',
        downgrade='op.alter_column("person", "email", type_=sa.String(50))',
    ),
)
