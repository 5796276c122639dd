from __future__ import annotations

from collections.abc import Iterable

import pytest
from execution.fakes import FakeLedger, operation, step

from liftlock.errors import UnsafeRevision
from liftlock.execution.attempt import Attempt, PendingStep
from liftlock.execution.journal import Journal, ResultRecord
from liftlock.execution.memory import RunMemory
from liftlock.model.operation import Operation, digest
from liftlock.model.step import Step
from liftlock.model.table import Facts
from liftlock.postgres.ledger import (
    OperationKey,
    OperationProgress,
    RevisionProgress,
    StepRecord,
)

FIRST = operation("GRANT SELECT ON a TO b")
SECOND = operation("GRANT SELECT ON c TO d")
RECIPE = (step("ADD"), step("VALIDATE"), step("DROP", undo=("UNDO",)))


class FakeTransaction:
    """A transaction of which an attempt only needs the mode."""

    def __init__(self) -> None:
        self.is_atomic = False
        self.calls: list[object] = []

    def commit_if_half_used(self) -> None:
        """Note that a commit was offered."""
        self.calls.append("commit_if_half_used")

    def undo(self, key: OperationKey, statements: Iterable[str]) -> None:
        """Note what is undone."""
        self.calls.append((key, tuple(statements)))


class FakeFacts:
    """Facts of an empty database."""

    def __init__(self) -> None:
        self.asked: list[tuple[Operation, bool]] = []

    def facts(self, operation: Operation, *, plain: bool) -> Facts:
        """Return facts without any table."""
        self.asked.append((operation, plain))
        return Facts()


@pytest.fixture
def ledger() -> FakeLedger:
    """An empty ledger."""
    return FakeLedger()


@pytest.fixture
def progress() -> RevisionProgress:
    """The progress of a revision that has never been run; a test may add what is committed."""
    return RevisionProgress("a1", "up", "")


@pytest.fixture
def attempt(ledger: FakeLedger, progress: RevisionProgress) -> Attempt:
    """An attempt that has sent nothing yet; it reads the progress when it is asked."""
    return begin(ledger, progress)


def begin(ledger: FakeLedger, progress: RevisionProgress) -> Attempt:
    """Begin another attempt."""
    return Attempt(FakeTransaction(), Journal(ledger, progress, RunMemory()), FakeFacts())


def key_of(sent: Operation, occurrence: int = 0) -> OperationKey:
    """Return the key of an operation."""
    return (sent.shape, occurrence)


def committed(
    sent: Operation,
    recipe: tuple[Step, ...] = RECIPE,
    *,
    finished: Iterable[bool] = (True, True, True),
    evidence: str | None = None,
) -> OperationProgress:
    """Return the progress of an operation whose first steps are begun, or finished."""
    return OperationProgress(
        recipe,
        dict(enumerate(finished)),
        fingerprint=sent.evidence if evidence is None else evidence,
    )


def run(attempt: Attempt, *operations: Operation) -> list[PendingStep]:
    """Run all pending steps of these operations; return them."""
    ran = []
    for sent in operations:
        for pending in attempt.pending_steps(sent):
            attempt.record(pending)
            ran.append(pending)
    return ran


def test_a_new_operation_is_planned(attempt: Attempt) -> None:
    """Without a recipe it is one step, just as Alembic sends it."""
    (pending,) = attempt.pending_steps(FIRST)
    assert pending.step.sql == FIRST.sql
    assert pending.operation is FIRST
    assert pending.key == key_of(FIRST)
    assert pending.number == 0
    assert not pending.is_begun
    assert attempt.steps == [pending.step]
    assert attempt.revision == "a1"


def test_locks_are_released_before_an_operation_is_planned(attempt: Attempt) -> None:
    """Planning reads the catalog, and may try the operation on an empty copy."""
    run(attempt, FIRST)
    assert attempt.transaction.calls == ["commit_if_half_used"]


