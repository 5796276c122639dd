"""SIGTERM and SIGINT during a run, received by a thread.

Python runs a signal handler only between bytecodes of the main thread, and a database driver
written in C may return to Python only at the end of its statement. So both signals are blocked in
all threads, and one thread polls whether one is pending. Process 1 of a container needs this too:
the kernel discards signals to it that have no handler and aren't blocked.

The thread polls instead of calling ``sigtimedwait``: CPython's function can report a signal that
was never sent, if SIGSTOP and SIGCONT arrive at the moment of its timeout.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from liftlock.errors import NotNow
from liftlock.postgres.ticker import TICK_SECONDS

_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})
_MESSAGE_SECONDS = 0.3
_OVERDUE_SECONDS = 1.5
"""The time after a signal in which the run should end by itself."""


class Signals:
    """Receives the signals while it is entered.

    Only the main thread may receive signals. Entered in another thread, it receives none.

    ``stopped`` is the name of the signal that was received, else None. The thread assigns it, any
    thread may read it. ``remark`` is added to the error of a signal, such as a statement that
    removes an object that the run leaves. The main thread assigns it.

    Parameters:
        show: shows an error. With it, the process ends when the run goes on 1.5 s after a signal,
            or when the server doesn't answer. The command line gives one; without it, the run goes
            on.
    """

    def __init__(self, show: Callable[[NotNow], None] | None = None) -> None:
        self.stopped: str | None = None
        self.remark = ""
        self._show = show
        self._received = threading.Event()
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

    def check(self) -> None:
        """Continue only if no signal was received.

        Raises:
            NotNow: a signal was received.
        """
        if self.stopped:
            raise self._error()

    def sleep(self, seconds: float) -> None:
        """Sleep for a time; a signal ends it early."""
        self._received.wait(seconds)

    def abort(self, error: NotNow) -> None:
        """Show an error and end the process at once, from any thread, without cleanup.

        Another thread may be inside a write to the same stream, so this doesn't wait for the
        message. Nothing happens where no function shows errors.
        """
        if self._show is None:
            return
        message = threading.Thread(target=self._show, args=(error,), daemon=True)
        message.start()
        message.join(_MESSAGE_SECONDS)
        os._exit(error.exit_code)

    def _error(self) -> NotNow:
        error = NotNow(
            "LL-STOPPED-BY-SIGNAL",
            f"Stopped by {self.stopped}.",
            why="The current statement is rolled back; finished revisions stay.",
            now="Run the same command again to continue.",
        )
        error.remark(self.remark)
        return error

    def _loop(self) -> None:
        received_at = 0.0
        while not self._done.wait(TICK_SECONDS):
            pending = signal.sigpending() & _SIGNALS if self._is_main_thread else set()
            if pending:
                received_at = received_at or time.monotonic()
                self.stopped = signal.Signals(signal.sigwait(pending)).name
                self._received.set()
            if received_at and time.monotonic() - received_at > _OVERDUE_SECONDS:
                self.abort(self._error())
