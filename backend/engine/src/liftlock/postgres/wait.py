"""Waits for a database to become usable; fails at once if waiting can't help."""

from __future__ import annotations

import time

from liftlock.events import Event, Notify
from liftlock.postgres.probe import ProbeResult, probe
from liftlock.postgres.retry import attempts
from liftlock.postgres.signals import Signals
from liftlock.settings import Address

_REPORT_SECONDS = 10.0


class _NotReady(Exception):
    """The database can't be used yet."""

    def __init__(self, problem: ProbeResult) -> None:
        super().__init__(problem.text)
        self.problem = problem


def wait(
    address: Address, seconds: float, *, interrupts: Signals, notify: Notify, writable: bool = True
) -> None:
    """Return when the database can be used.

    Parameters:
        address: the database.
        seconds: how long to wait while the problem may be temporary.
        interrupts: end the wait.
        notify: receives an event for each problem: at once, when it changes, and every ten seconds.
        writable: whether a read-only standby is a problem.

    Raises:
        SettingsError: the problem is permanent, such as a wrong password.
        NotNow: the problem persists until the end of the wait, or a signal came.
    """
    started = time.monotonic()
    reported = started
    last: ProbeResult | None = None
    try:
        for attempt in attempts(_NotReady, seconds, sleep=interrupts.sleep):
            with attempt:
                interrupts.check()
                result = probe(address, writable=writable)
                now = time.monotonic()
                if result is None:
                    if last is not None:
                        notify(_ready(address, now - started))
                    return
                if not result.trouble.passes:
                    raise result.error()
                changed = last is None or result.trouble != last.trouble
                if changed or now - reported > _REPORT_SECONDS:
                    reported = now
                    notify(_waiting(result, now - started, seconds))
                last = result
                raise _NotReady(result)
    except _NotReady as error:
        raise error.problem.error(waited=seconds) from None


def _waiting(result: ProbeResult, waited: float, seconds: float) -> Event:
    text = f"waiting for the database ({waited:.0f} of {seconds:.0f} s): {result.text}"
    facts = {
        "trouble": result.trouble.kind,
        "words": result.words,
        "waited": round(waited, 1),
        "limit": seconds,
    }
    return Event("database.awaited", text, facts)


def _ready(address: Address, waited: float) -> Event:
    text = f"{address!r} is ready after {waited:.0f} s"
    return Event("database.reached", text, {"waited": round(waited, 1)})
