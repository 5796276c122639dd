from __future__ import annotations

import psycopg
import pytest
from execution.fakes import FakeMonitor, operation

from liftlock.errors import LiftlockError, NotNow, UnsafeRevision
from liftlock.execution.revision_errors import (
    blocked_by,
    committed_without_record,
    deferred_constraint_violated,
    lock_deadline_exceeded,
    path_differs,
    rolled_back_by_revision,
    values_differ,
)


def assert_error(error: LiftlockError, family: type[LiftlockError], message: str) -> None:
    """Compare the class of an error, which decides the exit code, and its whole message."""
    assert type(error) is family
    assert str(error) == message


def blocked(*lines: str) -> FakeMonitor:
    """Return a monitor that knows these blockers."""
    monitor = FakeMonitor()
    monitor.lines = list(lines)
    return monitor


def test_values_differ() -> None:
    """The whole message."""
    assert_error(
        values_differ("INSERT INTO a VALUES (1)", "UPDATE a SET n = 2"),
        UnsafeRevision,
        "LL-VALUES-DIFFER  The interrupted revision wrote other values than this attempt:\n"
        "  INSERT INTO a VALUES (1)\n"
        "  and it continues with\n"
        "  UPDATE a SET n = 2\n"
        "  Values made in Python, such as uuid4() or now(), differ in each attempt. The rows with"
        " the earlier values are committed, and must not be mixed with new ones.\n"
        "  See which rows were written, finish or undo the revision by hand, and record the"
        " result: alembic stamp.",
    )


def test_path_differs() -> None:
    """The whole message."""
    assert_error(
        path_differs("a1", ["CREATE TABLE a ()", "CREATE TABLE b ()"]),
        UnsafeRevision,
        "LL-PATH-DIFFERS  revision a1: an earlier attempt ran statements that this one didn't"
        " send:\n"
        "  CREATE TABLE a ()\n"
        "  CREATE TABLE b ()\n"
        "  The revision took another path this time, so the remaining steps are unknown.\n"
        "  Compare its file with the one of the interrupted run. Finish or undo the revision by"
        " hand, and record the result: alembic stamp.",
    )


def test_path_differs_shows_five_statements() -> None:
    """A revision may have hundreds."""
    message = path_differs("a1", [f"CREATE TABLE t{number} ()" for number in range(100)]).what
    assert message.count("CREATE TABLE") == 5
    assert message.endswith("t4 ()")


def test_committed_without_record() -> None:
    """The whole message."""
    assert_error(
        committed_without_record("a1"),
        UnsafeRevision,
        "LL-COMMITTED-UNRECORDED  revision a1 was interrupted after it committed writes that the"
        " ledger doesn't record: within a savepoint, over the driver's connection, or many rows at"
        " once.\n"
        "  It is unknown which of them are done, so they aren't repeated.\n"
        "  Finish the revision by hand, and record that: alembic stamp a1",
    )


def test_deferred_constraint_violated_before_a_step() -> None:
    """The whole message."""
    violation = psycopg.errors.ForeignKeyViolation('violates foreign key constraint "fk"')
    assert_error(
        deferred_constraint_violated(violation, "a1", operation("CREATE INDEX ix ON a (n)")),
        UnsafeRevision,
        'LL-DEFERRED-CONSTRAINT  revision a1: violates foreign key constraint "fk"\n'
        "  A commit is needed before\n"
        "  CREATE INDEX ix ON a (n)\n"
        "  The rows satisfy a deferred constraint at the end of the revision only, and a"
        " long-running step can't share a transaction with them.\n"
        "  Move that step before the rows, or after the last of them.",
    )


def test_deferred_constraint_violated_without_a_step() -> None:
    """At the end of the revision, or of an autocommit block."""
    violation = psycopg.errors.ForeignKeyViolation("violates it")
    error = deferred_constraint_violated(violation, "a1", None)
    assert error.what == "revision a1: violates it"


@pytest.mark.parametrize(("line", "shown"), [(12, "12"), (None, "?")])
def test_rolled_back_by_revision(line: int | None, shown: str) -> None:
    """The whole message."""
    assert_error(
        rolled_back_by_revision(operation("ROLLBACK", line=line)),
        UnsafeRevision,
        f"LL-REVISION-ROLLS-BACK  line {shown}: the revision rolls back its transaction:\n"
        "  ROLLBACK\n"
        "  It is unknown then which of its changes are in the database, and plain Alembic would"
        " mark it as applied.\n"
        "  Remove that statement, or undo the changes by the opposite operations.",
    )


def test_lock_deadline_exceeded() -> None:
    """The whole message, with the sessions that blocked the statement."""
    assert_error(
        lock_deadline_exceeded("a1", "VALIDATE", blocked("pid 12, 'report'", "pid 13, 'shop'")),
        NotNow,
        "LL-DEADLINE-EXCEEDED  revision a1: this statement got no lock within the deadline:\n"
        "  VALIDATE\n"
        "  blocked by pid 12, 'report'\n"
        "  blocked by pid 13, 'shop'\n"
        "  The finished steps are committed and in the ledger.\n"
        "  Run the same command again with a longer --deadline, or end those sessions first.",
    )


def test_sessions_that_have_ended_are_not_named() -> None:
    """There is no line then."""
    assert blocked_by(blocked()) == ""


@pytest.mark.parametrize(
    "error",
    [
        values_differ("x" * 1000, "y" * 1000),
        path_differs("a1", ["x" * 1000]),
        deferred_constraint_violated(ValueError(), "a1", operation("x" * 1000)),
        rolled_back_by_revision(operation("x" * 1000)),
        lock_deadline_exceeded("a1", "x" * 1000, FakeMonitor()),
    ],
)
def test_long_statements_are_shortened(error: LiftlockError) -> None:
    """A bulk insert may have megabytes."""
    assert "x" * 300 + " …" in error.what
    assert "x" * 301 not in error.what
