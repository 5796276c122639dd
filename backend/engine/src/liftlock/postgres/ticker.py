"""A thread that calls a function regularly."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

TICK_SECONDS = 0.05


class Ticker:
    """Calls a function every 50 ms in a thread of its own, while it is entered.

    The thread is a daemon and isn't joined: a call may wait for a server that doesn't answer.

    Parameters:
        call: the function; it must raise nothing.
        name: the name of the thread.
    """

    def __init__(self, call: Callable[[], None], name: str) -> None:
        self._call = call
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)

    def __enter__(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop calling the function. A call that has begun may still be running."""
        self._done.set()

    def _loop(self) -> None:
        while not self._done.wait(TICK_SECONDS):
            self._call()
