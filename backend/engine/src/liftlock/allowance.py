"""Allowances: codes of rules that a revision may break, with a reason."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

from liftlock.errors import UnsafeRevision

_current: ContextVar[dict[str, str]] = ContextVar("allowed")


@contextlib.contextmanager
def allow(*codes: str, because: str) -> Iterator[None]:
    """Permit the operations in the context, although rules would refuse or report them.

    Parameters:
        codes: codes of the rules, such as ``LL-TABLE-REWRITE``.
        because: the reason why they do no harm here, for readers of the revision and of the plan.

    Raises:
        UnsafeRevision: there is no reason.
    """
    if not because.strip():
        raise UnsafeRevision(
            "LL-ALLOW-WITHOUT-REASON",
            f"{', '.join(codes)} is allowed without a reason.",
            now="Give the reason: because=….",
        )
    token = _current.set(allowed() | dict.fromkeys(codes, because))
    try:
        yield
    finally:
        _current.reset(token)


def allowed() -> dict[str, str]:
    """Return the codes that are permitted now, with their reasons."""
    return _current.get({})
