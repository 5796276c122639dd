"""The memory of a run: its attempts learn from each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from enum import IntEnum

from liftlock.postgres.ledger import OperationKey

_MOST_LOSSES = 10
"""Sessions that are lost one after another without progress."""

StatementKey = tuple[str, OperationKey]
"""A statement of a revision: the revision, and the statement's key within it."""


class Escalation(IntEnum):
    """The way in which the next attempt runs a statement whose locks or duration are unknown.

    Members:
        SHARED: in the open transaction. Within the rest of the stall budget if that transaction
            holds strong table locks, else within twice the stall budget.
        ALONE: in a transaction without strong table locks, within twice the stall budget.
        NO_TIMEOUT: as ``ALONE``, but without timeouts: it locks rows only.
        ALLOWED: as ``ALONE``, but without a statement timeout, although it locks tables: an
            allowance permits that. It is committed right after.
    """

    SHARED = 0
    ALONE = 1
    NO_TIMEOUT = 2
    ALLOWED = 3


class RunMemory:
    """The findings of earlier attempts of a run."""

    def __init__(self) -> None:
        self._escalations: dict[StatementKey, Escalation] = {}
        self._unrecorded: set[str] = set()
        self._late: set[str] = set()
        self._finished = 0
        self._losses: Counter[str] = Counter()
        self._fruitless_losses = 0
        self._finished_at_loss = 0
        self._maintained: tuple[str, ...] = ()

    def escalation(self, statement: StatementKey) -> Escalation:
        """Return how a statement is to be run."""
        return self._escalations.get(statement, Escalation.SHARED)

    def escalate(self, statement: StatementKey, to: Escalation) -> None:
        """Have the next attempt run a statement in another way; it never goes back."""
        self._escalations[statement] = max(self.escalation(statement), to)

    def may_commit_unrecorded(self, revision: str) -> bool:
        """Return whether a revision may commit writes that the ledger doesn't record."""
        return revision in self._unrecorded

    def allow_unrecorded_commit(self, revision: str) -> None:
        """Let a revision commit unrecorded writes: its next statement refuses a transaction."""
        self._unrecorded.add(revision)

    def commits_late(self, revision: str) -> bool:
        """Return whether a revision commits only before steps that need it."""
        return revision in self._late

    def commit_late(self, revision: str) -> None:
        """Have a revision commit late: an early commit violated a deferred constraint."""
        self._late.add(revision)

    def losses(self, revision: str) -> int:
        """Return how often the working session was lost in a revision."""
        return self._losses[revision]

    def note_loss(self, revision: str) -> bool:
        """Note that the working session was lost; return whether another one is worth trying.

        It isn't after ten losses without progress.
        """
        if self._finished > self._finished_at_loss:
            self._fruitless_losses = 0
        self._finished_at_loss = self._finished
        self._fruitless_losses += 1
        self._losses[revision] += 1
        return self._fruitless_losses <= _MOST_LOSSES

    @property
    def finished(self) -> int:
        """The number of steps and batches that the run has written to the ledger: its progress."""
        return self._finished

    def count_finished(self, steps: int) -> None:
        """Count steps or batches that are written to the ledger."""
        self._finished += steps

    def note_maintained(self, tables: Iterable[str]) -> None:
        """Note tables whose lock was refused because of maintenance, such as an autovacuum."""
        self._maintained = tuple(tables)

    def take_maintained(self) -> tuple[str, ...]:
        """Return the tables under maintenance, and forget them."""
        tables, self._maintained = self._maintained, ()
        return tables
