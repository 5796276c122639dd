"""Retries with exponential backoff: one policy for everything that waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from types import TracebackType

from tenacity import (
    AttemptManager,
    Retrying,
    retry_if_exception,
    retry_if_exception_type,
    stop_after_delay,
    wait_exponential,
    wait_random,
)


class Attempt:
    """One attempt: a context manager around the block that may be tried again.

    The block's error is kept instead of raised. When the block ends, the loop over ``attempts``
    pauses and continues, or raises that error.

    Parameters:
        manager: tenacity's context manager of this attempt.
    """

    def __init__(self, manager: AttemptManager) -> None:
        self._manager = manager

    @property
    def number(self) -> int:
        """The number of this attempt, from 1."""
        return self._manager.retry_state.attempt_number

    def __enter__(self) -> None:
        self._manager.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        return bool(self._manager.__exit__(kind, error, trace))


def attempts(
    on: type[Exception] | Callable[[Exception], bool],
    seconds: float,
    *,
    first: float = 0.1,
    most: float = 1.0,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Attempt]:
    """Yield attempts until one succeeds, fails with another error, or the time is over.

    The last error is raised as it is. There is always at least one attempt, also for zero seconds::

        for attempt in attempts(ConnectionRefusedError, seconds=10):
            with attempt:
                return connect()

    Parameters:
        on: the class of the errors that are worth another attempt, or a function that decides.
        seconds: the time after whose end no further attempt is made.
        first: the first pause, in seconds; each following pause is twice as long. A random part of
            at most the same length is added, so that several runners don't retry in step.
        most: the longest pause, in seconds, without the random part.
        sleep: pauses; ``Signals.sleep`` ends a pause at a signal.
    """
    retrying = Retrying(
        retry=_condition(on),
        stop=stop_after_delay(seconds),
        wait=wait_exponential(multiplier=first, max=most) + wait_random(0, first),
        sleep=sleep,
        reraise=True,
    )
    for manager in retrying:
        yield Attempt(manager)


def _condition(on: type[Exception] | Callable[[Exception], bool]) -> retry_if_exception:
    """Return tenacity's condition. An interrupt or an exit of the process is never retried."""
    if isinstance(on, type):
        return retry_if_exception_type(on)
    return retry_if_exception(lambda error: isinstance(error, Exception) and on(error))
