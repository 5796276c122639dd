"""What went wrong while a revision ran, as an error that says who must act."""

from __future__ import annotations

from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError

from liftlock.errors import LiftlockError, NotNow, SettingsError, StepFailed, UnsafeRevision
from liftlock.execution.database_errors import (
    connection_lost,
    remedy,
    server_message,
    state_after_failure,
)
from liftlock.model.operation import Operation
from liftlock.revisions.project import place_in


def failure(
    error: Exception,
    *,
    revision: str,
    operation: Operation | None,
    source: str,
    script: ScriptDirectory,
    half_done: bool,
) -> LiftlockError:
    """The error of a revision, for its reader.

    Parameters:
        error: what was raised.
        revision: the revision that ran.
        operation: the operation that was sent last; None when none was.
        source: path of the revision's file.
        script: the project's scripts.
        half_done: whether the revision committed a part of itself before.
    """
    if isinstance(error, LiftlockError):
        return error
    why = state_after_failure(half_done=half_done)
    if connection_lost(error):
        return NotNow(
            "LL-CONNECTION-LOST",
            f"revision {revision}: the connection to the database was lost: {server_message(error)}",
            why=why,
            now="Run the same command again when the database is back.",
        )
    if isinstance(error, DBAPIError):
        line = operation.line if operation else None
        place = f"{source}:{line}" if line else place_in(error, script) or source
        statement = f"\n{_shortened(operation.sql)}" if operation else ""
        what = f"revision {revision}, {place}: {server_message(error)}{statement}"
        return step_failed(error, what, why=why)
    if isinstance(error, CommandError) and "expected to match one row" in str(error):
        return NotNow(
            "LL-VERSION-TABLE-CHANGED",
            f"revision {revision}: somebody else changed the version table meanwhile: {error}",
            why=why,
            now="Run again; and let everybody migrate through liftlock, so that one waits for the other.",
        )
    place = place_in(error, script) or source
    return revision_raised(f"revision {revision}, {place}: {type(error).__name__}: {error}", why=why)


def step_failed(error: Exception, what: str, *, why: str = "") -> StepFailed:
    """Return the error of a statement that the server refused."""
    return StepFailed("LL-STEP-FAILED", what, why=why, now=remedy(error))


def revision_raised(what: str, *, why: str = "") -> UnsafeRevision:
    """Return the error of a revision that raised an exception of Python."""
    return UnsafeRevision(
        "LL-REVISION-RAISED", what, why=why, now="Correct the revision and run again."
    )


def env_failed(error: Exception, place: str, *, why: str = "") -> SettingsError:
    """Return the error of an ``env.py`` that raised an exception.

    Parameters:
        error: the exception.
        place: the file and line that raised it.
        why: how the database is left.
    """
    return SettingsError(
        "LL-ENV-FAILED",
        f"{place}: {type(error).__name__}: {server_message(error)}",
        why=why,
        now="Correct env.py, or the settings that it reads; `liftlock doctor` checks the usual"
        " causes.",
    )


def _shortened(sql: str, most: int = 500) -> str:
    return sql if len(sql) <= most else sql[:most] + " …"
