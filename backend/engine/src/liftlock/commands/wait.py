"""Wait: until the database can be used."""

from __future__ import annotations

from liftlock.events import Notify
from liftlock.postgres.signals import Signals
from liftlock.postgres.wait import wait as wait_for
from liftlock.revisions.build import address_of
from liftlock.settings import Address, Settings


def wait(
    settings: Settings, *, interrupts: Signals, notify: Notify, writable: bool = True
) -> Address:
    """Wait until the database can be used, and return its address.

    Parameters:
        settings: the settings, which say how long to wait.
        interrupts: signals that stop it.
        notify: is called with each event.
        writable: whether a read-only standby isn't enough.

    Raises:
        SettingsError: waiting can't help, for example with a wrong password.
        NotNow: the database couldn't be used in time.
    """
    address = address_of(settings)
    wait_for(address, settings.wait, interrupts=interrupts, notify=notify, writable=writable)
    return address
