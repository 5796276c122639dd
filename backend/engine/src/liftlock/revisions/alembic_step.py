"""Alembic's migration steps: their names, files and titles."""

from __future__ import annotations

from alembic.runtime.migration import RevisionStep, StampStep

AlembicStep = RevisionStep | StampStep
"""A step that Alembic's commands choose; a stamp only changes the version table."""


def name_of(step: AlembicStep) -> str:
    """Return the revision of a step, or ``stamp``."""
    return str(step.revision.revision) if isinstance(step, RevisionStep) else "stamp"


def path_of(step: AlembicStep) -> str:
    """Return the path of a revision's file; empty for a stamp."""
    return str(step.revision.path) if isinstance(step, RevisionStep) else ""


def title_of(step: AlembicStep) -> str:
    """Return one line that says what a step does."""
    if isinstance(step, StampStep):
        return "stamping the version table"
    verb = "applying" if step.is_upgrade else "reverting"
    return f"{verb} {name_of(step)}: {step.revision.doc or 'no title'}"