@pytest.mark.parametrize("atomic", [False, True])
def test_an_atomic_transaction_has_plain_steps(attempt: Attempt, *, atomic: bool) -> None:
    """An online recipe would need commits."""
    attempt.transaction.is_atomic = atomic
    run(attempt, FIRST)
    assert attempt.facts.asked == [(FIRST, atomic)]


def test_operations_are_identified_by_their_shape_and_occurrence(attempt: Attempt) -> None:
    """Literals aren't a part of the shape, so only the occurrence tells the inserts apart."""
    one = operation("INSERT INTO t VALUES (1, 'a')")
    other = operation("INSERT INTO t VALUES (2, 'it''s')")
    ran = run(attempt, one, FIRST, other, one)
    assert [pending.key for pending in ran] == [
        key_of(one, 0),
        key_of(FIRST, 0),
        key_of(one, 1),
        key_of(one, 2),
    ]
    assert one.shape == other.shape


def test_the_kind_is_a_part_of_the_shape(attempt: Attempt) -> None:
    """The same text by op.execute and by a table operation are two operations."""
    other = operation(FIRST.sql, kind="comment")
    keys = [pending.key for pending in run(attempt, FIRST, other)]
    assert keys == [key_of(FIRST), key_of(other)]
    assert FIRST.shape != other.shape


def test_committed_steps_are_skipped(attempt: Attempt, progress: RevisionProgress) -> None:
    """The recipe of the earlier attempt counts, although the database has changed since."""
    progress.steps[key_of(FIRST)] = committed(FIRST, finished=[True])
    assert [pending.step.sql for pending in attempt.pending_steps(FIRST)] == ["VALIDATE", "DROP"]
    assert attempt.facts.asked == []
    assert attempt.steps == list(RECIPE)


def test_a_finished_operation_has_no_pending_step(
    attempt: Attempt, progress: RevisionProgress
) -> None:
    """Its steps still count for the phase of the revision."""
    progress.steps[key_of(FIRST)] = committed(FIRST)
    assert run(attempt, FIRST) == []
    assert attempt.steps == list(RECIPE)


def test_each_occurrence_has_its_own_progress(attempt: Attempt, progress: RevisionProgress) -> None:
    """The first one is committed, the second one isn't."""
    progress.steps[key_of(FIRST)] = committed(FIRST)
    assert [pending.key for pending in run(attempt, FIRST, FIRST)] == [key_of(FIRST, 1)]


def test_a_step_that_is_begun_is_pending(attempt: Attempt, progress: RevisionProgress) -> None:
    """It may be done, or half done; the catalog knows."""
    progress.steps[key_of(FIRST)] = committed(FIRST, finished=[True, False])
    begun = [(pending.number, pending.is_begun) for pending in attempt.pending_steps(FIRST)]
    assert begun == [(1, True), (2, False)]


def test_a_recorded_step_has_all_that_the_ledger_needs(
    attempt: Attempt, ledger: FakeLedger
) -> None:
    """The first record of an operation brings its recipe."""
    (pending,) = run(attempt, FIRST)
    attempt.journal.write()
    assert ledger.calls[1:] == [
        ("step", 7, StepRecord(pending.key, 0, 0, FIRST, pending.step, recipe=(pending.step,)))
    ]


def test_the_recipe_is_recorded_once(
    attempt: Attempt, progress: RevisionProgress, ledger: FakeLedger
) -> None:
    """With the first step; a step that is begun is recorded twice."""
    progress.steps[key_of(FIRST)] = OperationProgress(RECIPE)
    for pending in attempt.pending_steps(FIRST):
        attempt.record(pending, finished=False)
        attempt.record(pending)
    attempt.journal.write()
    records = [record for name, _, record in ledger.calls[1:] if name == "step"]
    assert [record.recipe for record in records] == [RECIPE, (), (), (), (), ()]
    assert [record.finished for record in records] == [False, True] * 3
    assert [record.position for record in records] == [0, 0, 1, 1, 2, 2]


