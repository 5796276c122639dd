"""Plans of revisions."""

from __future__ import annotations

from liftlock.model.operation import Operation
from liftlock.model.plan import PlannedOperation, RevisionPlan
from liftlock.model.step import Pace, Step


def test_steps_of_a_revision_in_order() -> None:
    """The steps of all operations, one after the other."""
    steps = [Step(name, "SELECT 1", Pace.BRIEF, None) for name in ("first", "second", "third")]
    operation = Operation("execute", None, "SELECT 1")
    planned = (
        PlannedOperation(operation, (steps[0],), None),
        PlannedOperation(operation, (), None),
        PlannedOperation(operation, (steps[1], steps[2]), None),
    )
    assert RevisionPlan("r1", planned, asks=False).steps == tuple(steps)
