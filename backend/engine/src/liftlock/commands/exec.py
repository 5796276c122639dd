"""Bring the database to what this build requires, then become the service."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import PurePath

from liftlock.commands.status import Status, build_of, compare
from liftlock.commands.wait import wait
from liftlock.errors import LiftlockError, NotNow, SettingsError
from liftlock.events import Event, Notify
from liftlock.model.revision import Standing
from liftlock.postgres.interrupts import Interrupts
from liftlock.postgres.patience import attempts
from liftlock.postgres.session import connect
from liftlock.settings import Address, Settings

_OWN = frozenset({"alembic", "liftlock", "run-migrations.sh"})
_SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh", "psql", "pg_isready"})


class _NotYet(Exception):
    """Somebody else hasn't migrated yet."""


def prepare_exec(settings: Settings, command: Sequence[str], *, require: bool, interrupts: Interrupts, notify: Notify) -> None:
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
    wait(address, settings.wait, interrupts=interrupts, notify=notify, writable=not (require or settings.require))
    if minds_itself(command):
        return
    found = _status(settings, address)
    if found.standing is Standing.BEHIND:
        if require or settings.require:
            found = _await_others(settings, address, interrupts, notify)
        else:
            from liftlock.commands.upgrade import upgrade  # noqa: PLC0415 - Alembic takes 300 ms to import

            upgrade(settings, interrupts=interrupts, notify=notify)
            found = _status(settings, address)
    if found.taken_back:
        raise NotNow(
            "LL-UNFINISHED",
            found.explained(),
            why="Some of what this build needs is taken away already.",
            now="Finish the downgrade with the same files, by the same command; then upgrade.",
        )
    if not found.satisfied:
        raise _foreign(found)
    notify(Event("schema.accepted", found.explained(), {"standing": found.standing.value, "current": sorted(found.current)}))


def minds_itself(command: Sequence[str]) -> bool:
    """Whether a command migrates by itself or is a shell: then the schema is its own business."""
    name = PurePath(command[0]).name if command else ""
    module = command[2] if len(command) > 2 and name.startswith("python") and command[1] == "-m" else ""  # noqa: PLR2004
    return name in _OWN | _SHELLS or module in _OWN


def address_of(settings: Settings) -> Address:
    """The database, from the environment or from ``alembic.ini``.

    Raises:
        SettingsError: neither says it.
    """
    if settings.address is not None:
        return settings.address
    if os.path.exists(settings.config):  # noqa: PTH110
        from liftlock.revisions.history import configure, url_of  # noqa: PLC0415 - Alembic takes 300 ms to import

        address = url_of(configure(settings.config))
        if address is not None:
            return address
    raise SettingsError(
        "LL-NO-ADDRESS",
        "No database is named.",
        now="Set POSTGRES_SERVER, POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB (POSTGRES_PORT is 5432 unless set);"
        " or DATABASE_URL; or sqlalchemy.url in alembic.ini.",
    )


def _status(settings: Settings, address: Address) -> Status:
    with contextlib.closing(connect(address, "exec")) as session:
        return compare(session, build_of(settings))


def _await_others(settings: Settings, address: Address, interrupts: Interrupts, notify: Notify) -> Status:
    build = build_of(settings)
    shown = None
    try:
        for attempt in attempts(_NotYet, settings.wait, most=1.0):
            with attempt:
                interrupts.check()
                with contextlib.closing(connect(address, "exec")) as session:
                    found = compare(session, build)
                if found.standing is not Standing.BEHIND:
                    return found
                if found.current != shown:
                    shown = found.current
                    text = f"waiting for somebody else to migrate: {found.explained()}"
                    notify(Event("schema.awaited", text, {"pending": sorted(found.pending)}))
                raise _NotYet
    except _NotYet:
        raise NotNow(
            "LL-PENDING",
            f"Nobody migrated the database within {settings.wait:.0f} s. {found.explained()}",
            why="This container only requires its schema and never migrates.",
            now="Run the migration job (liftlock upgrade, or alembic upgrade head), or give it longer by --wait.",
        ) from None
    raise AssertionError


def _foreign(found: Status) -> LiftlockError:
    return SettingsError(
        "LL-FOREIGN",
        found.explained(),
        why="Either this build is older than the database and liftlock didn't record how they relate, or this is"
        " the database of another project.",
        now="Start the build that belongs to this database; or, if it is a newer one of this project, compare with `liftlock status`.",
    )