def test_positions_continue_after_the_committed_steps(
    ledger: FakeLedger, progress: RevisionProgress
) -> None:
    """They order the steps of a revision over all attempts."""
    progress.steps[key_of(FIRST)] = committed(FIRST)
    attempt = begin(ledger, progress)
    run(attempt, FIRST, SECOND)
    attempt.journal.write()
    (call,) = [call for call in ledger.calls if call[0] == "step"]
    assert call[2].position == 3


def test_the_undo_statements_of_a_step_are_sent(
    attempt: Attempt, progress: RevisionProgress
) -> None:
    """With the key of its operation, whose records are deleted."""
    progress.steps[key_of(FIRST)] = committed(FIRST, finished=[True, True])
    (pending,) = attempt.pending_steps(FIRST)
    attempt.undo(pending)
    assert attempt.transaction.calls == [(key_of(FIRST), ("UNDO",))]


# Other values.

INSERT = operation("INSERT INTO t VALUES ('a')", kind="insert")
OTHER_INSERT = operation("INSERT INTO t VALUES ('b')", kind="insert")
UPDATE = operation("UPDATE t SET n = 1", kind="update")


def test_a_write_with_the_same_values_is_skipped(
    attempt: Attempt, progress: RevisionProgress
) -> None:
    """New writes may follow."""
    progress.steps[key_of(INSERT)] = committed(INSERT)
    assert [pending.operation for pending in run(attempt, INSERT, UPDATE)] == [UPDATE]


def test_a_new_write_after_other_values_is_refused(
    attempt: Attempt, progress: RevisionProgress
) -> None:
    """The rows with the earlier values must not be mixed with new ones."""
    progress.steps[key_of(INSERT)] = committed(INSERT)
    assert run(attempt, OTHER_INSERT) == []
    with pytest.raises(UnsafeRevision) as caught:
        run(attempt, UPDATE)
    assert caught.value.code == "LL-VALUES-DIFFER"
    assert OTHER_INSERT.sql in caught.value.what
    assert UPDATE.sql in caught.value.what


def test_other_values_alone_are_no_error(attempt: Attempt, progress: RevisionProgress) -> None:
    """All writes are committed, and nothing but DDL is left."""
    progress.steps[key_of(INSERT)] = committed(INSERT)
    index = operation("CREATE INDEX ix ON t (n)", kind="create_index")
    assert [pending.operation for pending in run(attempt, OTHER_INSERT, index)] == [index]
    attempt.finish()


def test_ddl_with_other_literals_is_no_write(attempt: Attempt, progress: RevisionProgress) -> None:
    """A comment or a default may contain the time."""
    first = operation("COMMENT ON TABLE t IS 'a'", kind="comment")
    now = operation("COMMENT ON TABLE t IS 'b'", kind="comment")
    progress.steps[key_of(first)] = committed(first)
    assert [pending.operation for pending in run(attempt, now, INSERT)] == [INSERT]


def test_parameters_are_compared_too(attempt: Attempt, progress: RevisionProgress) -> None:
    """A bulk insert has its values outside of its text."""
    rows = operation("INSERT INTO t VALUES (:a)", kind="bulk_insert", values=digest("1"))
    other = operation("INSERT INTO t VALUES (:a)", kind="bulk_insert", values=digest("2"))
    progress.steps[key_of(rows)] = committed(rows)
    run(attempt, other)
    with pytest.raises(UnsafeRevision):
        run(attempt, UPDATE)


@pytest.mark.parametrize("evidence", ["", INSERT.fingerprint])
def test_evidence_of_earlier_releases_is_accepted(
    attempt: Attempt, progress: RevisionProgress, evidence: str
) -> None:
    """They recorded none, or only the text."""
    sent = operation(INSERT.sql, kind="insert", values=digest("2"))
    progress.steps[key_of(sent)] = committed(sent, evidence=evidence)
    assert [pending.operation for pending in run(attempt, sent, UPDATE)] == [UPDATE]


