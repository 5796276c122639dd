"""Keeps two sessions from changing the schema at once, when a runner was killed.

The single-flight lock of a killed runner is free as soon as its session ends. Its other session may
still execute a statement or a commit: the server notices within about a second that the client is
gone (``client_connection_check_interval``). So the working session holds a second advisory lock.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from sqlalchemy.engine import Connection

from liftlock.errors import NotNow
from liftlock.execution.connection import rows
from liftlock.execution.transaction import commit_open
from liftlock.postgres.advisory_lock import MigrationLock
from liftlock.postgres.queries import QUERIES
from liftlock.postgres.retry import attempts
from liftlock.postgres.session import query
from liftlock.postgres.signals import Signals


class _Held(Exception):
    """The session of a killed run still holds the lock."""


@contextlib.contextmanager
def fence(
    connection: Connection,
    lock: MigrationLock,
    seconds: float,
    signals: Signals,
    *,
    external: bool,
) -> Iterator[None]:
    """Wait until the working session of a killed run is gone, then hold its lock.

    Parameters:
        connection: the project's connection, which holds the lock.
        lock: the single-flight lock.
        seconds: how long to wait.
        signals: end the wait.
        external: a transaction of the project's own is open.

    Raises:
        NotNow: the session is still there after that time, or a signal came.
    """
    key = {"key": lock.key ^ 1}
    try:
        for attempt in attempts(_Held, seconds, most=0.5, sleep=signals.sleep):
            with attempt:
                signals.check()
                got = rows(connection, QUERIES["try_lock"], key)[0]["got"]
                commit_open(connection, external=external)
                if not got:
                    raise _Held
    except _Held:
        raise _still_active(lock, key["key"]) from None
    try:
        yield
    finally:
        with contextlib.suppress(Exception):  # a lost connection has released it already
            rows(connection, QUERIES["unlock"], key)
            commit_open(connection, external=external)


def _still_active(lock: MigrationLock, key: int) -> NotNow:
    pids = [str(row["pid"]) for row in query(lock.session, "lock_holder", key=key)]
    statement = f"SELECT pg_terminate_backend({pids[0] if pids else 'pid'});"
    return NotNow(
        "LL-PREVIOUS-SESSION-ACTIVE",
        f"The session of a killed run is still active: pid {', '.join(pids) or 'unknown'}.",
        why="Two sessions must not change the schema at once.",
        now=f"Wait until it ends, or end it: {statement}",
    )
