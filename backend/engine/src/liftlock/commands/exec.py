"""Bring the database to what this build requires, then become the service."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import PurePath

from liftlock.errors import NotNow
from liftlock.events import Event, Notify
from liftlock.model.revision import SchemaState
from liftlock.postgres.retry import attempts
from liftlock.postgres.session import connect
from liftlock.postgres.signals import Signals
from liftlock.postgres.standing import Status, compare, unknown_revision
from liftlock.postgres.wait import wait
from liftlock.revisions.build import address_of, build_of
from liftlock.settings import Address, Settings

_OWN = frozenset({"alembic", "liftlock", "run-migrations.sh"})


_SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh", "psql", "pg_isready"})


class _NotYet(Exception):
    """Somebody else hasn't migrated yet."""


def prepare_exec(
    settings: Settings,
    command: Sequence[str],
    *,
    require: bool,
    interrupts: Signals,
    notify: Notify,
) -> None:
    """Do what must be done before a command takes this process over.

    The question asked is whether the database has the revisions that this build requires; a database
    that is newer is explained and accepted.

    Parameters:
        settings: the environment's.
        command: what will be run. When it migrates by itself, or is a shell, the database is only waited for.
        require: never migrate; wait until somebody else has (also by the settings).
        interrupts: stops it.
        notify: is told what happens.

    Raises:
        LiftlockError: the command must not be started.
    """
    address = address_of(settings)
    wait(
        address,
        settings.wait,
        interrupts=interrupts,
        notify=notify,
        writable=not (require or settings.require),
    )
    if manages_schema_itself(command):
        return
    found = _status(settings, address)
    if found.state is SchemaState.BEHIND:
        if require or settings.require:
            found = _await_others(settings, address, interrupts, notify)
        else:
            from liftlock.commands.upgrade import upgrade

            upgrade(settings, interrupts=interrupts, notify=notify)
            found = _status(settings, address)
    if found.downgrade_unfinished:
        raise NotNow(
            "LL-DOWNGRADE-UNFINISHED",
            found.describe(),
            why="Some of what this build needs is taken away already.",
            now="Finish the downgrade with the same files, by the same command; then upgrade.",
        )
    if not found.satisfied:
        raise unknown_revision(found.current, found.required)
    notify(
        Event(
            "schema.accepted",
            found.describe(),
            {"standing": found.state.value, "current": sorted(found.current)},
        )
    )


def manages_schema_itself(command: Sequence[str]) -> bool:
    """Whether a command migrates by itself or is a shell: then the schema is its own business."""
    name = PurePath(command[0]).name if command else ""
    module = (
        command[2] if len(command) > 2 and name.startswith("python") and command[1] == "-m" else ""
    )
    return name in _OWN | _SHELLS or module in _OWN


def _status(settings: Settings, address: Address) -> Status:
    with contextlib.closing(connect(address, "exec")) as session:
        return compare(session, build_of(settings))


def _await_others(
    settings: Settings, address: Address, interrupts: Signals, notify: Notify
) -> Status:
    build = build_of(settings)
    shown = None
    try:
        for attempt in attempts(_NotYet, settings.wait, most=1.0):
            with attempt:
                interrupts.check()
                with contextlib.closing(connect(address, "exec")) as session:
                    found = compare(session, build)
                if found.state is not SchemaState.BEHIND:
                    return found
                if found.current != shown:
                    shown = found.current
                    text = f"waiting for somebody else to migrate: {found.describe()}"
                    notify(Event("schema.awaited", text, {"pending": sorted(found.pending)}))
                raise _NotYet
    except _NotYet:
        raise NotNow(
            "LL-SCHEMA-NOT-MIGRATED",
            f"Nobody migrated the database within {settings.wait:.0f} s. {found.describe()}",
            why="This container only requires its schema and never migrates.",
            now="Run the migration job (liftlock upgrade, or alembic upgrade head), or give it longer by --wait.",
        ) from None
    raise AssertionError
