"""Why a database can't be used: one look, one verdict."""

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
    """A verdict.

    Parameters:
        kind: its name.
        passes: whether time alone may heal it.
        now: what to do about it; ``{address}`` and its parts are filled in.
        signs: what libpq or the server say, in lower case. A server that speaks another language
            (``lc_messages``) is seen as ``unknown`` and waited for, with its own words shown.
    """

    kind: str
    passes: bool
    now: str
    signs: tuple[str, ...] = ()


_TROUBLES = (
    ConnectionProblem(
        "no such host",
        passes=True,
        now="Check the host name {host!r} (POSTGRES_SERVER). In compose it is the name of the service, and it"
        " resolves only on the same network, once that container runs.",
        signs=(
            "could not translate host name",
            "failed to resolve host",
            "name or service not known",
        ),
    ),
    ConnectionProblem(
        "starting up",
        passes=True,
        now="Wait: the server runs and isn't ready yet.",
        signs=("the database system is", "not yet accepting connections", "recovery mode"),
    ),
    ConnectionProblem(
        "too many connections",
        passes=True,
        now="Free some connections, or raise max_connections or the role's CONNECTION LIMIT.",
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
        now="Add a line to the server's pg_hba.conf for this user, database and host; or, when it"
        " admits only encrypted connections, set POSTGRES_SSLMODE=require.",
        signs=("pg_hba.conf",),
    ),
    ConnectionProblem(
        "TLS trouble",
        passes=False,
        now="Check POSTGRES_SSLMODE (disable, prefer, require, verify-ca, verify-full) and, for the verifying modes, PGSSLROOTCERT.",
        signs=("ssl", "certificate"),
    ),
    ConnectionProblem(
        "wrong password",
        passes=False,
        now="Check POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE, and POSTGRES_USER: a server that asks for a"
        " password doesn't tell a wrong one from an unknown role. A PostgreSQL image takes its password only when"
        " its data folder is first made; later changes of the variable don't reach an old volume.",
        signs=("password authentication failed", "no password supplied", "authentication failed"),
    ),
    ConnectionProblem(
        "pooler in transaction mode",
        passes=False,
        now="Give the address of the server itself, not of the pooler: advisory locks and session settings need one"
        " session from beginning to end.",
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
        now="Start the database, or correct POSTGRES_SERVER and POSTGRES_PORT: nothing listens there.",
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
        now="Check POSTGRES_SERVER, the network between, and its firewalls: the host doesn't answer.",
        signs=("timeout expired", "timed out", "no route to host", "network is unreachable"),
    ),
)
_QUOTED = re.compile(r'"[^"]*"')
_UNKNOWN = ConnectionProblem("unknown", passes=True, now="Read the server's words above.")
_STANDBY = ConnectionProblem(
    "read-only standby",
    passes=True,
    now="Give the address of the primary; or wait until this server is promoted.",
)
_POOLER = next(trouble for trouble in _TROUBLES if trouble.kind.startswith("pooler"))


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What one look at a database showed: some trouble, and the words that told of it."""

    trouble: ConnectionProblem
    address: Address
    words: str

    @property
    def text(self) -> str:
        """One line for people."""
        return f"{self.trouble.kind}: {self.address!r}: {self.words}"

    def error(self, waited: float = 0) -> LiftlockError:
        """The verdict as an error; what would have passed with time is ``NotNow``."""
        family = NotNow if self.trouble.passes else SettingsError
        name = self.trouble.kind.upper().replace(" ", "-")
        after = f" (waited {waited:.0f} s)" if waited else ""
        parts = {
            "host": self.address.host,
            "user": self.address.user,
            "dbname": self.address.dbname,
        }
        return family(
            f"LL-{name}",
            f"{self.trouble.kind}: {self.address!r}{after}\n{self.words}",
            now=self.trouble.now.format(**parts),
        )


def diagnose(error: psycopg.Error) -> ConnectionProblem:
    """Which trouble a failed connection tells of."""
    words = _QUOTED.sub('""', str(error).lower())
    return next(
        (trouble for trouble in _TROUBLES if any(sign in words for sign in trouble.signs)), _UNKNOWN
    )


def probe(address: Address, *, writable: bool = True) -> ProbeResult | None:
    """Look at a database once.

    Parameters:
        address: where it is.
        writable: whether a standby is trouble.

    Returns:
        The verdict; None when the database can be used.
    """
    try:
        session = connect(address, "wait", settle=False)
    except psycopg.OperationalError as error:
        return ProbeResult(diagnose(error), address, _telling(error))
    with contextlib.closing(session):
        row = query(session, "backend")[0]
        if writable and row["standby"]:
            return ProbeResult(
                _STANDBY, address, "the server is in recovery, so nothing can be written"
            )
        if row["pid"] != session.info.backend_pid and _changes_backend(address):
            return ProbeResult(
                _POOLER, address, "two statements of one session were run by two server processes"
            )
    return None


def _changes_backend(address: Address) -> bool:
    """Whether a session loses its backend between two statements.

    A second session takes the backend that the first one was served by, and keeps it in a transaction;
    a pooler in session mode never lets that happen.
    """
    with contextlib.closing(connect(address, "wait", settle=False)) as first:
        before = query(first, "backend")[0]["pid"]
        with contextlib.closing(connect(address, "wait", settle=False)) as second:
            second.execute("BEGIN")
            if query(second, "backend")[0]["pid"] == before:
                return True
            return bool(query(first, "backend")[0]["pid"] != before)


def _telling(error: psycopg.Error) -> str:
    """The one line of libpq's that says why, without the address that the verdict names anyway."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = next((line for line in lines if "failed: " in line), (lines or ["no words"])[-1])
    return (
        told.rpartition("failed: ")[2]
        if "authentication failed" not in told
        else told.rpartition(": ")[2]
    )
