"""The one call for a project's own ``env.py``: plain ``alembic upgrade head`` goes through the engine."""

from __future__ import annotations

import logging
import sys
from logging.config import fileConfig
from typing import Any

from alembic import context
from sqlalchemy import MetaData, create_engine, pool

from liftlock import settings as environment
from liftlock.errors import LiftlockError, SettingsError
from liftlock.events import Event
from liftlock.postgres.signals import Signals
from liftlock.postgres.wait import wait
from liftlock.revisions.connections import url_of
from liftlock.revisions.guard import Guard, active
from liftlock.revisions.run import run_finished
from liftlock.settings import Address, Settings

_log = logging.getLogger("liftlock")


def run(target_metadata: MetaData | None = None, **options: Any) -> None:
    """Run Alembic's command on the database that the environment names.

    Parameters:
        target_metadata: the project's models, for autogenerate.
        options: further arguments of ``context.configure``.

    Raises:
        LiftlockError: see its families. Under Alembic's own command line it is shown, and the process
            ends with its exit code.
    """
    options["target_metadata"] = target_metadata
    if context.is_offline_mode():
        context.configure(dialect_name="postgresql", literal_binds=True, **options)
        context.run_migrations()
    elif active():
        _online(options)
    else:
        _by_alembic(options)


def _by_alembic(options: dict[str, Any]) -> None:
    """Stand guard ourselves, since liftlock's own command line doesn't."""
    by_hand = getattr(context.config, "cmd_opts", None) is not None
    if by_hand and context.config.config_file_name:
        fileConfig(context.config.config_file_name, disable_existing_loggers=False)
    try:
        found = environment.read()
        with Signals() as interrupts:
            wait(_address(found), found.wait, interrupts=interrupts, notify=_tell)
            with Guard(found, "alembic", interrupts, _tell) as guard:
                _online(options)
            if guard.reports:
                _tell(run_finished(guard.reports))
    except LiftlockError as error:
        if not by_hand:
            raise
        sys.stderr.write(f"{error}\n")
        raise SystemExit(error.exit_code) from error


def _online(options: dict[str, Any]) -> None:
    guard = active()
    address = guard.redirect if guard else None
    engine = create_engine(url_of(address or _address(environment.read())), poolclass=pool.NullPool)
    with engine.connect() as connection:
        context.configure(connection=connection, **options)
        with context.begin_transaction():
            context.run_migrations()


def _address(found: Settings) -> Address:
    if found.address is not None:
        return found.address
    raise SettingsError(
        "LL-NO-ADDRESS",
        "No database is named.",
        now="Set POSTGRES_SERVER, POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB, or DATABASE_URL.",
    )


def _tell(event: Event) -> None:
    _log.log(logging.WARNING if event.warning else logging.INFO, event.text)
