"""Operations to steps.

Every operation keeps its plain form here, as one brief step. Locks are those of the table in
https://www.postgresql.org/docs/current/sql-altertable.html and the pages of the other statements.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from liftlock.model.lock import LockMode
from liftlock.model.operation import Operation
from liftlock.model.step import Pace, Phase, Step


@dataclass(frozen=True, slots=True)
class _Form:
    """How an operation's plain form behaves on a table that others use."""

    lock: LockMode | None
    phase: Phase = Phase.EXPAND


_STRONG = _Form(LockMode.ACCESS_EXCLUSIVE)
_BREAKING = _Form(LockMode.ACCESS_EXCLUSIVE, Phase.CONTRACT)
_FORMS = {
    "create_table": _Form(None),
    "create_type": _Form(None),
    "create_sequence": _Form(None),
    "add_column": _STRONG,
    "create_index": _Form(LockMode.SHARE),
    "create_foreign_key": _Form(LockMode.SHARE_ROW_EXCLUSIVE),
    "create_check_constraint": _STRONG,
    "create_unique_constraint": _STRONG,
    "create_primary_key": _STRONG,
    "alter_default": _STRONG,
    "alter_identity": _STRONG,
    "alter_computed": _STRONG,
    "alter_nullable": _BREAKING,
    "drop_not_null": _STRONG,
    "alter_type": _BREAKING,
    "rename_column": _BREAKING,
    "rename_table": _BREAKING,
    "drop_column": _BREAKING,
    "drop_table": _BREAKING,
    "drop_type": _Form(None, Phase.CONTRACT),
    "drop_constraint": _STRONG,
    "drop_index": _STRONG,
    "comment": _Form(LockMode.SHARE_UPDATE_EXCLUSIVE),
    "bulk_insert": _Form(LockMode.ROW_EXCLUSIVE),
    "insert": _Form(LockMode.ROW_EXCLUSIVE),
    "update": _Form(LockMode.ROW_EXCLUSIVE),
    "delete": _Form(LockMode.ROW_EXCLUSIVE),
    "execute": _Form(None),
}


def plan(operations: Iterable[Operation]) -> tuple[Step, ...]:
    """The steps for a revision's operations, in order.

    A table created by the revision itself is seen by nobody else, so nothing waits for its locks.
    """
    new: set[str] = set()
    steps = []
    for operation in operations:
        if operation.kind == "create_table" and operation.table:
            new.add(operation.table)
        steps.append(_plain(operation, new))
    return tuple(steps)


def _plain(operation: Operation, new: set[str]) -> Step:
    form = _FORMS.get(operation.kind, _FORMS["execute"])
    lock = None if operation.table in new else form.lock
    if any(other not in new for other in operation.others):
        lock = lock or LockMode.SHARE_ROW_EXCLUSIVE
    phase = Phase.EXPAND if operation.table in new else form.phase
    return Step(operation=operation, sql=operation.sql, pace=Pace.BRIEF, lock=lock, phase=phase)


def phase_of(steps: Iterable[Step]) -> Phase:
    """The phase of a revision: *contract* when any of its steps is."""
    contract = any(step.phase is Phase.CONTRACT for step in steps)
    return Phase.CONTRACT if contract else Phase.EXPAND
