"""LL-READS-DATABASE: the revision queries the database, and may depend on the result."""

from __future__ import annotations

from collections.abc import Iterator

from liftlock.check.finding import Severity
from liftlock.check.rules.matching import match_at
from liftlock.check.rules.rule import Example, Match, Rule
from liftlock.shadow.result import RevisionResult

_EXCERPT_LENGTH = 200


def find(result: RevisionResult, _way: str) -> Iterator[Match]:
    """Yield the first query that returned rows to the revision."""
    for statement in result.statements:
        if statement.kind == "connection" and statement.returns:
            sql = statement.sql[:_EXCERPT_LENGTH]
            what = f"its effect may depend on rows, and the shadow has none:\n{sql}"
            yield match_at(what, statement)
            return


RULE = Rule(
    code="LL-READS-DATABASE",
    title="Depends on the result of a query",
    severity=Severity.NOTE,
    why="The check has run one path of the revision, on empty tables; production may take another.",
    now="Run it on a copy of real data as well; or let the server decide, in SQL.",
    judge=find,
    bad=Example(
        upgrade='for row in op.get_bind().execute(sa.text("SELECT code FROM country")):\n'
        "    update = f\"UPDATE person SET country = '{row.code}' WHERE country IS NULL\"\n"
        "    op.execute(update)",
        downgrade="pass",
    ),
    good=Example(
        upgrade='update = "UPDATE person SET country = (SELECT min(code) FROM country)"\n'
        'op.execute(f"{update} WHERE country IS NULL")',
        downgrade="pass",
    ),
)
