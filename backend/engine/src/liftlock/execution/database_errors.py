"""What went wrong while a revision ran, as an error that says who must act."""

from __future__ import annotations

import re
from typing import Any

import psycopg
from sqlalchemy.exc import DBAPIError

LOCK_NOT_AVAILABLE = "55P03"


QUERY_CANCELED = "57014"


INSUFFICIENT_PRIVILEGE = "42501"


ASSIGNS_GENERATED = frozenset({"428C9", "42601"})
"""The statement gives a generated column a value; PostgreSQL 13 calls that a syntax error."""


COMMITS = "2D000"
"""The statement commits by itself, so it may be done by half: a procedure, a DO block."""


REFUSES_TRANSACTION = frozenset({"25001", COMMITS})
"""The statement can't be run in a transaction."""


NEEDS_COMMIT = REFUSES_TRANSACTION | {"55P04"}
"""Or counts on what was sent before being committed: a new label of an enum."""


ALREADY = frozenset({"42P01", "42P04", "42P07", "42704", "42710", "3D000"})
"""What a statement makes is there, or what it drops or detaches is gone."""


DATA_BREAKS = frozenset({"23502", "23503", "23505", "23514", "23P01"})
"""The rows themselves break a constraint."""


_TRANSIENT = frozenset({LOCK_NOT_AVAILABLE, "40P01", "40001"})


_UNDEFINED_OBJECT = "42704"


_LOST = re.compile(
    "terminating connection|server closed the connection|connection socket closed|the connection is (closed|lost)"
)
"""The words of libpq and of the drivers for it: one that hasn't noticed the end yet, with a command under way, gives no code."""


_CONNECTION = ("08", "57P")


class RetryDifferently(Exception):
    """A statement was cancelled, to be run in another way on the next attempt."""


def sqlstate(error: BaseException) -> str | None:
    """The SQLSTATE of an error, by whatever name its driver gives it.

    psycopg says ``sqlstate``, psycopg2 ``pgcode``, asyncpg's adapter both, pg8000 a dictionary with ``C``:
    https://www.postgresql.org/docs/current/errcodes-appendix.html
    """
    original: Any = error.orig if isinstance(error, DBAPIError) else error
    for name in ("sqlstate", "pgcode"):
        found = getattr(original, name, None)
        if isinstance(found, str):
            return found
    arguments = getattr(original, "args", ())
    told = arguments[0].get("C") if arguments and isinstance(arguments[0], dict) else None
    return told if isinstance(told, str) else None


def is_transient(error: BaseException) -> bool:
    """Whether the same revision may well succeed when it is tried again: a lock, a deadlock, a conflict."""
    return isinstance(error, RetryDifferently) or sqlstate(error) in _TRANSIENT


def is_row_error(error: BaseException) -> bool:
    """Whether a row's new value can't be made, or breaks a constraint."""
    state = sqlstate(error)
    return state is not None and (state in DATA_BREAKS or state.startswith("22"))


def server_message(error: BaseException) -> str:
    """What the server says, without SQLAlchemy's and the driver's wrapping, and without parameters."""
    original: Any = error.orig if isinstance(error, DBAPIError) else error
    arguments = getattr(original, "args", ())
    if arguments and isinstance(arguments[0], dict) and "M" in arguments[0]:
        return str(arguments[0]["M"])
    return str(original).strip()


def remedy(error: Exception) -> str:
    """What to do about a statement that the server refused."""
    role = (
        re.search(r'role "(.+)" does not exist', str(error))
        if sqlstate(error) == _UNDEFINED_OBJECT
        else None
    )
    if role:
        return f"Make the role; or, for a throwaway server, name it in alembic.ini: in the section [liftlock], roles = {role[1]}"
    if re.search('extension ".+" is not available', str(error)):
        there = "check, drift, bake and the fixtures for tests use one that has it by LIFTLOCK_SHADOW_URL"
        return f"Install the extension on that server; {there}."
    return "Correct the revision, or the data that it stumbles over, and run again."


def connection_lost(error: Exception) -> bool:
    """Whether a session to the database, the project's or our own, is gone."""
    if not isinstance(error, DBAPIError | psycopg.Error):
        return False
    state = sqlstate(error)
    invalid = isinstance(error, DBAPIError) and (
        error.connection_invalidated or (state is None and _LOST.search(str(error)) is not None)
    )
    own = isinstance(error, psycopg.OperationalError) and state is None
    return invalid or own or (state is not None and state.startswith(_CONNECTION))


def state_after_failure(*, half_done: bool) -> str:
    """How the database is left when a revision fails."""
    if half_done:
        return (
            "The steps that are finished stay, and are in the ledger; the revision isn't marked as applied, and is"
            " resumed after them by the next run."
        )
    return "The revision is rolled back: the database is as before it, and earlier revisions stay applied."
