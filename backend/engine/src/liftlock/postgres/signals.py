"""SIGTERM and SIGINT during a run: noticed by a thread, so that no driver can hide them.

A signal handler runs only between bytecodes, and a driver in C may not return to Python until its
statement ends. So both signals are blocked in every thread, and one thread looks whether any is
pending. As process 1 of a container this is also what makes them count at all.

It doesn't wait for them by ``sigtimedwait``: of CPython's, one that a SIGSTOP and a SIGCONT interrupt
as its time is up tells of a signal that nobody has sent.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from liftlock.errors import NotNow

_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})
TICK_SECONDS = 0.05


class Signals:
    """Takes the signals while it is entered, and ticks.

    Outside the main thread it only ticks: signals are the main thread's business.
    """

    def __init__(self) -> None:
        self.stopped: str | None = None
        self._tick: Callable[[], None] = _nothing
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="liftlock-interrupts", daemon=True)
        self._main = threading.current_thread() is threading.main_thread()
        self._mask: set[int] = set()

    def __enter__(self) -> Self:
        """Block the signals and start the thread."""
        if self._main:
            self._mask = set(signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the thread and give the signals back; a command that is exec'd inherits the mask."""
        self._done.set()
        self._thread.join()
        if self._main:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def every_tick(self, call: Callable[[], None]) -> None:
        """Call this, in the thread, every 50 ms."""
        self._tick = call

    def no_tick(self) -> None:
        """Call nothing any more."""
        self._tick = _nothing

    def check(self) -> None:
        """Go on only when no signal came.

        Raises:
            NotNow: one came.
        """
        if self.stopped:
            raise NotNow(
                "LL-STOPPED-BY-SIGNAL",
                f"Stopped by {self.stopped}.",
                why="What was running is cancelled and rolled back; finished revisions stay.",
                now="Run the same command again to go on.",
            )

    def _loop(self) -> None:
        while not self._done.wait(TICK_SECONDS):
            pending = signal.sigpending() & _SIGNALS if self._main else set()
            if pending:
                self.stopped = signal.Signals(signal.sigwait(pending)).name
            self._tick()


def _nothing() -> None:
    """Do nothing."""
