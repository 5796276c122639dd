"""One call for a project's ``env.py``, by which liftlock runs plain ``alembic upgrade head``.

It is optional: ``liftlock upgrade`` works with any ``env.py``.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from logging.config import fileConfig

from alembic import context
from sqlalchemy import MetaData, create_engine, pool

from liftlock import settings as environment
from liftlock.errors import LiftlockError, no_address
from liftlock.events import Event
from liftlock.postgres.signals import Signals
from liftlock.postgres.wait import wait
from liftlock.revisions.connections import url_of
from liftlock.revisions.guard import Guard, active
from liftlock.revisions.run import run_finished
from liftlock.settings import Address, Settings

_log = logging.getLogger("liftlock")


def run(target_metadata: MetaData | None = None, **options: object) -> None:
    """Run Alembic's command on the database that the environment names.

    Parameters:
        target_metadata: metadata of the project's models, for autogenerate.
        options: further arguments of ``context.configure``.

    Raises:
        LiftlockError: the run stopped. Under Alembic's own command line, the message is printed
            and the process ends with the error's exit code.
    """
    options["target_metadata"] = target_metadata
    if context.is_offline_mode():
        configure: Callable[..., None] = context.configure
        configure(dialect_name="postgresql", literal_binds=True, **options)
        context.run_migrations()
    elif active():
        _run_online(options)
    else:
        _run_under_own_guard(options)


def _run_under_own_guard(options: dict[str, object]) -> None:
    """Run under a guard of this module's own, because liftlock's command line isn't the caller."""
    by_command_line = getattr(context.config, "cmd_opts", None) is not None
    if by_command_line and context.config.config_file_name:
        fileConfig(context.config.config_file_name, disable_existing_loggers=False)
    try:
        settings = environment.read()
        with Signals(_log.error if by_command_line else None) as interrupts:
            wait(_address(settings), settings.wait, interrupts=interrupts, notify=_log_event)
            guard = Guard(settings, "alembic", interrupts, _log_event)
            guard.run(lambda: _run_online(options))
            if guard.reports:
                _log_event(run_finished(guard.reports))
    except LiftlockError as error:
        if not by_command_line:
            raise
        sys.stderr.write(f"{error}\n")
        raise SystemExit(error.exit_code) from error


def _run_online(options: dict[str, object]) -> None:
    guard = active()
    redirect = guard.redirect if guard else None
    address = redirect or _address(environment.read())
    engine = create_engine(url_of(address), poolclass=pool.NullPool)
    configure: Callable[..., None] = context.configure
    with engine.connect() as connection:
        configure(connection=connection, **options)
        with context.begin_transaction():
            context.run_migrations()


def _address(settings: Settings) -> Address:
    if settings.address is None:
        raise no_address()
    return settings.address


def _log_event(event: Event) -> None:
    _log.log(logging.WARNING if event.warning else logging.INFO, event.text)
