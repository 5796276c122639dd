from __future__ import annotations

from liftlock.check.rules import RULES
from liftlock.model.operation import Operation
from liftlock.model.revision import Revision
from liftlock.shadow.result import RevisionResult


def test_operations_in_another_order_are_deterministic() -> None:
    """SQLAlchemy creates a table's indexes in the order of a set, which differs by process."""
    rule = next(one for one in RULES if one.code == "LL-NOT-DETERMINISTIC")
    first, second = (
        Operation("create_index", "t", f"CREATE INDEX {name} ON t (a)") for name in ("a", "b")
    )
    revision = Revision("r1")
    assert (
        list(
            rule.judge(
                RevisionResult(revision, "", (first, second), again=(second, first)), "plain"
            )
        )
        == []
    )
    assert (
        list(
            rule.judge(RevisionResult(revision, "", (first, first), again=(first, second)), "plain")
        )
        != []
    )
