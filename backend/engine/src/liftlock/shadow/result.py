"""The results of running a revision on a shadow."""

from __future__ import annotations

from dataclasses import dataclass, field

from liftlock.model.operation import Operation
from liftlock.model.revision import Revision
from liftlock.shadow.observed import ObservedStatement
from liftlock.shadow.schema import Schema


@dataclass(frozen=True, slots=True)
class Refusal:
    """The error that ended a run of a revision.

    Parameters:
        code: its code, such as ``LL-STEP-FAILED``.
        what: its first part: what happened.
        why: its second part: why it matters; may be empty.
        now: its third part: what to do now.
    """

    code: str
    what: str
    why: str
    now: str


@dataclass(frozen=True, slots=True)
class RunResult:
    """One run of a revision.

    Parameters:
        observed: the statements that were sent, in their order.
        refusal: the error that ended the run; None if it succeeded.
    """

    observed: tuple[ObservedStatement, ...] = ()
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class DowngradeResult:
    """A run of a revision's downgrade, and of its upgrade afterwards.

    Parameters:
        statements: the number of statements that the downgrade sends.
        error: the error that ended the downgrade; empty if it succeeded.
        difference: the lines of the schema that differ from the schema before the upgrade, marked
            with ``-`` and ``+`` like a diff.
        upgrade_again_error: the error of the upgrade after the downgrade; empty if it succeeded.
    """

    statements: int = 0
    error: str = ""
    difference: tuple[str, ...] = ()
    upgrade_again_error: str = ""


@dataclass(frozen=True, slots=True)
class RevisionResult:
    """All runs of a revision, and the schemas around it.

    Parameters:
        revision: the revision.
        path: the path of its file.
        operations: its operations, as plain Alembic runs them.
        alembic: its run by plain Alembic.
        liftlock: its run by liftlock.
        again: its operations in a second run. They differ if the revision makes values in Python,
            such as random ones.
        before: the schema before the revision.
        after: the schema after it.
        changes: the lines of the schema that it adds and removes, marked with ``+`` and ``-`` like
            a diff.
        downgrade: the run of its downgrade; None if that wasn't run.
        edited: whether its file has changed since it was merged.
    """

    revision: Revision
    path: str
    operations: tuple[Operation, ...] = ()
    alembic: RunResult = field(default_factory=RunResult)
    liftlock: RunResult = field(default_factory=RunResult)
    again: tuple[Operation, ...] = ()
    before: Schema = field(default_factory=Schema)
    after: Schema = field(default_factory=Schema)
    changes: tuple[str, ...] = ()
    downgrade: DowngradeResult | None = None
    edited: bool = False

    @property
    def statements(self) -> tuple[ObservedStatement, ...]:
        """The statements that made the schema ``after``.

        They are plain Alembic's, or liftlock's if only liftlock can run the revision.
        """
        only_liftlock_succeeded = self.alembic.refusal is not None and self.liftlock.refusal is None
        return self.liftlock.observed if only_liftlock_succeeded else self.alembic.observed
