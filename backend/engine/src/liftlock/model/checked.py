"""What is known of a revision once it was tried on a shadow."""

from __future__ import annotations

from dataclasses import dataclass, field

from liftlock.model.observed import Observed
from liftlock.model.operation import Operation
from liftlock.model.revision import Revision
from liftlock.model.schema import Schema


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a revision didn't run: an error's code and its three parts."""

    code: str
    what: str
    why: str
    now: str


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of a revision.

    Parameters:
        observed: its statements.
        refusal: why it didn't get through; None when it did.
    """

    observed: tuple[Observed, ...] = ()
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class WayBack:
    """What its downgrade does.

    Parameters:
        statements: how many it sends.
        error: why it fails; empty when it doesn't.
        difference: lines of the schema that aren't as they were before the upgrade, as ``diff`` marks them.
        again: why it can't be applied again afterwards; empty when it can.
    """

    statements: int = 0
    error: str = ""
    difference: tuple[str, ...] = ()
    again: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """A revision.

    Parameters:
        revision: itself.
        path: its file.
        operations: what it asks for, as plain Alembic runs it.
        plain: as plain Alembic runs it.
        ours: as liftlock does.
        again: what it asks for on another run; that differs where values are made in Python.
        before, after: the schema.
        changes: lines of the schema that it makes and takes away, as ``diff`` marks them.
        back: its downgrade; None where that wasn't tried.
        edited: whether the file has changed since it was merged.
    """

    revision: Revision
    path: str
    operations: tuple[Operation, ...] = ()
    plain: Trial = field(default_factory=Trial)
    ours: Trial = field(default_factory=Trial)
    again: tuple[Operation, ...] = ()
    before: Schema = field(default_factory=Schema)
    after: Schema = field(default_factory=Schema)
    changes: tuple[str, ...] = ()
    back: WayBack | None = None
    edited: bool = False

    @property
    def statements(self) -> tuple[Observed, ...]:
        """What made the schema that comes after: plain Alembic's statements, or liftlock's where only that could run it."""
        return self.ours.observed if self.plain.refusal is not None and self.ours.refusal is None else self.plain.observed
