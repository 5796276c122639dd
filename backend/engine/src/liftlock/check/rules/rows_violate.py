"""LL-ROWS-VIOLATE: rows of a real database would make the revision fail, or be lost."""

from __future__ import annotations

from dataclasses import replace

from liftlock.check.finding import Finding, Severity
from liftlock.check.rules.rule import Example, FindingType


def finding(what: str, *, corrected: bool) -> Finding:
    """Return a finding about rows.

    Parameters:
        what: the fact, with some of the rows.
        corrected: whether the revision itself changes rows of the table, and so may correct them.
    """
    found = RULE.finding(what)
    if not corrected:
        return found
    why = "The revision changes rows of that table itself."
    now = "Make sure that it corrects these rows."
    return replace(found, severity=Severity.NOTE, why=why, now=now)


_REQUIRE_NICK = Example(
    upgrade='op.alter_column("person", "nick", nullable=False)',
    downgrade='op.alter_column("person", "nick", nullable=True)',
)

RULE = FindingType(
    code="LL-ROWS-VIOLATE",
    title="Existing rows that violate the new schema (checked with `--data-url`)",
    severity=Severity.ERROR,
    why="The revision would fail on them, or lose their values.",
    now="Correct these rows first.",
    bad=replace(_REQUIRE_NICK, rows="INSERT INTO person (email) VALUES ('a@example.com');"),
    good=replace(
        _REQUIRE_NICK, rows="INSERT INTO person (email, nick) VALUES ('a@example.com', 'a');"
    ),
)
