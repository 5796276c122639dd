"""liftlock: moves a PostgreSQL database along its Alembic revisions, exactly once."""

from liftlock.allowance import allow
from liftlock.errors import LiftlockError, NotNow, SettingsError, StepFailed, UnsafeRevision

__version__ = "0.1.0"

__all__ = [
    "LiftlockError",
    "NotNow",
    "SettingsError",
    "StepFailed",
    "UnsafeRevision",
    "__version__",
    "allow",
]
