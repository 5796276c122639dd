"""Errors of revisions and of ``env.py``, as errors that say who must act."""

from __future__ import annotations

import traceback
from pathlib import Path

from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError

from liftlock.errors import LiftlockError, NotNow, SettingsError, StepFailed, UnsafeRevision
from liftlock.model.operation import Operation
from liftlock.postgres.sqlstates import (
    connection_lost,
    is_connection_lost,
    remedy,
    server_message,
    state_after_failure,
)
from liftlock.revisions.alembic_step import AlembicStep, name_of, path_of
from liftlock.revisions.project import place_in
from liftlock.sql import excerpt

_PACKAGE = str(Path(__file__).parents[1])
_STATEMENT_CHARACTERS = 500
_CORRECT_REVISION = "Correct the revision and run again."


def revision_error(
    error: Exception,
    step: AlembicStep,
    *,
    operation: Operation | None,
    script: ScriptDirectory,
    half_done: bool,
) -> LiftlockError:
    """Return the error of a revision for its reader.

    Parameters:
        error: the error that was raised.
        step: the step that ran the revision.
        operation: the operation that was sent last; None when none was.
        script: the project's scripts.
        half_done: whether a part of the revision is committed.
    """
    if isinstance(error, LiftlockError):
        return error
    why = state_after_failure(half_done=half_done)
    revision, source = name_of(step), path_of(step)
    if is_connection_lost(error):
        return connection_lost(error, where=f"revision {revision}: ", why=why)
    place = place_in(error, script) or source
    if isinstance(error, DBAPIError):
        statement = ""
        if operation is not None:
            place = f"{source}:{operation.line}" if operation.line else place
            statement = f"\n{excerpt(operation.sql, _STATEMENT_CHARACTERS)}"
        what = f"revision {revision}, {place}: {server_message(error)}{statement}"
        return step_failed(error, what, why=why)
    if isinstance(error, CommandError) and "expected to match one row" in str(error):
        return _version_table_changed(error, revision, why)
    what = f"revision {revision}, {place}: {type(error).__name__}: {error}"
    return revision_raised(what, why=why)


def step_failed(error: Exception, what: str, *, why: str = "") -> StepFailed:
    """Return the error of a statement that the server refused."""
    return StepFailed("LL-STEP-FAILED", what, why=why, now=remedy(error))


def revision_raised(what: str, *, why: str = "") -> UnsafeRevision:
    """Return the error of a revision that raised an exception of Python."""
    return UnsafeRevision("LL-REVISION-RAISED", what, why=why, now=_CORRECT_REVISION)


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


def env_error(
    error: Exception, script: ScriptDirectory, *, revisions_finished: bool
) -> LiftlockError | None:
    """Return the error of an ``env.py`` for its reader; None for an error of liftlock itself.

    Parameters:
        error: the error that was raised.
        script: the project's scripts.
        revisions_finished: whether revisions ran before it.
    """
    if is_connection_lost(error):
        return connection_lost(
            error, why="The running revision is rolled back; finished revisions stay."
        )
    place = place_in(error, script)
    innermost = traceback.extract_tb(error.__traceback__)[-1].filename
    if place is None or innermost.startswith(_PACKAGE):
        return None
    consequence = (
        "to its end; finished revisions stay" if revisions_finished else ("so nothing was changed")
    )
    return env_failed(error, place, why=f"The project's env.py couldn't run, {consequence}.")


def _version_table_changed(error: Exception, revision: str, why: str) -> NotNow:
    return NotNow(
        "LL-VERSION-TABLE-CHANGED",
        f"revision {revision}: another session changed the version table meanwhile: {error}",
        why=why,
        now="Run again; and let every process migrate through liftlock, so that one waits for the"
        " other.",
    )
