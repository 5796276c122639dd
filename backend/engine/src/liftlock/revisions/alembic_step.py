"""Alembic's migration steps, as this package uses them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeGuard


class AlembicScript(Protocol):
    """A revision file, as Alembic loaded it."""

    revision: str
    path: str
    doc: str


class AlembicStep(Protocol):
    """A step that Alembic's commands choose: a revision up or down, or a stamp."""

    is_upgrade: bool

    @property
    def info(self) -> Any:  # noqa: ANN401 - passed on to callbacks of the project
        """Describe the step for ``on_version_apply`` callbacks."""

    @property
    def migration_fn(self) -> Callable[..., None]:
        """The function ``upgrade()`` or ``downgrade()`` of the revision."""


class RevisionStep(AlembicStep, Protocol):
    """A step that runs a revision."""

    revision: AlembicScript


def runs_revision(step: AlembicStep) -> TypeGuard[RevisionStep]:
    """Return whether a step runs a revision; a stamp only changes the version table."""
    return hasattr(step, "revision")


def name_of(step: AlembicStep) -> str:
    """Return the revision of a step, or ``stamp``."""
    return str(step.revision.revision) if runs_revision(step) else "stamp"


def path_of(step: AlembicStep) -> str:
    """Return the path of a revision's file; empty for a stamp."""
    return str(step.revision.path) if runs_revision(step) else ""


def title_of(step: AlembicStep) -> str:
    """Return one line that says what a step does."""
    if not runs_revision(step):
        return "stamping the version table"
    verb = "applying" if step.is_upgrade else "reverting"
    return f"{verb} {name_of(step)}: {step.revision.doc or 'no title'}"
