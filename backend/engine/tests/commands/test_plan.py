"""A plan for people and for programs."""

from __future__ import annotations

from liftlock.commands.plan import PlannedRevision
from liftlock.model.lock import LockMode
from liftlock.model.operation import Operation
from liftlock.model.plan import PlannedOperation, RevisionPlan
from liftlock.model.revision import Revision
from liftlock.model.step import Pace, Phase, Step

STEP = Step(
    "validate", "ALTER TABLE t\nVALIDATE CONSTRAINT c", Pace.ONLINE, LockMode.SHARE_UPDATE_EXCLUSIVE
)
REMOVAL = Step("plain", "DROP TABLE u", Pace.BRIEF, LockMode.ACCESS_EXCLUSIVE, Phase.CONTRACT)
PLANNED = PlannedRevision(
    Revision("r1", message="Prove c"),
    RevisionPlan(
        "r1",
        (
            PlannedOperation(Operation("create_check_constraint", "t", ""), (STEP,), None),
            PlannedOperation(Operation("drop_table", "u", ""), (REMOVAL,), None),
        ),
        asks=True,
    ),
)


def test_plan_lines() -> None:
    """Operations, numbered steps with their locks, and their statements."""
    lines = list(PLANNED.lines())
    assert lines[0] == ("r1  Prove c  (contract)", True)
    text = [line for line, _ in lines[1:]]
    assert text == [
        "  create_check_constraint t",
        "    1. validate  [online, expand; SHARE UPDATE EXCLUSIVE, blocks nothing]",
        "         ALTER TABLE t",
        "         VALIDATE CONSTRAINT c",
        "  drop_table u",
        "    1. plain  [brief, contract; ACCESS EXCLUSIVE, blocks reads and writes]",
        "         DROP TABLE u",
        "  …  the rest depends on the results of queries, and is planned when it runs",
    ]


def test_plan_as_dict() -> None:
    """JSON for programs."""
    body = PLANNED.as_dict()
    assert (body["revision"], body["phase"], body["asks_database"]) == ("r1", "contract", True)
    assert [operation["operation"] for operation in body["operations"]] == [  # type: ignore[attr-defined]
        "create_check_constraint",
        "drop_table",
    ]
