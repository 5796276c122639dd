from __future__ import annotations

import contextlib
import fcntl
from pathlib import Path

from liftlock.shadow.database import embedded_shadow


def test_the_wanted_base_state_is_never_removed(tmp_path: Path) -> None:
    """A new state gets the age of the state that it is copied from, which may be the oldest."""
    for keys in (["base"], ["x"], ["y"], ["z"], ["base", "next"]):
        with embedded_shadow(tmp_path, keys, [], lambda _address, _done: None) as shadow:
            assert shadow.version
    assert (tmp_path / "next" / "done").exists()
    assert len(list(tmp_path.iterdir())) == 4


def test_a_base_state_that_is_being_copied_is_not_removed(tmp_path: Path) -> None:
    """A state that is being removed isn't copied either."""
    copied_from: list[int] = []
    with contextlib.ExitStack() as stack:
        for keys in [["base"], ["x"], ["y"], ["z"], ["w"]]:
            shadow = embedded_shadow(
                tmp_path, keys, [], lambda _address, done: copied_from.append(done)
            )
            with shadow:
                pass
            if keys == ["base"]:
                file = stack.enter_context((tmp_path / "base" / "done").open("rb"))
                fcntl.flock(file, fcntl.LOCK_SH)
        assert (tmp_path / "base" / "done").exists()
    with (tmp_path / "w" / "done").open("rb") as removing:
        fcntl.flock(removing, fcntl.LOCK_EX)
        with embedded_shadow(
            tmp_path, ["base", "w"], [], lambda _address, done: copied_from.append(done)
        ) as shadow:
            assert shadow.version
    assert copied_from == [-1, -1, -1, -1, -1, 0]
