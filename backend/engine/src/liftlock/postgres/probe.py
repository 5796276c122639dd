"""Diagnoses why a database can't be used, with one connection attempt."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass

import psycopg

from liftlock.errors import LiftlockError, NotNow, SettingsError
from liftlock.postgres.session import connect, query
from liftlock.settings import Address


@dataclass(frozen=True, slots=True)
class ConnectionProblem:
    """A reason why a database can't be used.

    Parameters:
        kind: its name; the error code is made of it.
        passes: whether it may be temporary, so that waiting helps.
        now: what to do about it; ``{host!r}``, ``{user}`` and ``{dbname}`` are filled in.
        signs: texts in the message of libpq or the server that identify it, in lower case. Messages
            of a server with another language (``lc_messages``) are classified as ``unknown``. Such
            a problem is waited for, and the message is shown.
    """

    kind: str
    passes: bool
    now: str
    signs: tuple[str, ...] = ()

    @property
    def code(self) -> str:
        """The code of its error."""
        return f"LL-{self.kind.upper().replace(' ', '-')}"


_PROBLEMS = (
    ConnectionProblem(
        "no such host",
        passes=True,
        now="Check the host name {host!r} (POSTGRES_SERVER). In Docker Compose it is the name of"
        " the service; it resolves only in the same network, and while that container is running.",
        signs=(
            "could not translate host name",
            "failed to resolve host",
            "name or service not known",
        ),
    ),
    ConnectionProblem(
        "starting up",
        passes=True,
        now="Wait: the server is running but not ready yet.",
        signs=("the database system is", "not yet accepting connections", "recovery mode"),
    ),
    ConnectionProblem(
        "too many connections",
        passes=True,
        now="Close some connections, or raise max_connections or the role's CONNECTION LIMIT.",
        signs=(
            "too many clients",
            "too many connections",
            "connection slots are reserved",
            "remaining connection slots",
        ),
    ),
    ConnectionProblem(
        "not admitted",
        passes=False,
        now="Add a line for this user, database and host to the server's pg_hba.conf. If the server"
        " accepts only encrypted connections, set POSTGRES_SSLMODE=require.",
        signs=("pg_hba.conf",),
    ),
    ConnectionProblem(
        "TLS trouble",
        passes=False,
        now="Check POSTGRES_SSLMODE (disable, prefer, require, verify-ca, verify-full), and"
        " PGSSLROOTCERT for verify-ca and verify-full.",
        signs=("ssl", "certificate"),
    ),
    ConnectionProblem(
        "wrong password",
        passes=False,
        now="Check POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE, and POSTGRES_USER: a server that"
        " asks for a password reports an unknown role as a wrong password. The official PostgreSQL"
        " image sets the password only when it creates the data directory; a later change of the"
        " variable has no effect on an existing volume.",
        signs=("password authentication failed", "no password supplied", "authentication failed"),
    ),
    ConnectionProblem(
        "pooler in transaction mode",
        passes=False,
        now="Use the address of the server instead of the pooler's: advisory locks and session"
        " settings need one session from beginning to end.",
        signs=("unsupported startup parameter",),
    ),
    ConnectionProblem(
        "no such database",
        passes=False,
        now="Create it (CREATE DATABASE {dbname};) or correct POSTGRES_DB.",
        signs=('database "" does not exist', "no such database"),
    ),
    ConnectionProblem(
        "no such role",
        passes=False,
        now="Create it (CREATE ROLE {user} LOGIN PASSWORD …;) or correct POSTGRES_USER.",
        signs=('role "" ',),
    ),
    ConnectionProblem(
        "refused",
        passes=True,
        now="Start the database, or correct POSTGRES_SERVER and POSTGRES_PORT: no server listens"
        " there.",
        signs=(
            "connection refused",
            "no such file or directory",
            "server closed the connection",
            "connection reset",
        ),
    ),
    ConnectionProblem(
        "no answer",
        passes=True,
        now="Check POSTGRES_SERVER, the network and its firewalls: the host doesn't answer.",
        signs=("timeout expired", "timed out", "no route to host", "network is unreachable"),
    ),
)
"""The problems, in the order in which they are tested: a message may contain signs of several."""

_TOO_MANY = next(problem for problem in _PROBLEMS if problem.kind == "too many connections")
_UNKNOWN = ConnectionProblem("unknown", passes=True, now="See the server's message above.")
_STANDBY = ConnectionProblem(
    "read-only standby",
    passes=True,
    now="Use the address of the primary, or wait until this server is promoted.",
)
_POOLER = next(problem for problem in _PROBLEMS if problem.kind == "pooler in transaction mode")

_QUOTED = re.compile(r'"[^"]*"')


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """A problem that a probe found.

    Parameters:
        trouble: the problem.
        address: the database.
        words: the message that identifies the problem.
    """

    trouble: ConnectionProblem
    address: Address
    words: str

    @property
    def text(self) -> str:
        """One line for people."""
        return f"{self.trouble.kind}: {self.address!r}: {self.words}"

    def error(self, waited: float = 0) -> LiftlockError:
        """Return the problem as an error: ``NotNow`` if it may be temporary.

        Parameters:
            waited: seconds that were waited for its end.
        """
        family = NotNow if self.trouble.passes else SettingsError
        after = f" (waited {waited:.0f} s)" if waited else ""
        return family(
            self.trouble.code,
            f"{self.trouble.kind}: {self.address!r}{after}\n{self.words}",
            now=self.trouble.now.format(
                host=self.address.host, user=self.address.user, dbname=self.address.dbname
            ),
        )


def is_connection_refused(error: Exception) -> bool:
    """Return whether the server or the role has no connection to spare; any driver's error."""
    return diagnose(error) is _TOO_MANY


