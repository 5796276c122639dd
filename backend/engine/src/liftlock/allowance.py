"""What a revision permits in spite of a rule, with a reason."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

from liftlock.errors import UnsafeRevision

_current: ContextVar[dict[str, str]] = ContextVar("allowed", default={})


@contextlib.contextmanager
def allow(*codes: str, because: str) -> Iterator[None]:
    """Permit, for the operations inside, what a rule would refuse.

    Parameters:
        codes: the rules, such as ``LL-TABLE-REWRITE``.
        because: why it does no harm here; readers of the revision and of the plan see it.

    Raises:
        UnsafeRevision: no reason is given.
    """
    if not because.strip():
        raise UnsafeRevision(
            "LL-ALLOW-WITHOUT-REASON",
            f"{', '.join(codes)} is allowed without a reason.",
            now="Say why: because=….",
        )
    token = _current.set(_current.get() | dict.fromkeys(codes, because))
    try:
        yield
    finally:
        _current.reset(token)


def allowed() -> dict[str, str]:
    """The codes that are permitted now, with their reasons."""
    return _current.get()
