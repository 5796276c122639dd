"""The file of a revision: whether it has changed since the revision was interrupted."""

from __future__ import annotations

from pathlib import Path

from liftlock.errors import UnsafeRevision
from liftlock.model.operation import digest
from liftlock.revisions.alembic_step import AlembicStep, name_of, path_of

_BYTECODE_HEADER_BYTES = 16
"""The header holds the time of the source file: https://peps.python.org/pep-0552/."""


def source_digest(step: AlembicStep) -> str:
    """Return the digest of a revision's file."""
    return digest(_source(Path(path_of(step))))


def file_changed(step: AlembicStep) -> UnsafeRevision:
    """Return the error of an interrupted revision whose file has changed since."""
    return UnsafeRevision(
        "LL-FILE-CHANGED",
        f"revision {name_of(step)}: its file has changed since it was interrupted: {path_of(step)}",
        why="Some of its steps are committed, and the changed file doesn't tell which ones remain.",
        now="Restore the file, finish the revision, and make the change in a new revision. Or, when"
        " the committed steps are the same in both files: LIFTLOCK_ALLOW=LL-FILE-CHANGED.",
    )


def _source(path: Path) -> str:
    """Return the text of a revision's file, or its bytecode without the header."""
    content = path.read_bytes()
    if path.suffix == ".pyc":
        return content[_BYTECODE_HEADER_BYTES:].decode("latin-1")
    return content.decode(errors="replace")
