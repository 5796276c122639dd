"""Trying again: one policy for all that waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import stamina
from stamina.instrumentation import get_on_retry_hooks, set_on_retry_hooks


def attempts(
    on: type[Exception] | Callable[[Exception], bool],
    seconds: float,
    *,
    first: float = 0.1,
    most: float = 1.0,
) -> Iterator[stamina.Attempt]:
    """Attempts until one succeeds or the time is over; the last error is then raised.

    Parameters:
        on: which errors are worth another attempt.
        seconds: for how long.
        first, most: the first and the longest pause, in seconds, without the jitter.

    What is retried is told by the caller's own events, so stamina's are silenced meanwhile.
    """
    hooks = get_on_retry_hooks()
    set_on_retry_hooks([])
    try:
        yield from stamina.retry_context(
            on=on,
            attempts=None,
            timeout=seconds,
            wait_initial=first,
            wait_max=most,
            wait_jitter=first,
        )
    finally:
        set_on_retry_hooks(hooks)