def test_values_are_not_compared_after_the_file_has_changed(
    attempt: Attempt, progress: RevisionProgress
) -> None:
    """The operator allowed that, with other values in the file."""
    progress.changed = True
    progress.steps[key_of(INSERT)] = committed(INSERT)
    assert [pending.operation for pending in run(attempt, OTHER_INSERT, UPDATE)] == [UPDATE]


def test_statements_of_the_connection_are_compared_by_their_replay(attempt: Attempt) -> None:
    """It notes other values, and asks before each new write."""
    attempt.refuse_other_values("UPDATE t")
    attempt.note_other_values("INSERT INTO t")
    with pytest.raises(UnsafeRevision) as caught:
        attempt.refuse_other_values("UPDATE t")
    assert caught.value.code == "LL-VALUES-DIFFER"


# The end of a revision.


def test_the_last_records_are_written_at_the_end(attempt: Attempt, ledger: FakeLedger) -> None:
    """The caller commits them with the version row."""
    run(attempt, FIRST)
    assert ledger.calls == []
    assert attempt.finish() is attempt.journal.progress
    assert [call[0] for call in ledger.calls] == ["begin", "step"]


def test_a_revision_without_operations_gets_a_row_at_the_end(
    attempt: Attempt, ledger: FakeLedger
) -> None:
    """The ledger has each revision that ran."""
    attempt.finish()
    assert ledger.calls == [("begin", "a1")]


def test_another_path_is_refused(
    attempt: Attempt, progress: RevisionProgress, ledger: FakeLedger
) -> None:
    """An operation that an earlier attempt committed wasn't sent; nothing is written."""
    progress.steps[key_of(FIRST)] = committed(FIRST)
    run(attempt, SECOND)
    with pytest.raises(UnsafeRevision) as caught:
        attempt.finish()
    assert caught.value.code == "LL-PATH-DIFFERS"
    assert "revision a1" in caught.value.what
    assert "ADD" in caught.value.what
    assert ledger.calls == []


def test_fewer_occurrences_than_before_are_another_path(
    attempt: Attempt, progress: RevisionProgress
) -> None:
    """Of two committed operations of one shape, one was sent."""
    progress.steps[key_of(FIRST, 0)] = committed(FIRST)
    progress.steps[key_of(FIRST, 1)] = committed(FIRST)
    run(attempt, FIRST)
    with pytest.raises(UnsafeRevision):
        attempt.finish()


# Results of the connection.

RESULT = ResultRecord(("query", 0), "fingerprint", "{}")


def test_a_recorded_result_is_returned(attempt: Attempt, progress: RevisionProgress) -> None:
    """By the key of its statement."""
    progress.results[RESULT.key] = (RESULT.fingerprint, RESULT.body)
    assert attempt.result(RESULT.key) == ("fingerprint", "{}")
    assert attempt.result(("query", 1)) is None


@pytest.mark.parametrize("atomic", [False, True])
def test_results_are_recorded_unless_the_revision_is_atomic(
    attempt: Attempt, ledger: FakeLedger, *, atomic: bool
) -> None:
    """An atomic transaction is repeated as a whole, so it needs none."""
    attempt.transaction.is_atomic = atomic
    attempt.record_result(RESULT)
    attempt.journal.write()
    assert [call[0] for call in ledger.calls] == ([] if atomic else ["begin", "result"])


def test_a_revision_that_committed_unrecorded_writes_is_not_resumed(
    ledger: FakeLedger, progress: RevisionProgress
) -> None:
    """It isn't known which of them are done."""
    progress.results["unnoted", 0] = ("", "{}")
    with pytest.raises(UnsafeRevision) as caught:
        begin(ledger, progress)
    assert caught.value.code == "LL-COMMITTED-UNRECORDED"
