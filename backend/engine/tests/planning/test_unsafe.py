"""Refusals and allowances."""

from __future__ import annotations

from dataclasses import replace

import pytest
from planning.examples import CHANGE_TYPE, REWRITES, facts, names

from liftlock.errors import UnsafeRevision
from liftlock.model.operation import Operation
from liftlock.model.table import DryRun
from liftlock.planning.plan import plan
from liftlock.planning.unsafe import refuse_table_rewrite, refuse_unless_allowed

OPERATION = Operation("execute", "t", "VACUUM FULL t", line=12)


def refusal(**texts: str) -> str:
    """Return the message of a refusal."""
    given = {"what": "this is slow", "remedy": "Use VACUUM t", **texts}
    with pytest.raises(UnsafeRevision) as caught:
        refuse_unless_allowed("LL-X", OPERATION, facts(), **given)
    return str(caught.value)


def test_refusal_message() -> None:
    """It names the line and the statement, gives a remedy, and says how to allow the operation."""
    assert refusal() == (
        "LL-X  line 12: this is slow:\n"
        "  VACUUM FULL t\n"
        "  The application's queries on the table would be blocked until the statement is "
        "finished.\n"
        "  Use VACUUM t\n"
        "  Or allow it in the revision, and give the reason:\n"
        '    with liftlock.allow("LL-X", because="…"):\n'
        "        op.…\n"
        "  Or allow it for one run: LIFTLOCK_ALLOW=LL-X\n"
        "  docs: docs/reference/errors.md#ll-x"
    )


def test_refusal_with_another_reason() -> None:
    """The consequence can be another one than blocked queries."""
    assert "The rows are lost." in refusal(why="The rows are lost.")


def test_refusal_of_a_table_rewrite_names_the_obstacles() -> None:
    """They are the objects for which the online form isn't possible."""
    with pytest.raises(UnsafeRevision, match="LL-TABLE-REWRITE") as caught:
        refuse_table_rewrite(
            OPERATION, facts(), what="it rewrites t", remedy="…", obstacles=["view v", "policy p"]
        )
    assert "it rewrites t. The online form isn't possible because of view v; policy p:" in str(
        caught.value
    )


@pytest.mark.parametrize(
    "dry_run",
    [None, REWRITES, DryRun(rebuilds=True)],
    ids=["unknown", "rewrites the table", "rebuilds an index"],
)
def test_allowed_operation_is_unchanged(dry_run: DryRun | None) -> None:
    """The revision or the operator may allow it."""
    by_revision = replace(CHANGE_TYPE, allowed={"LL-TABLE-REWRITE": "it runs at night"})
    assert names(plan(by_revision, facts(dry_run=dry_run))) == ["plain", "analyze"]
    by_operator = facts(dry_run=dry_run, allowed=frozenset({"LL-TABLE-REWRITE"}))
    assert names(plan(CHANGE_TYPE, by_operator)) == ["plain", "analyze"]
    with pytest.raises(UnsafeRevision, match="LIFTLOCK_ALLOW=LL-TABLE-REWRITE"):
        plan(CHANGE_TYPE, facts(dry_run=dry_run))
