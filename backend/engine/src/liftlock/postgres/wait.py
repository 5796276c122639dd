"""Wait for a database; tell at once what waiting can't heal."""

from __future__ import annotations

import time

from liftlock.events import Event, Notify
from liftlock.postgres.probe import ProbeResult, probe
from liftlock.postgres.retry import attempts
from liftlock.postgres.signals import Signals
from liftlock.settings import Address

_REPEAT_SECONDS = 10.0


class _NotYet(Exception):
    """The database can't be used yet."""


def wait(
    address: Address, seconds: float, *, interrupts: Signals, notify: Notify, writable: bool = True
) -> None:
    """Return when the database can be used.

    Parameters:
        address: where it is.
        seconds: how long to wait for what time may heal.
        interrupts: stops the wait.
        notify: is told what is wrong, at once, whenever it changes and every ten seconds.
        writable: whether a read-only standby is worth waiting on.

    Raises:
        SettingsError: time can't heal it, such as a wrong password.
        NotNow: it isn't healed in time, or a signal came.
    """
    started = shown = time.monotonic()
    last: ProbeResult | None = None
    try:
        for attempt in attempts(_NotYet, seconds):
            with attempt:
                interrupts.check()
                verdict = probe(address, writable=writable)
                now = time.monotonic()
                if verdict is None:
                    _ready(address, now - started, last, notify)
                    return
                if not verdict.trouble.passes:
                    raise verdict.error()
                if last is None or verdict.trouble != last.trouble or now - shown > _REPEAT_SECONDS:
                    shown = now
                    notify(_waiting(verdict, now - started, seconds))
                last = verdict
                raise _NotYet
    except _NotYet:
        assert last is not None
        raise last.error(waited=seconds) from None


def _waiting(verdict: ProbeResult, waited: float, seconds: float) -> Event:
    text = f"waiting for the database ({waited:.0f} of {seconds:.0f} s): {verdict.text}"
    facts = {
        "trouble": verdict.trouble.kind,
        "words": verdict.words,
        "waited": round(waited, 1),
        "limit": seconds,
    }
    return Event("database.awaited", text, facts)


def _ready(address: Address, waited: float, last: ProbeResult | None, notify: Notify) -> None:
    if last is not None:
        notify(
            Event(
                "database.reached",
                f"{address!r} is ready after {waited:.0f} s",
                {"waited": round(waited, 1)},
            )
        )
