"""LL-DOWNGRADE-DIFFERS: the schema after the downgrade isn't the one before the upgrade."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from liftlock.check.finding import Severity
from liftlock.check.rules.rule import Example, Match, Rule
from liftlock.shadow.result import RevisionResult

_LINES_SHOWN = 8


def find(result: RevisionResult, _way: str) -> Iterator[Match]:
    """Yield one match when the second upgrade fails, or the schemas differ."""
    downgrade = result.downgrade
    if downgrade is None:
        return
    if downgrade.upgrade_again_error:
        error = downgrade.upgrade_again_error
        yield Match(f"after its downgrade it can't be applied again: {error}")
    elif downgrade.statements and downgrade.difference and not downgrade.error:
        lines = _shortened(downgrade.difference)
        yield Match("\n".join(["after its downgrade the schema isn't what it was:", *lines]))


def _shortened(lines: Sequence[str]) -> list[str]:
    """Return the first lines, and the number of those that are left out."""
    left_out = len(lines) - _LINES_SHOWN
    more = [f"… and {left_out} lines more"] if left_out > 0 else []
    return [*lines[:_LINES_SHOWN], *more]


RULE = Rule(
    code="LL-DOWNGRADE-DIFFERS",
    title="Downgrade that doesn't restore the previous schema",
    severity=Severity.WARNING,
    why="The older release runs on a schema with which it was never tested, and a later upgrade may"
    " fail.",
    now="Revert all that the upgrade does, including names, defaults, indexes and types.",
    judge=find,
    bad=Example(
        upgrade='op.add_column("person", sa.Column("size", sa.Integer))\n'
        'op.create_index("ix_age", "person", ["age"])',
        downgrade='op.drop_column("person", "size")',
    ),
    good=Example(
        upgrade='op.add_column("person", sa.Column("size", sa.Integer))\n'
        'op.create_index("ix_age", "person", ["age"])',
        downgrade='op.drop_index("ix_age")\nop.drop_column("person", "size")',
    ),
    placed=False,
)
