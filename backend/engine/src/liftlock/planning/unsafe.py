"""Refusals of operations that have no online form, and the allowances that permit them.

An operation without an online form is refused, unless the revision allows it with a reason
(``liftlock.allow``) or the operator allows it for one run (``LIFTLOCK_ALLOW``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NotRequired, TypedDict, Unpack

from liftlock.errors import UnsafeRevision
from liftlock.model.operation import Operation
from liftlock.model.table import Facts

_BLOCKS = "The application's queries on the table would be blocked until the statement is finished."
_MAX_CHARACTERS = 500


class RefusalTexts(TypedDict):
    """The texts of a refusal.

    Parameters:
        what: the effect of the operation.
        remedy: another way to the same result, with code to paste where code helps.
        why: the consequence for the application.
    """

    what: str
    remedy: str
    why: NotRequired[str]


def refuse_unless_allowed(
    code: str, operation: Operation, facts: Facts, **texts: Unpack[RefusalTexts]
) -> None:
    """Raise an error, unless the revision or the operator allows this code.

    Parameters:
        code: the code of the refusal, by which it can be allowed.
        operation: the operation, with the codes that the revision allows.
        facts: the codes that the operator allows.
        texts: the texts of the refusal.

    Raises:
        UnsafeRevision: the code isn't allowed.
    """
    if code in operation.allowed or code in facts.allowed:
        return
    line = operation.line or "?"
    raise UnsafeRevision(
        code,
        f"line {line}: {texts['what']}:\n{operation.sql[:_MAX_CHARACTERS]}",
        why=texts.get("why", _BLOCKS),
        now="\n".join([texts["remedy"], *_allowances(code)]),
    )


def refuse_table_rewrite(
    operation: Operation, facts: Facts, *, what: str, remedy: str, obstacles: Sequence[str] = ()
) -> None:
    """Refuse a rewrite or scan of a table under a lock that blocks the application.

    Parameters:
        operation: the operation.
        facts: the codes that the operator allows.
        what: the effect of the operation.
        remedy: another way to the same result.
        obstacles: the reasons for which its online form can't be used.

    Raises:
        UnsafeRevision: ``LL-TABLE-REWRITE`` isn't allowed.
    """
    if obstacles:
        what += f". The online form isn't possible because of {'; '.join(obstacles)}"
    refuse_unless_allowed("LL-TABLE-REWRITE", operation, facts, what=what, remedy=remedy)


def _allowances(code: str) -> list[str]:
    return [
        "Or allow it in the revision, and give the reason:",
        f'  with liftlock.allow("{code}", because="…"):',
        "      op.…",
        f"Or allow it for one run: LIFTLOCK_ALLOW={code}",
    ]
