"""One attempt at a revision: its recorded operations, and the steps that are still to be run.

A later attempt runs the revision's code again. Each operation and each statement is identified by
its shape (its text without literals) and by how many of that shape came before it. The ledger says
which of their steps are committed; those are skipped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from liftlock.execution.fact_collector import FactCollector
from liftlock.execution.journal import Journal, ResultRecord
from liftlock.execution.revision_errors import (
    committed_without_record,
    file_differs,
    path_differs,
    values_differ,
)
from liftlock.execution.transaction import Transaction
from liftlock.model.operation import Operation
from liftlock.model.step import Step
from liftlock.planning.plan import plan
from liftlock.postgres.ledger import OperationKey, OperationProgress, RevisionProgress, StepRecord

Send = Callable[[], Any]
"""Sends an operation as plain Alembic would."""


@dataclass(frozen=True, slots=True)
class PendingStep:
    """A step that is still to be run.

    Parameters:
        key: identifies its operation.
        number: its place in the recipe of the operation.
        operation: the operation.
        step: the step.
        progress: what the ledger knows of the operation.
    """

    key: OperationKey
    number: int
    operation: Operation
    step: Step
    progress: OperationProgress

    @property
    def is_begun(self) -> bool:
        """Return whether the step is recorded as begun, and not as finished."""
        return self.number in self.progress.finished


class Attempt:
    """One attempt at a revision.

    Parameters:
        transaction: its transaction.
        journal: the ledger rows of the revision.
        facts: collects the facts that operations are planned with.
        corrected: the revision's file has changed since it was interrupted, so it has to begin with
            the operations that are committed.

    Raises:
        UnsafeRevision: an earlier attempt committed writes that the ledger doesn't record.
    """

    def __init__(
        self,
        transaction: Transaction,
        journal: Journal,
        facts: FactCollector,
        *,
        corrected: bool = False,
    ) -> None:
        if journal.committed_unrecorded:
            raise committed_without_record(journal.revision)
        self.transaction = transaction
        self.journal = journal
        self.facts = facts
        self.steps: list[Step] = []
        self._seen: Counter[str] = Counter()
        self._met: set[OperationKey] = set()
        self._position = sum(len(known.finished) for known in self._progress.steps.values())
        self._other_values = ""
        self._corrected = corrected

    @property
    def revision(self) -> str:
        """The identifier of the revision."""
        return self.journal.revision

    @property
    def _progress(self) -> RevisionProgress:
        return self.journal.progress

    def pending_steps(self, operation: Operation) -> Iterator[PendingStep]:
        """Plan an operation, or continue the recipe that an earlier attempt began.

        Raises:
            UnsafeRevision: it has no online form and isn't allowed; or it writes other values than
                the interrupted attempt; or a corrected file differs in what is committed.
        """
        key = self._key(operation)
        progress = self._progress.steps.get(key)
        if self._corrected:
            self._compare_file(operation, progress)
        self._compare_values(operation, progress)
        if progress is None:
            self.transaction.commit_if_half_used()
            facts = self.facts.facts(operation, plain=self.transaction.is_atomic)
            progress = OperationProgress(plan(operation, facts))
        self.steps += progress.recipe
        for number, step in enumerate(progress.recipe):
            if not progress.finished.get(number):
                yield PendingStep(key, number, operation, step, progress)

    def record(self, pending: PendingStep, *, finished: bool = True) -> None:
        """Record that a step is finished, or begun; the next commit writes it to the ledger."""
        recipe = () if pending.progress.finished else pending.progress.recipe
        pending.progress.finished[pending.number] = finished
        self.journal.add(
            StepRecord(
                pending.key,
                pending.number,
                self._position,
                pending.operation,
                pending.step,
                recipe=recipe,
                finished=finished,
            )
        )
        self._position += finished

    def undo(self, pending: PendingStep) -> None:
        """Undo the operation of a step: rows violate the constraint that it adds."""
        self.transaction.undo(pending.key, pending.step.undo)

    def finish(self) -> RevisionProgress:
        """Write the last records, at the end of the revision; the caller commits.

        Raises:
            UnsafeRevision: the revision took another path than the interrupted attempt.
        """
        missing = self._missing()
        if missing:
            raise path_differs(self.revision, missing)
        self.journal.write()
        self.journal.begin()
        return self._progress

    # Results of queries and writes that the revision sends over its connection.

    def result(self, key: OperationKey) -> tuple[str, str] | None:
        """Return the recorded result of a statement: its fingerprint, and the result as JSON."""
        return self._progress.results.get(key)

    def record_result(self, record: ResultRecord) -> None:
        """Record a result for a later attempt; an atomic transaction is repeated as a whole."""
        if not self.transaction.is_atomic:
            self.journal.add(record)

    def note_other_values(self, statement: str) -> None:
        """Note that a statement was recorded with other values than it has now.

        Raises:
            UnsafeRevision: a corrected file has changed them.
        """
        if self._corrected:
            raise file_differs(self.revision, [], statement)
        self._other_values = statement

    def refuse_other_values(self, statement: str) -> None:
        """Refuse a new write of a revision whose recorded writes had other values.

        Raises:
            UnsafeRevision: that is so, or a corrected file has it before what is committed.
        """
        if self._corrected and self._missing():
            raise file_differs(self.revision, self._missing(), statement)
        if self._other_values:
            raise values_differ(self._other_values, statement)

    def _key(self, operation: Operation) -> OperationKey:
        key = (operation.shape, self._seen[operation.shape])
        self._seen[operation.shape] += 1
        self._met.add(key)
        return key

    def _missing(self) -> list[str]:
        """Return the statements of committed operations that this attempt hasn't met yet."""
        return [
            progress.recipe[0].sql
            for key, progress in self._progress.steps.items()
            if key not in self._met and progress.recipe
        ]

    def _compare_file(self, operation: Operation, progress: OperationProgress | None) -> None:
        """Compare an operation of a corrected file with the committed ones.

        Raises:
            UnsafeRevision: it comes before a committed operation, or replaces one.
        """
        same = progress is None or progress.fingerprint in {
            "",
            operation.evidence,
            operation.fingerprint,
        }
        missing = self._missing() if progress is None else []
        if missing or not same:
            raise file_differs(self.revision, missing, operation.sql)

    def _compare_values(self, operation: Operation, progress: OperationProgress | None) -> None:
        if not operation.may_change_rows or self._progress.changed:
            return
        if progress is None:
            self.refuse_other_values(operation.sql)
        elif progress.fingerprint not in {"", operation.evidence, operation.fingerprint}:
            self.note_other_values(operation.sql)
