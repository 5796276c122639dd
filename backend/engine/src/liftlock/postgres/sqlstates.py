"""Errors of the database: their SQLSTATE, their message, and what follows from them.

SQLSTATEs: https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from __future__ import annotations

import re
from typing import TypeVar

import psycopg
from sqlalchemy.exc import DBAPIError, InvalidRequestError

from liftlock.errors import LiftlockError, NotNow

E = TypeVar("E", bound=BaseException)

LOCK_NOT_AVAILABLE = "55P03"
QUERY_CANCELED = "57014"
INSUFFICIENT_PRIVILEGE = "42501"
COMMITS = "2D000"
"""invalid_transaction_termination: a procedure or a DO block commits, so it may be half done."""
REFUSES_TRANSACTION = frozenset({"25001", COMMITS})
"""The statement can't run inside a transaction."""
NEEDS_COMMIT = REFUSES_TRANSACTION | {"55P04"}
"""The statement can't run inside a transaction, or uses an enum's label before it is committed."""
ASSIGNS_GENERATED = frozenset({"428C9", "42601"})
"""The statement assigns to a generated column; PostgreSQL 13 reports a syntax error."""
ALREADY_DONE = frozenset({"42P01", "42P04", "42P07", "42704", "42710", "3D000"})
"""The object that a statement creates exists, or the one that it drops or detaches doesn't."""
DATA_BREAKS = frozenset({"23502", "23503", "23505", "23514", "23P01"})
"""The rows violate a constraint."""
_DATA_EXCEPTION = "22"
_CONFLICTS = frozenset({LOCK_NOT_AVAILABLE, "40P01", "40001"})
_OUTER_CLASSES = ("08", "53", "57", "58", "XX")
_OUTER_STATES = frozenset({"25006", "25P02", "25P03", "25P04"})
"""SQLSTATEs whose cause is outside of the statement that meets them."""
_UNDEFINED_OBJECT = "42704"
_OPERATOR_INTERVENTION = "57P"
_SESSION_TIMEOUTS = ("25P03", "25P04")
"""The server ends a session that is idle in a transaction, or a transaction, for too long."""
_CONNECTION_EXCEPTION = "08"
_CONNECTION_CLASSES = (_CONNECTION_EXCEPTION, _OPERATOR_INTERVENTION, *_SESSION_TIMEOUTS)
_LOST_MESSAGES = re.compile(
    "terminating connection|server closed the connection|connection socket closed"
    "|the connection is (closed|lost)"
)
"""Messages of libpq and of drivers that hadn't noticed the end of the session: without SQLSTATE."""
_USED_AFTER_LOSS = "Can't reconnect until invalid"
"""SQLAlchemy's error when a connection is used again whose session was lost in a transaction."""
_MISSING_ROLE = re.compile(r'role "(.+)" does not exist')
_MISSING_EXTENSION = re.compile(r'extension ".+" is not available')


_CORRECT = "Correct the revision, or the data that it fails on, and run again."
_REMEDIES = {
    "25006": "Make the database writable, then run again: ALTER DATABASE … RESET"
    " default_transaction_read_only; or use the address of the primary.",
    "42501": "Grant the right to the role that migrates, or let the owner of the object run this.",
    "53100": "Free space on the disk of the server, then run again. The revision is right.",
    "53200": "Give the server more memory, or lower work_mem and maintenance_work_mem, then run"
    " again. The revision is right.",
    "53400": "Raise the limit that the message names, such as temp_file_limit, for the role that"
    " migrates, then run again. The revision is right.",
    "58030": "Check the disk of the server, then run again. The revision is right.",
}
"""Remedies by SQLSTATE, of errors for which the author of the revision can do nothing."""


class RetryDifferently(Exception):
    """A statement was cancelled; the next attempt runs it in another way."""


def sqlstate(error: BaseException) -> str | None:
    """Return the SQLSTATE of an error of any driver; None where it has none.

    psycopg names it ``sqlstate``, psycopg2 ``pgcode``, asyncpg's adapter both; pg8000 gives a
    dictionary with the key ``C``.
    """
    original = _original(error)
    for name in ("sqlstate", "pgcode"):
        state = getattr(original, name, None)
        if isinstance(state, str):
            return state
    return _pg8000_field(original, "C")


def is_transient(error: BaseException) -> bool:
    """Return whether another attempt may succeed: a refused lock, a deadlock, a conflict."""
    return isinstance(error, RetryDifferently) or sqlstate(error) in _CONFLICTS


