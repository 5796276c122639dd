"""The ledger rows of one revision that wait for the next commit.

A row of the ledger is written in the transaction of the step that it records. The rows are
collected here, and written right before that transaction is committed.
"""

from __future__ import annotations

from dataclasses import dataclass

from liftlock.execution.memory import RunMemory
from liftlock.postgres.cursor import Cursor
from liftlock.postgres.ledger import Ledger, OperationKey, RevisionProgress, StepRecord

_UNRECORDED: OperationKey = ("unnoted", 0)
"""Marks a revision that committed unrecorded writes. The word is in users' ledgers, so it stays."""


@dataclass(frozen=True, slots=True)
class ResultRecord:
    """The result of a query or write that the revision sent over its connection.

    Parameters:
        key: identifies the statement on a later attempt.
        fingerprint: of the exact text and parameters.
        body: the result as JSON.
    """

    key: OperationKey
    fingerprint: str
    body: str


class Journal:
    """Collects the records of a revision, and writes them to the ledger.

    Parameters:
        ledger: writes over the project's connection.
        progress: what earlier attempts committed; writing gives it a row of its own.
        memory: counts the finished steps.
    """

    def __init__(self, ledger: Ledger, progress: RevisionProgress, memory: RunMemory) -> None:
        self.progress = progress
        self._ledger = ledger
        self._memory = memory
        self._pending: list[StepRecord | ResultRecord] = []

    @property
    def revision(self) -> str:
        """The identifier of the revision."""
        return self.progress.revision

    @property
    def is_begun(self) -> bool:
        """Return whether the ledger has a row for this execution of the revision."""
        return self.progress.execution is not None

    @property
    def committed_unrecorded(self) -> bool:
        """Return whether an earlier attempt committed writes that the ledger doesn't record."""
        return _UNRECORDED in self.progress.results

    def add(self, record: StepRecord | ResultRecord) -> None:
        """Keep a record for the next commit."""
        self._pending.append(record)

    def mark_unrecorded(self) -> None:
        """Record that the next commit includes writes that aren't recorded one by one."""
        self.add(ResultRecord(_UNRECORDED, "", "{}"))

    def write(self) -> None:
        """Write the records; the caller commits."""
        if not self._pending:
            return
        self.begin()
        for record in self._pending:
            if isinstance(record, StepRecord):
                self._ledger.add_step(self.progress, record)
                self._memory.count_finished(int(record.finished))
            else:
                self._ledger.add_result(self.progress, record.key, record.fingerprint, record.body)
        self._pending.clear()

    def begin(self) -> None:
        """Give the revision a row in the ledger, if it has none."""
        self._ledger.begin(self.progress)

    def advance(self, key: OperationKey, number: int, cursor: Cursor) -> None:
        """Write the cursor of a backfill; the caller commits."""
        self._ledger.advance(self.progress, key, number, cursor)

    def forget(self, key: OperationKey) -> None:
        """Delete the records of an operation that was undone; the caller commits."""
        self._ledger.forget(self.progress, key)

    def request(self, state: str) -> None:
        """Write the requested state of the revision: ``run``, ``pause`` or ``cancel``."""
        self._ledger.request(self.progress, state)
