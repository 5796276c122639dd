"""liftlock: run Alembic revisions on PostgreSQL, each exactly once, without downtime.

The names in ``__all__`` are the public ones; they are stable between minor versions. Each is
imported at its first use, because ``liftlock exec`` imports this package at every start of a
container, and Alembic and psycopg would cost it half a second. ``liftlock.env`` (for a project's
``env.py``) and ``liftlock.testing`` (fixtures of pytest) are public modules.
"""

from importlib import import_module

from liftlock.version import __version__

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing
if TYPE_CHECKING:
    from liftlock.allowance import allow
    from liftlock.api import downgrade, plan, upgrade
    from liftlock.commands.plan import PlannedRevision
    from liftlock.commands.status import status
    from liftlock.errors import LiftlockError, NotNow, SettingsError, StepFailed, UnsafeRevision
    from liftlock.events import Event, Notify
    from liftlock.model.revision import SchemaState
    from liftlock.postgres.standing import Status
    from liftlock.revisions.build import address_of as database_address
    from liftlock.revisions.build import required_revisions
    from liftlock.revisions.repetition import RunReport
    from liftlock.settings import Address, Settings
    from liftlock.settings import from_url as address_from_url
    from liftlock.settings import read as settings_from_environment
    from liftlock.shadow.embedded import serve as embedded_server

__all__ = [
    "Address",
    "Event",
    "LiftlockError",
    "NotNow",
    "Notify",
    "PlannedRevision",
    "RunReport",
    "SchemaState",
    "Settings",
    "SettingsError",
    "Status",
    "StepFailed",
    "UnsafeRevision",
    "__version__",
    "address_from_url",
    "allow",
    "database_address",
    "downgrade",
    "embedded_server",
    "plan",
    "required_revisions",
    "settings_from_environment",
    "status",
    "upgrade",
]

_SOURCES = {
    "Address": "settings.Address",
    "Event": "events.Event",
    "LiftlockError": "errors.LiftlockError",
    "NotNow": "errors.NotNow",
    "Notify": "events.Notify",
    "PlannedRevision": "commands.plan.PlannedRevision",
    "RunReport": "revisions.repetition.RunReport",
    "SchemaState": "model.revision.SchemaState",
    "Settings": "settings.Settings",
    "SettingsError": "errors.SettingsError",
    "Status": "postgres.standing.Status",
    "StepFailed": "errors.StepFailed",
    "UnsafeRevision": "errors.UnsafeRevision",
    "address_from_url": "settings.from_url",
    "allow": "allowance.allow",
    "database_address": "revisions.build.address_of",
    "downgrade": "api.downgrade",
    "embedded_server": "shadow.embedded.serve",
    "plan": "api.plan",
    "required_revisions": "revisions.build.required_revisions",
    "settings_from_environment": "settings.read",
    "status": "commands.status.status",
    "upgrade": "api.upgrade",
}

if not TYPE_CHECKING:  # a type checker would take every name for an attribute of the package

    def __getattr__(name: str) -> object:
        """Import a public name at its first use."""
        if name not in _SOURCES:
            message = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(message)
        module, _, attribute = _SOURCES[name].rpartition(".")
        value = getattr(import_module(f"{__name__}.{module}"), attribute)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        """List the public names, those that aren't imported yet as well."""
        return sorted({*globals(), *__all__})