def is_statement_error(error: BaseException) -> bool:
    """Return whether a statement itself causes an error, so that every attempt would fail.

    Other causes are a refused lock, a conflict, a cancellation, the end of the session, a server
    that is read-only or lacks memory, disk space or connections, and errors of the driver.
    """
    state = sqlstate(error)
    if state is None or is_transient(error):
        return False
    return state not in _OUTER_STATES and not state.startswith(_OUTER_CLASSES)


def cause_of(error: E) -> E | Exception:
    """Return the refused lock, the conflict or the lost session that led to an error, else itself.

    An error in the handling of another one hides that, as when a savepoint can't be rolled back
    because the session is gone, or a revision raises an error of its own.
    """
    known: BaseException | None = error
    seen: set[int] = set()
    while known is not None and id(known) not in seen and not isinstance(known, LiftlockError):
        if isinstance(known, Exception) and (is_transient(known) or is_connection_lost(known)):
            return known
        seen.add(id(known))
        known = known.__cause__ or known.__context__
    return error


def is_row_error(error: BaseException) -> bool:
    """Return whether a row's value can't be computed, or violates a constraint."""
    state = sqlstate(error)
    return state is not None and (state in DATA_BREAKS or state.startswith(_DATA_EXCEPTION))


def is_connection_lost(error: Exception) -> bool:
    """Return whether a session to the database, the project's or the engine's, is gone."""
    if isinstance(error, InvalidRequestError):
        return _USED_AFTER_LOSS in str(error)
    if not isinstance(error, DBAPIError | psycopg.Error):
        return False
    state = sqlstate(error)
    if state is not None:
        return state.startswith(_CONNECTION_CLASSES) or _is_invalidated(error)
    lost_message = isinstance(error, DBAPIError) and _LOST_MESSAGES.search(str(error)) is not None
    return _is_invalidated(error) or lost_message or isinstance(error, psycopg.OperationalError)


def connection_lost(error: Exception, *, where: str = "", why: str) -> NotNow:
    """Return the error of a lost connection."""
    return NotNow(
        "LL-CONNECTION-LOST",
        f"{where}the connection to the database was lost: {server_message(error)}",
        why=why,
        now="Run the same command again when the database is back.",
    )


def is_session_lost(error: Exception) -> bool:
    """Return whether a session is gone, and neither an administrator nor a shutdown ended it."""
    state = sqlstate(error) or ""
    if state.startswith(_CONNECTION_EXCEPTION):
        # A foreign server may be the one that refuses a connection, with the same SQLSTATE.
        return _is_invalidated(error)
    return is_connection_lost(error) and not state.startswith(_OPERATOR_INTERVENTION)


def server_message(error: BaseException) -> str:
    """Return the server's message, without the text that SQLAlchemy and the driver add.

    Parameters of the statement aren't in it.
    """
    original = _original(error)
    return _pg8000_field(original, "M") or str(original).strip()


def remedy(error: Exception) -> str:
    """Return what to do about a statement that the server refused."""
    role = _MISSING_ROLE.search(str(error)) if sqlstate(error) == _UNDEFINED_OBJECT else None
    if role:
        return (
            f'Create the role: CREATE ROLE "{role[1]}"; or, for a throwaway server, name it in'
            f" alembic.ini, in the section [liftlock]: roles = {role[1]}"
        )
    if _MISSING_EXTENSION.search(str(error)):
        return (
            "Install the extension on that server; check, drift, bake and the pytest fixtures use"
            " a server that has it when LIFTLOCK_SHADOW_URL is set."
        )
    return _REMEDIES.get(sqlstate(error) or "", _CORRECT)


def state_after_failure(*, half_done: bool) -> str:
    """Return how the database is left when a revision fails.

    Parameters:
        half_done: whether a part of the revision is committed.
    """
    if half_done:
        return (
            "The finished steps are committed and in the ledger. The revision isn't marked as"
            " applied; the next run resumes it after those steps."
        )
    return (
        "The revision is rolled back: the database is as before it, and earlier revisions stay"
        " applied."
    )


def _original(error: BaseException) -> object:
    return error.orig if isinstance(error, DBAPIError) else error


def _pg8000_field(error: object, key: str) -> str | None:
    arguments = getattr(error, "args", ())
    fields = arguments[0] if arguments else None
    value = fields.get(key) if isinstance(fields, dict) else None
    return value if isinstance(value, str) else None


def _is_invalidated(error: Exception) -> bool:
    return isinstance(error, DBAPIError) and error.connection_invalidated