def refused(error: Exception, waited: float) -> NotNow:
    """Return the error of a server that has no connection to spare, whose address is unknown.

    Parameters:
        error: the driver's.
        waited: seconds that were waited.
    """
    return NotNow(_TOO_MANY.code, f"{error} (waited {waited:.0f} s)", now=_TOO_MANY.now.format())


def diagnose(error: Exception) -> ConnectionProblem:
    """Return the problem that an error's message identifies.

    Names in quotes are ignored, so that a database called ``ssl`` isn't taken for a sign.
    """
    message = _QUOTED.sub('""', str(error).lower())
    for problem in _PROBLEMS:
        if any(sign in message for sign in problem.signs):
            return problem
    return _UNKNOWN


def probe(address: Address, *, writable: bool = True) -> ProbeResult | None:
    """Try to use a database once.

    Parameters:
        address: the database.
        writable: whether a read-only standby is a problem.

    Returns:
        The problem; None if the database can be used.
    """
    try:
        return _use(address, writable=writable)
    except psycopg.OperationalError as error:
        return ProbeResult(diagnose(error), address, reason_of(error))


def _use(address: Address, *, writable: bool) -> ProbeResult | None:
    with contextlib.closing(connect(address, "wait", settle=False)) as session:
        backend = query(session, "backend")[0]
        if writable and backend["standby"]:
            words = "the server is in recovery, so it accepts no writes"
            return ProbeResult(_STANDBY, address, words)
        if backend["pid"] != session.info.backend_pid and _changes_backend(address):
            words = "two statements of one session were run by two server processes"
            return ProbeResult(_POOLER, address, words)
    return None


def _changes_backend(address: Address) -> bool:
    """Return whether a session may change its backend between two statements.

    A second session takes the backend that served the first one, if the pooler has returned that
    to its pool, and keeps it in a transaction. A pooler in session mode doesn't allow that.
    """
    with contextlib.closing(connect(address, "wait", settle=False)) as first:
        backend_before = query(first, "backend")[0]["pid"]
        with contextlib.closing(connect(address, "wait", settle=False)) as second:
            second.execute("BEGIN")
            if query(second, "backend")[0]["pid"] == backend_before:
                return True
            return bool(query(first, "backend")[0]["pid"] != backend_before)


def reason_of(error: psycopg.Error) -> str:
    """Return the reason from libpq's message, without the address.

    The message may have several lines, one for each address of the host, such as ``connection to
    server at "db" (10.0.0.5), port 5432 failed: Connection refused``.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return "no message"
    line = next((line for line in lines if "failed: " in line), lines[-1])
    separator = ": " if "authentication failed" in line else "failed: "
    return line.rpartition(separator)[2]
