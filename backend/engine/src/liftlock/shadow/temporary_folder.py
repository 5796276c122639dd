"""A temporary folder that is removed even if the process that made it is killed."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

_REMOVE_SECONDS = 60
_REMOVE = (
    'cat >/dev/null; tries=0; while ! rm -rf "$1" 2>/dev/null && [ "$tries" -lt 600 ];'
    " do tries=$((tries + 1)); sleep 0.1; done"
)
"""Waits until the process that made the folder has ended, which closes the pipe. A server may still
be writing to the folder then, so ``rm`` is repeated."""


@contextlib.contextmanager
def temporary_folder(parent: Path | None = None) -> Iterator[Path]:
    """Make a folder, and remove it at the end of the context, even if this process is killed.

    A second process, the janitor, waits for the end of this one.

    Parameters:
        parent: the folder in which it is made; the system's temporary folder by default.
    """
    with tempfile.TemporaryDirectory(
        prefix="liftlock-", dir=parent, ignore_cleanup_errors=True
    ) as folder:
        command = ["sh", "-c", _REMOVE, "liftlock-janitor", folder]
        janitor = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
        try:
            yield Path(folder)
        finally:
            if janitor.stdin is not None:
                janitor.stdin.close()
            janitor.wait(_REMOVE_SECONDS)
