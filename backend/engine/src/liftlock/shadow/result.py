"""What is known of a revision once it was tried on a shadow."""

from __future__ import annotations

from dataclasses import dataclass, field

from liftlock.model.operation import Operation
from liftlock.model.revision import Revision
from liftlock.shadow.observed import ObservedStatement
from liftlock.shadow.schema import Schema


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a revision didn't run: an error's code and its three parts."""

    code: str
    what: str
    why: str
    now: str


@dataclass(frozen=True, slots=True)
class RunResult:
    """One run of a revision.

    Parameters:
        observed: its statements.
        refusal: why it didn't get through; None when it did.
    """

    observed: tuple[ObservedStatement, ...] = ()
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class DowngradeResult:
    """What its downgrade does.

    Parameters:
        statements: how many it sends.
        error: why it fails; empty when it doesn't.
        difference: lines of the schema that aren't as they were before the upgrade, as ``diff`` marks them.
        upgrade_again_error: why it can't be applied again afterwards; empty when it can.
    """

    statements: int = 0
    error: str = ""
    difference: tuple[str, ...] = ()
    upgrade_again_error: str = ""


@dataclass(frozen=True, slots=True)
class RevisionResult:
    """A revision.

    Parameters:
        revision: itself.
        path: its file.
        operations: what it asks for, as plain Alembic runs it.
        alembic: as plain Alembic runs it.
        liftlock: as liftlock does.
        again: what it asks for on another run; that differs where values are made in Python.
        before, after: the schema.
        changes: lines of the schema that it makes and takes away, as ``diff`` marks them.
        downgrade: its downgrade; None where that wasn't tried.
        edited: whether the file has changed since it was merged.
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
        """What made the schema that comes after: plain Alembic's statements, or liftlock's where only that could run it."""
        return (
            self.liftlock.observed
            if self.alembic.refusal is not None and self.liftlock.refusal is None
            else self.alembic.observed
        )
