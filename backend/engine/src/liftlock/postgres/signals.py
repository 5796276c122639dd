"""SIGTERM and SIGINT during a run, received by a thread.

Python runs a signal handler only between bytecodes of the main thread, and a database driver
written in C may return to Python only at the end of its statement. So both signals are blocked in
all threads, and one thread polls whether one is pending. Process 1 of a container needs this too:
the kernel discards signals to it that have no handler and aren't blocked.

The thread polls instead of calling ``sigtimedwait``: CPython's function can report a signal that
was never sent, if SIGSTOP and SIGCONT arrive at the moment of its timeout.
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
    """Receives the signals while it is entered, and calls a function regularly.

    Only the main thread may receive signals. Entered in another thread, it only calls the function.

    ``stopped`` is the name of the signal that was received, else None. The thread assigns it, any
    thread may read it.
    """

    def __init__(self) -> None:
        self.stopped: str | None = None
        self._call: Callable[[], None] = _do_nothing
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="liftlock-signals", daemon=True)
        self._is_main_thread = threading.current_thread() is threading.main_thread()
        self._mask_before: set[int] = set()

    def __enter__(self) -> Self:
        """Block the signals and start the thread."""
        if self._is_main_thread:
            self._mask_before = set(signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the thread and restore the signal mask, which an exec'd command would inherit."""
        self._done.set()
        self._thread.join()
        if self._is_main_thread:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask_before)

    def every_tick(self, call: Callable[[], None]) -> None:
        """Call a function in the thread every 50 ms; it must raise nothing."""
        self._call = call

    def no_tick(self) -> None:
        """Stop calling the function. A call that has begun may still be running."""
        self._call = _do_nothing

    def check(self) -> None:
        """Continue only if no signal was received.

        Raises:
            NotNow: a signal was received.
        """
        if self.stopped:
            raise NotNow(
                "LL-STOPPED-BY-SIGNAL",
                f"Stopped by {self.stopped}.",
                why="The current statement is cancelled and rolled back; finished revisions stay.",
                now="Run the same command again to continue.",
            )

    def _loop(self) -> None:
        while not self._done.wait(TICK_SECONDS):
            pending = signal.sigpending() & _SIGNALS if self._is_main_thread else set()
            if pending:
                self.stopped = signal.Signals(signal.sigwait(pending)).name
            self._call()


def _do_nothing() -> None:
    """Do nothing."""
