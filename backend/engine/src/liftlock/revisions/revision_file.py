"""The file of a revision, as the ledger identifies it."""

from __future__ import annotations

from pathlib import Path

from liftlock.model.operation import digest
from liftlock.revisions.alembic_step import AlembicStep, path_of

_BYTECODE_HEADER_BYTES = 16
"""The header holds the time of the source file: https://peps.python.org/pep-0552/."""


def source_digest(step: AlembicStep) -> str:
    """Return the digest of a revision's file."""
    return digest(_source(Path(path_of(step))))


def _source(path: Path) -> str:
    """Return the text of a revision's file, or its bytecode without the header."""
    content = path.read_bytes()
    if path.suffix == ".pyc":
        return content[_BYTECODE_HEADER_BYTES:].decode("latin-1")
    return content.decode(errors="replace")
