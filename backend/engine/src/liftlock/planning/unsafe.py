"""What has no form that lets the traffic go on is refused, unless somebody allows it with a reason."""

from __future__ import annotations

from liftlock.errors import UnsafeRevision
from liftlock.model.operation import Operation
from liftlock.model.table import Facts

_WAITS = "The application would wait for as long as it takes."


def refuse_unless_allowed(
    code: str, operation: Operation, facts: Facts, *, what: str, remedy: str, why: str = _WAITS
) -> None:
    """Raise, unless the revision or the operator allows it.

    Parameters:
        code: what is to be allowed.
        operation: the operation.
        facts: hold what the operator allows.
        what: what it would do.
        remedy: another way to the same end.
        why: why it matters.

    Raises:
        UnsafeRevision: nobody allows it.
    """
    if code in operation.allowed or code in facts.allowed:
        return
    raise UnsafeRevision(
        code,
        f"line {operation.line or '?'}: {what}:\n{operation.sql[:500]}",
        why=why,
        now=f'{remedy}; or allow it here: with liftlock.allow("{code}", because="…"); or for this run: LIFTLOCK_ALLOW={code}.',
    )
