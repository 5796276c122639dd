"""Waits until no transaction sees a table as it was before the last step.

CREATE INDEX CONCURRENTLY waits in the same way:
https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY
"""

from __future__ import annotations

import time

from liftlock.errors import NotNow
from liftlock.events import Event
from liftlock.execution.limits import RunLimits
from liftlock.postgres.monitor import Blocker, describe_session

_POLL_SECONDS = 0.1
_REPORT_SECONDS = 5.0


def await_snapshots(limits: RunLimits, revision: str, relation: str) -> None:
    """Return when every transaction that holds a snapshot now has given it up.

    A transaction of READ COMMITTED holds one only during a statement.

    Parameters:
        limits: of the run.
        revision: its identifier, for messages.
        relation: the table, for messages.

    Raises:
        NotNow: a transaction keeps its snapshot until the deadline, or a signal came.
    """
    monitor = limits.lock.monitor
    started = reported = time.monotonic()
    left = monitor.snapshots()
    while left:
        limits.check()
        now = time.monotonic()
        if now - started > limits.deadline:
            raise _snapshots_remain(revision, relation, left)
        if now - reported > _REPORT_SECONDS:
            reported = now
            sessions = "; ".join(describe_session(session) for session in left)
            text = f"waiting for older transactions: {sessions}"
            limits.notify(Event("snapshots.awaited", text, {"blockers": left}, warning=True))
        limits.signals.sleep(_POLL_SECONDS)
        held = {_key(session) for session in monitor.snapshots()}
        left = [session for session in left if _key(session) in held]


def _key(session: Blocker) -> tuple[int, str]:
    return session["pid"], session["xmin"]


def _snapshots_remain(revision: str, relation: str, left: list[Blocker]) -> NotNow:
    sessions = "".join(f"\n{describe_session(session)}" for session in left)
    return NotNow(
        "LL-SNAPSHOTS-REMAIN",
        f"revision {revision}: transactions that are older than the new column of {relation} are"
        f" still open:{sessions}",
        why="They would read null in every row of it. The finished steps are committed and in the"
        " ledger.",
        now="Run the same command again with a longer --deadline, or end those transactions first.",
    )
