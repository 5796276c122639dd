"""Uses of liftlock's public names, for type checkers: mypy reads this file, nothing runs it."""

from __future__ import annotations

from pathlib import Path

import liftlock
from liftlock import (
    Address,
    Event,
    LiftlockError,
    Notify,
    NotNow,
    PlannedRevision,
    RunReport,
    SchemaState,
    Settings,
    SettingsError,
    Status,
    StepFailed,
    UnsafeRevision,
)


def show(event: Event) -> None:
    """Accept an event."""
    line: str = f"{event.name} {event.text} {dict(event.facts)} {event.warning}"
    assert line


notify: Notify = show
version: str = liftlock.__version__

settings: Settings = liftlock.settings_from_environment()
settings_of_mapping: Settings = liftlock.settings_from_environment({"POSTGRES_SERVER": "db"})
wait: float = settings.wait

address: Address = liftlock.database_address(settings)
shadow: Address = liftlock.address_from_url("postgresql://user@host/database")
keywords: dict[str, str] = address.keywords()
variables: dict[str, str] = address.environ()

required: frozenset[str] = liftlock.required_revisions(settings)
status: Status = liftlock.status(settings, address)
state: SchemaState = status.state
usable: bool = status.satisfied
text: str = status.describe()

reports: list[RunReport] = liftlock.upgrade(settings)
more: list[RunReport] = liftlock.upgrade(settings, "+1", notify=notify, x_arguments=["tenant=a"])
reverted: list[RunReport] = liftlock.downgrade(settings, "base")
planned: list[PlannedRevision] = liftlock.plan(settings, notify=notify)

with liftlock.allow("LL-DATA-LOSS", because="the column was never filled"):
    pass

with liftlock.embedded_server(Path("data"), "password") as server:
    port: str = server.port


def family(error: LiftlockError) -> str:
    """Tell who must act."""
    match error:
        case SettingsError():
            return "deployer"
        case UnsafeRevision():
            return "author of the revision"
        case NotNow():
            return "nobody yet"
        case StepFailed():
            return "operator"
    return f"{error.code} {error.what} {error.why} {error.now} {error.exit_code}"
