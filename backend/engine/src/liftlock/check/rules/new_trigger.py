"""LL-NEW-TRIGGER: a table that the running release uses gets a trigger."""

from __future__ import annotations

from collections.abc import Iterator

from liftlock.check.finding import Severity
from liftlock.check.rules.matching import find_statement, match_at
from liftlock.check.rules.rule import Example, Match, Rule
from liftlock.shadow.result import RevisionResult


def find(result: RevisionResult, _way: str) -> Iterator[Match]:
    """Yield the new triggers on tables that existed before."""
    for name, table in sorted(result.after.triggers - result.before.triggers):
        if table in result.before.tables:
            what = f"{result.after.tables[table]} has a new trigger: {name}"
            yield match_at(what, find_statement(result, (), table, (), name))


RULE = Rule(
    code="LL-NEW-TRIGGER",
    title="New trigger on an existing table",
    severity=Severity.NOTE,
    why="It is executed for each row that is written, also by the running release.",
    now="Measure its cost where the table is written often.",
    judge=find,
    bad=Example(
        upgrade='function = "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql"\n'
        "op.execute(f\"{function} AS 'BEGIN RETURN NEW; END'\")\n"
        'trigger = "CREATE TRIGGER t BEFORE INSERT ON person"\n'
        'op.execute(f"{trigger} FOR EACH ROW EXECUTE FUNCTION f()")',
        downgrade='op.execute("DROP TRIGGER t ON person")\nop.execute("DROP FUNCTION f")',
    ),
    good=Example(
        upgrade='function = "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql"\n'
        "op.execute(f\"{function} AS 'BEGIN RETURN NEW; END'\")",
        downgrade='op.execute("DROP FUNCTION f")',
    ),
)
