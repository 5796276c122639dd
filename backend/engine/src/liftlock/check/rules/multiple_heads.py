"""LL-MULTIPLE-HEADS: the chain of revisions has more than one head."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from liftlock.check.finding import Finding, Severity
from liftlock.check.rules.rule import Example, FindingType

_ALLOW = "Or, where these are branches, allow it: LL-MULTIPLE-HEADS in alembic.ini."


def find(heads: Collection[str]) -> Iterator[Finding]:
    """Yield one finding when a chain has several heads.

    Parameters:
        heads: revisions that no other revision follows.
    """
    if len(heads) <= 1:
        return
    listed = " ".join(sorted(heads))
    finding = RULE.finding(f"the history has {len(heads)} heads: {listed}")
    yield replace(finding, now=f'Merge them: alembic merge -m "merge" {listed}. {_ALLOW}')


RULE = FindingType(
    code="LL-MULTIPLE-HEADS",
    title="Several heads in the history",
    severity=Severity.ERROR,
    why="`alembic upgrade head` could mean any of them, and is refused.",
    now=f"Merge them: alembic merge. {_ALLOW}",
    bad=Example(parents={"r1": ("r0",), "r2": ("r0",)}),
    good=Example(parents={"r1": ("r0",), "r2": ("r0",), "r3": ("r1", "r2")}),
)
