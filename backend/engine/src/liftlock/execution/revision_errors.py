"""What is said of a revision with which nobody can go on."""

from __future__ import annotations

from collections.abc import Sequence

from liftlock.errors import UnsafeRevision
from liftlock.execution.database_errors import server_message
from liftlock.model.operation import Operation


def values_differ(before: str, goes_on: str) -> UnsafeRevision:
    """Interrupted, it wrote other values than it writes now, and goes on writing."""
    return UnsafeRevision(
        "LL-VALUES-DIFFER",
        f"Before its interruption the revision wrote other values than it writes now:\n{before[:200]}\n"
        f"and it goes on with\n{goes_on[:200]}",
        why="Values made in Python, such as uuid4() or now(), differ from attempt to attempt; what was written with"
        " the earlier ones is kept, and must not be mixed with new ones.",
        now="Look which rows are written, and bring the schema to one of both revisions by hand.",
    )


def path_differs(revision: str, missed: Sequence[str]) -> UnsafeRevision:
    """It doesn't ask for what an earlier attempt ran."""
    return UnsafeRevision(
        "LL-PATH-DIFFERS",
        f"revision {revision}: an earlier attempt ran what this one didn't ask for:\n"
        + "\n".join(missed[:5]),
        why="The revision took another path this time, so nobody can tell what is still to be done.",
        now="Compare its file with the one of the interrupted run; bring the schema to one of both by hand.",
    )


def committed_without_record(revision: str) -> UnsafeRevision:
    """It was interrupted behind a commit of what no ledger heard of."""
    return UnsafeRevision(
        "LL-COMMITTED-UNRECORDED",
        f"revision {revision} was interrupted behind a commit of what it wrote unseen: within a savepoint, over the driver's connection, or"
        " many rows at once.",
        why="Nobody can tell what of that was done, so it isn't done again.",
        now="Finish it by hand, and tell the version table: alembic stamp.",
    )


def deferred_constraint_violated(
    error: Exception, revision: str, operation: Operation | None
) -> UnsafeRevision:
    """Its rows aren't yet as a deferred constraint wants them, where all must be committed."""
    return UnsafeRevision(
        "LL-DEFERRED-CONSTRAINT",
        f"revision {revision}: {server_message(error)}\nso far, and before this all must be committed:\n{operation.sql[:300] if operation else ''}",
        why="What takes long shares no transaction with rows that are right at its end only.",
        now="Move it before those rows or behind the last of them.",
    )


def rolled_back_by_revision(operation: Operation) -> UnsafeRevision:
    """It rolls back its own transaction."""
    return UnsafeRevision(
        "LL-REVISION-ROLLS-BACK",
        f"line {operation.line or '?'}: the revision rolls back what it has done:\n{operation.sql[:300]}",
        why="Nobody can tell then what of it is in the database, and plain Alembic would call it applied.",
        now="Remove that statement, or undo by the opposite operations.",
    )
