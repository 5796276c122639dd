from __future__ import annotations

import threading
import time

from liftlock.postgres.ticker import Ticker


def test_a_function_is_called_regularly_until_the_end() -> None:
    """In another thread."""
    threads: list[threading.Thread] = []
    with Ticker(lambda: threads.append(threading.current_thread()), "test"):
        time.sleep(0.3)
    time.sleep(0.1)
    calls = len(threads)
    time.sleep(0.2)
    assert 2 <= calls == len(threads)
    assert threads[0] is not threading.current_thread()


def test_the_end_does_not_wait_for_a_call_that_hangs() -> None:
    """As one that waits for a server that doesn't answer."""
    released = threading.Event()
    called = threading.Event()

    def hang() -> None:
        called.set()
        released.wait(60)

    with Ticker(hang, "test"):
        called.wait(60)
    released.set()
