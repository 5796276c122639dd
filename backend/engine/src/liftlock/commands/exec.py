"""Exec: bring the database to what this build requires, before a command takes over the process."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import PurePath

import psycopg

from liftlock.errors import NotNow
from liftlock.events import Event, Notify
from liftlock.model.revision import SchemaState
from liftlock.postgres.retry import attempts
from liftlock.postgres.session import connect
from liftlock.postgres.signals import Signals
from liftlock.postgres.standing import Build, Status, compare, unknown_revision
from liftlock.postgres.wait import wait
from liftlock.revisions.build import address_of, build_of
from liftlock.settings import Address, Settings

_MIGRATORS = frozenset({"alembic", "liftlock", "run-migrations.sh"})
_SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh", "psql", "pg_isready"})
_POLL_SECONDS = 1.0


class _NotYet(Exception):
    """The schema still lacks revisions of this build."""


def prepare_exec(
    settings: Settings,
    command: Sequence[str],
    *,
    require: bool,
    interrupts: Signals,
    notify: Notify,
) -> None:
    """Migrate the database if necessary, so that a command can start.

    A database that is newer than this build is accepted, with an explanation.

    Parameters:
        settings: the settings.
        command: the command. If it migrates itself or is a shell, the database is only awaited.
        require: never migrate, and wait until another process has; the settings can say so too.
        interrupts: signals that stop it.
        notify: is called with each event.

    Raises:
        LiftlockError: the command must not be started.
    """
    require = require or settings.require
    address = address_of(settings)
    wait(address, settings.wait, interrupts=interrupts, notify=notify, writable=not require)
    if manages_schema_itself(command):
        return
    status = _status(settings, address)
    if status.state is SchemaState.BEHIND:
        if require:
            status = _await_migration(settings, address, interrupts, notify)
        else:
            _upgrade(settings, interrupts, notify)
            status = _status(settings, address)
    _refuse_unusable(status)
    facts = {"standing": status.state.value, "current": sorted(status.current)}
    notify(Event("schema.accepted", status.describe(), facts))


def manages_schema_itself(command: Sequence[str]) -> bool:
    """Tell whether a command migrates the database itself, or is a shell in which a user may."""
    if not command:
        return False
    name = PurePath(command[0]).name
    runs_module = name.startswith("python") and command[1:2] == ["-m"]
    module = command[2] if runs_module and command[2:] else ""
    return name in _MIGRATORS | _SHELLS or module in _MIGRATORS


def _upgrade(settings: Settings, interrupts: Signals, notify: Notify) -> None:
    # Importing Alembic takes longer than all else here, and most starts have nothing to migrate.
    from liftlock.revisions.guard import Guard
    from liftlock.revisions.run import prepare
    from liftlock.revisions.upgrade import run_upgrade

    project = prepare(settings, (), interrupts, notify)
    run_upgrade(Guard(settings, "upgrade", interrupts, notify), project)


def _status(settings: Settings, address: Address) -> Status:
    return _compare(address, build_of(settings))


def _compare(address: Address, build: Build) -> Status:
    with contextlib.closing(connect(address, "exec")) as session:
        return compare(session, build)


def _await_migration(
    settings: Settings, address: Address, interrupts: Signals, notify: Notify
) -> Status:
    """Wait until another process has migrated the database.

    Raises:
        NotNow: the time is up, or a signal came.
    """
    build = build_of(settings)
    shown: frozenset[str] | None = None
    status = None
    with contextlib.suppress(_NotYet):
        for attempt in attempts(_NotYet, settings.wait, most=_POLL_SECONDS, sleep=interrupts.sleep):
            with attempt:
                interrupts.check()
                try:
                    status = _compare(address, build)
                except psycopg.OperationalError as error:  # the server restarts, or is crowded
                    raise _NotYet from error
                if status.state is not SchemaState.BEHIND:
                    return status
                if status.current != shown:
                    shown = status.current
                    text = f"waiting for another process to migrate: {status.describe()}"
                    notify(Event("schema.awaited", text, {"pending": sorted(status.pending)}))
                raise _NotYet
    state = f" {status.describe()}" if status is not None else ""
    raise NotNow(
        "LL-SCHEMA-NOT-MIGRATED",
        f"No process migrated the database within {settings.wait:.0f} s.{state}",
        why="This container only requires its schema and never migrates.",
        now="Run the migration job (liftlock upgrade, or alembic upgrade head), or raise --wait.",
    )


def _refuse_unusable(status: Status) -> None:
    """Refuse a schema with which the command can't work.

    Raises:
        NotNow: a downgrade is unfinished.
        SettingsError: the database is at a revision that this build doesn't know.
    """
    if status.downgrade_unfinished:
        raise NotNow(
            "LL-DOWNGRADE-UNFINISHED",
            status.describe(),
            why="Some of what this build needs is removed already.",
            now="Finish the downgrade with the same files, by the same command; then upgrade.",
        )
    if not status.satisfied:
        raise unknown_revision(status.current, status.required)
