"""Base states of shadows: data folders of a server, kept from one call to the next.

Several processes may use the cache at the same time. A state is complete when it has the file
``done``, and a lock on that file (``flock``) protects the state: shared while the state is copied,
exclusive while it is removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from liftlock.errors import SettingsError
from liftlock.shadow.temporary_folder import temporary_folder

_MAX_STATES = 4
"""The number of states that are kept; each has about 40 MB."""
_DONE = "done"


@dataclass(frozen=True, slots=True)
class StateCache:
    """A folder of base states.

    Parameters:
        folder: the folder; a state is a folder in it, named by its key.
    """

    folder: Path

    def prepare(self) -> None:
        """Make the folder.

        Raises:
            SettingsError: it can't be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _not_writable(self.folder, error) from error

    def copy(self, key: str, target: Path) -> bool:
        """Copy a state.

        Parameters:
            key: the key of the state.
            target: the copy, which doesn't exist yet.

        Returns:
            Whether it was copied. It isn't if it doesn't exist, or if another process removes it.
        """
        state = self.folder / key
        with _locked(state, fcntl.LOCK_SH) as locked:
            if locked:
                os.utime(state)  # the states that weren't used for the longest time are removed
                _copy(state, target)
                (target / _DONE).unlink()
            return locked

    def copy_latest(self, keys: Sequence[str], target: Path) -> int:
        """Copy the last of some states that exists.

        Parameters:
            keys: the keys of the states.
            target: the copy, which doesn't exist yet.

        Returns:
            The number of its key; -1 if no state exists.
        """
        for number in reversed(range(len(keys))):
            if self.copy(keys[number], target):
                return number
        return -1

    def store(self, key: str, source: Path) -> None:
        """Keep a state, and remove the states that weren't used for the longest time.

        Parameters:
            key: the key of the state.
            source: the state, which is copied.
        """
        with temporary_folder(self.folder) as temporary:
            new = temporary / "state"
            _copy(source, new)
            (new / _DONE).touch()
            # Another process may have stored the same state meanwhile.
            with contextlib.suppress(OSError):
                new.rename(self.folder / key)
            for state in self._removable(key):
                with _locked(state, fcntl.LOCK_EX) as locked:
                    if locked:
                        state.rename(temporary / state.name)

    def _removable(self, key: str) -> list[Path]:
        """Return the states that are too many, except the one of a key."""
        states = [
            state
            for state in self.folder.iterdir()
            if (state / _DONE).exists() and state.name != key
        ]
        states.sort(key=lambda state: state.stat().st_mtime)
        return states[: 1 - _MAX_STATES]


@contextlib.contextmanager
def _locked(state: Path, mode: int) -> Iterator[bool]:
    """Lock a state until the end of the context.

    Parameters:
        state: the folder of the state.
        mode: ``fcntl.LOCK_SH`` or ``fcntl.LOCK_EX``.

    Returns:
        Whether it is locked. It isn't if it doesn't exist, or if another process has locked it in a
        mode that conflicts.
    """
    done = state / _DONE
    try:
        file = done.open("rb")
    except FileNotFoundError:
        yield False
        return
    with file:
        try:
            fcntl.flock(file, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            # it may have been removed between the opening and the lock
            yield done.exists()


def _copy(source: Path, target: Path) -> None:
    """Copy a folder with owners and permissions, which PostgreSQL checks; copytree loses owners."""
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


def _not_writable(folder: Path, error: OSError) -> SettingsError:
    return SettingsError(
        "LL-CACHE-NOT-WRITABLE",
        f"The folder for base states can't be made: {folder}: {error.strerror}.",
        why="Base states are kept there, so that they aren't built for each check.",
        now="Set XDG_CACHE_HOME to a folder that can be written.",
    )
