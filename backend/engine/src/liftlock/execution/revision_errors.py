"""Errors of revisions that can't be run, or can't be resumed."""

from __future__ import annotations

from collections.abc import Sequence

from liftlock.errors import NotNow, UnsafeRevision
from liftlock.model.operation import Operation
from liftlock.postgres.monitor import SessionMonitor
from liftlock.postgres.sqlstates import server_message
from liftlock.sql import excerpt

_SHOWN_STATEMENTS = 5


def values_differ(before: str, now: str) -> UnsafeRevision:
    """Return the error of a resumed revision that writes other values than before.

    Parameters:
        before: the statement that an earlier attempt committed with other values.
        now: the statement that it sends next.
    """
    return UnsafeRevision(
        "LL-VALUES-DIFFER",
        "The interrupted revision wrote other values than this attempt:\n"
        f"{excerpt(before)}\nand it continues with\n{excerpt(now)}",
        why="Values made in Python, such as uuid4() or now(), differ in each attempt. The rows with"
        " the earlier values are committed, and must not be mixed with new ones.",
        now="See which rows were written, finish or undo the revision by hand, and record the"
        " result: alembic stamp.",
    )


def file_differs(revision: str, missing: Sequence[str], found: str) -> UnsafeRevision:
    """Return the error of an interrupted revision whose corrected file has lost committed steps.

    Parameters:
        revision: its identifier.
        missing: the statements that are committed and that the file doesn't have; empty where it
            has one with other values.
        found: the statement that it has in their place.
    """
    statements = "\n".join(excerpt(statement) for statement in missing[:_SHOWN_STATEMENTS])
    differs = f"These statements are committed:\n{statements}\nand it has now, in their place,"
    if not missing:
        differs = "This statement is committed with other values:"
    return UnsafeRevision(
        "LL-FILE-CHANGED",
        f"revision {revision}: its file has changed since it was interrupted."
        f" {differs}\n{excerpt(found)}",
        why="Only what follows the committed statements may be corrected; the remaining steps are"
        " unknown otherwise. Nothing more is run.",
        now="Restore these statements at the beginning of the file, and make the change in a new"
        " revision. Or, when the changed file is right all the same:"
        " LIFTLOCK_ALLOW=LL-FILE-CHANGED.",
    )


def path_differs(revision: str, missing: Sequence[str]) -> UnsafeRevision:
    """Return the error of a resumed revision that didn't send what an earlier attempt ran.

    Parameters:
        revision: its identifier.
        missing: the statements that an earlier attempt committed.
    """
    statements = "\n".join(excerpt(statement) for statement in missing[:_SHOWN_STATEMENTS])
    return UnsafeRevision(
        "LL-PATH-DIFFERS",
        f"revision {revision}: an earlier attempt ran statements that this one didn't send:\n"
        f"{statements}",
        why="The revision took another path this time, so the remaining steps are unknown.",
        now="Compare its file with the one of the interrupted run. Finish or undo the revision by"
        " hand, and record the result: alembic stamp.",
    )


def committed_without_record(revision: str) -> UnsafeRevision:
    """Return the error of a revision that was interrupted after a commit of unrecorded writes."""
    return UnsafeRevision(
        "LL-COMMITTED-UNRECORDED",
        f"revision {revision} was interrupted after it committed writes that the ledger doesn't"
        " record: within a savepoint, over the driver's connection, or many rows at once.",
        why="It is unknown which of them are done, so they aren't repeated.",
        now=f"Finish the revision by hand, and record that: alembic stamp {revision}",
    )


def deferred_constraint_violated(
    error: Exception, revision: str, operation: Operation | None
) -> UnsafeRevision:
    """Return the error of a commit that a deferred constraint refused.

    Parameters:
        error: the server's.
        revision: the revision's identifier.
        operation: the operation that needs a commit before it; None at the revision's end.
    """
    before = f"\nA commit is needed before\n{excerpt(operation.sql)}" if operation else ""
    return UnsafeRevision(
        "LL-DEFERRED-CONSTRAINT",
        f"revision {revision}: {server_message(error)}{before}",
        why="The rows satisfy a deferred constraint at the end of the revision only, and a"
        " long-running step can't share a transaction with them.",
        now="Move that step before the rows, or after the last of them.",
    )


def rolled_back_by_revision(operation: Operation) -> UnsafeRevision:
    """Return the error of a revision that rolls back its own transaction.

    Parameters:
        operation: the rollback.
    """
    return UnsafeRevision(
        "LL-REVISION-ROLLS-BACK",
        f"line {operation.line or '?'}: the revision rolls back its transaction:\n"
        f"{excerpt(operation.sql)}",
        why="It is unknown then which of its changes are in the database, and plain Alembic would"
        " mark it as applied.",
        now="Remove that statement, or undo the changes by the opposite operations.",
    )


def lock_deadline_exceeded(revision: str, sql: str, monitor: SessionMonitor) -> NotNow:
    """Return the error of a long-running step that got no lock until the deadline.

    Parameters:
        revision: the revision's identifier.
        sql: the step's statement.
        monitor: knows the sessions that blocked it.
    """
    return NotNow(
        "LL-DEADLINE-EXCEEDED",
        f"revision {revision}: this statement got no lock within the deadline:\n"
        f"{excerpt(sql)}{blocked_by(monitor)}",
        why="The finished steps are committed and in the ledger.",
        now="Run the same command again with a longer --deadline, or end those sessions first.",
    )


def blocked_by(monitor: SessionMonitor) -> str:
    """Return a line for each session that blocked the last statement."""
    return "".join(f"\nblocked by {line}" for line in monitor.blocker_lines())
