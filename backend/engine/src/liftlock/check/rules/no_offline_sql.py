"""LL-NO-OFFLINE-SQL: the chain can't be rendered by ``alembic upgrade --sql``."""

from __future__ import annotations

from collections.abc import Iterator

from liftlock.check.finding import Finding, Severity
from liftlock.check.rules.rule import Example, FindingType


def find(error: str) -> Iterator[Finding]:
    """Yield one finding when rendering failed.

    Parameters:
        error: the error with its place; empty when the chain was rendered.
    """
    if error:
        yield RULE.finding(f"`alembic upgrade base:heads --sql` fails: {error}")


RULE = FindingType(
    code="LL-NO-OFFLINE-SQL",
    title="Chain that can't be rendered as SQL (checked with `--chain`)",
    severity=Severity.NOTE,
    why="The revisions can't be run as a script, for example by a database administrator.",
    now="Query the database only where context.is_offline_mode() is false.",
    bad=Example(
        upgrade='count = op.get_bind().execute(sa.text("SELECT count(*) FROM country")).scalar()\n'
        "if count == 0:\n"
        "    op.execute(\"INSERT INTO country VALUES ('Xx', 'unknown')\")",
        downgrade="op.execute(\"DELETE FROM country WHERE code = 'Xx'\")",
    ),
    good=Example(
        upgrade="insert = \"INSERT INTO country SELECT 'Xx', 'unknown'\"\n"
        'op.execute(f"{insert} WHERE NOT EXISTS (SELECT FROM country)")',
        downgrade="op.execute(\"DELETE FROM country WHERE code = 'Xx'\")",
    ),
)
