from __future__ import annotations

import pytest
from execution.fakes import FakeLedger, operation, step

from liftlock.execution.journal import Journal, ResultRecord
from liftlock.execution.memory import RunMemory
from liftlock.postgres.cursor import Cursor
from liftlock.postgres.ledger import RevisionProgress, StepRecord

KEY = ("shape", 0)
RESULT = ResultRecord(("query", 0), "fingerprint", "{}")


@pytest.fixture
def ledger() -> FakeLedger:
    """An empty ledger."""
    return FakeLedger()


@pytest.fixture
def memory() -> RunMemory:
    """The memory of a run that has done nothing."""
    return RunMemory()


@pytest.fixture
def journal(ledger: FakeLedger, memory: RunMemory) -> Journal:
    """The journal of a revision that has never been run."""
    return Journal(ledger, RevisionProgress("a1", "up", ""), memory)


def record(number: int, *, finished: bool = True) -> StepRecord:
    """Return a record of a step."""
    return StepRecord(KEY, number, number, operation(), step(), finished=finished)


def test_nothing_is_written_before_the_commit(journal: Journal, ledger: FakeLedger) -> None:
    """Records wait, and so does the row of the execution."""
    journal.add(record(0))
    assert ledger.calls == []
    assert not journal.is_begun


def test_writing_without_records_gives_the_revision_no_row(
    journal: Journal, ledger: FakeLedger
) -> None:
    """A revision that has committed nothing needs none."""
    journal.write()
    assert ledger.calls == []
    assert not journal.is_begun


def test_records_are_written_in_their_order(journal: Journal, ledger: FakeLedger) -> None:
    """The row of the execution comes first, because they refer to it."""
    journal.add(record(0))
    journal.add(RESULT)
    journal.add(record(1))
    journal.write()
    assert ledger.calls == [
        ("begin", "a1"),
        ("step", 7, record(0)),
        ("result", 7, ("query", 0), "fingerprint", "{}"),
        ("step", 7, record(1)),
    ]
    assert journal.is_begun


def test_records_are_written_once(journal: Journal, ledger: FakeLedger) -> None:
    """A second commit writes what was added since."""
    journal.add(record(0))
    journal.write()
    journal.add(record(1))
    journal.write()
    journal.write()
    assert ledger.calls == [("begin", "a1"), ("step", 7, record(0)), ("step", 7, record(1))]


def test_a_resumed_revision_keeps_its_row(ledger: FakeLedger, memory: RunMemory) -> None:
    """An earlier attempt has begun it."""
    journal = Journal(ledger, RevisionProgress("a1", "up", "", execution=3), memory)
    assert journal.is_begun
    journal.add(record(0))
    journal.write()
    assert ledger.calls == [("step", 3, record(0))]


def test_beginning_gives_a_row_without_records(journal: Journal, ledger: FakeLedger) -> None:
    """The end of a revision is recorded also if it has no step."""
    journal.begin()
    journal.begin()
    assert ledger.calls == [("begin", "a1")]


def test_finished_steps_count_as_progress(journal: Journal, memory: RunMemory) -> None:
    """Steps that are only begun don't, nor do results."""
    journal.add(record(0))
    journal.add(record(1, finished=False))
    journal.add(record(1))
    journal.add(RESULT)
    assert memory.finished == 0
    journal.write()
    assert memory.finished == 2


def test_the_mark_of_unrecorded_writes_is_a_persisted_format(
    journal: Journal, ledger: FakeLedger
) -> None:
    """Ledgers of users hold the key, so it can't be renamed."""
    journal.mark_unrecorded()
    journal.write()
    assert ledger.calls == [("begin", "a1"), ("result", 7, ("unnoted", 0), "", "{}")]


@pytest.mark.parametrize(
    ("results", "marked"),
    [({}, False), ({("query", 0): ("", "{}")}, False), ({("unnoted", 0): ("", "{}")}, True)],
)
def test_the_mark_of_unrecorded_writes_is_recognized(
    ledger: FakeLedger,
    memory: RunMemory,
    results: dict[tuple[str, int], tuple[str, str]],
    *,
    marked: bool,
) -> None:
    """Among the results that an earlier attempt committed."""
    progress = RevisionProgress("a1", "up", "", results=results)
    assert Journal(ledger, progress, memory).committed_unrecorded is marked


def test_other_rows_are_written_at_once(journal: Journal, ledger: FakeLedger) -> None:
    """Cursors, undone operations and requests; the caller commits."""
    cursor = Cursor("item", 10)
    journal.begin()
    journal.advance(KEY, 2, cursor)
    journal.forget(KEY)
    journal.request("pause")
    assert ledger.calls[1:] == [
        ("advance", 7, KEY, 2, cursor),
        ("forget", 7, KEY),
        ("request", 7, "pause"),
    ]


def test_the_revision_is_the_one_of_its_progress(journal: Journal) -> None:
    """By its identifier."""
    assert journal.revision == "a1"
