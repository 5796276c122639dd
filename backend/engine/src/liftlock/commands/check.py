"""Check: judge revisions before they run anywhere."""

from __future__ import annotations

from liftlock.check.clock import Clock
from liftlock.check.report import Report
from liftlock.check.run import CheckOptions, CheckRun
from liftlock.events import Notify
from liftlock.postgres.signals import Signals
from liftlock.settings import Settings

_DEFAULTS = CheckOptions()


def check(
    settings: Settings,
    wanted: str = "",
    options: CheckOptions = _DEFAULTS,
    *,
    interrupts: Signals,
    notify: Notify,
) -> Report:
    """Run revisions on a shadow and judge them by what the server reports.

    Parameters:
        settings: the settings.
        wanted: ``a:b`` (after a, up to b), one revision, or nothing: then the revisions that are
            new compared with git's main branch, else the pending ones, else all.
        options: further options.
        interrupts: signals that stop it.
        notify: is called with each event.

    Raises:
        LiftlockError: the project can't be loaded, its base can't be built, or there is no server.
    """
    run = CheckRun(settings, options, interrupts, notify, Clock())
    return run.report("base:heads" if options.chain else wanted)
