from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from liftlock.postgres.signals import Signals

RECEIVE = """
import os, signal, sys, time
from liftlock.errors import NotNow
from liftlock.postgres.signals import Signals

with Signals() as signals:
    signals.check()
    os.kill(os.getpid(), getattr(signal, sys.argv[1]))
    while not signals.stopped:
        time.sleep(0.01)
    try:
        signals.check()
    except NotNow as error:
        print(error.code, error.what)
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_is_received_by_the_thread(name: str) -> None:
    """The check raises, instead of a handler at an arbitrary place.

    The process is a new one: all threads of this one would have to block the signals.
    """
    command = [sys.executable, "-c", RECEIVE, name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == f"LL-STOPPED-BY-SIGNAL Stopped by {name}.\n"


def test_the_signal_mask_is_restored() -> None:
    """A command that is executed afterwards inherits it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with Signals():
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        assert {signal.SIGTERM, signal.SIGINT} <= blocked
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_another_thread_than_the_main_one_leaves_the_signals_alone() -> None:
    """Only the function is called there."""
    masks = []

    def run() -> None:
        with Signals():
            masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, ()))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert signal.SIGTERM not in masks[0]
