"""The base states that `check` keeps from one call to the next."""

from __future__ import annotations

import contextlib
import fcntl
from pathlib import Path

import pytest

from liftlock.shadow.database import embedded_shadow

pytestmark = pytest.mark.server


def test_the_state_that_is_wanted_is_never_the_one_that_is_dropped(tmp_path: Path) -> None:
    """A new one takes the age of the one that it is made from, which may be the oldest."""
    for keys in (["base"], ["x"], ["y"], ["z"], ["base", "next"]):
        with embedded_shadow(tmp_path, keys, [], lambda _address, _done: None) as shadow:
            assert shadow.version
    assert (tmp_path / "next" / "done").exists()
    assert len(list(tmp_path.iterdir())) == 4


def test_a_state_that_somebody_copies_is_not_dropped_meanwhile(tmp_path: Path) -> None:
    """And one that is being dropped isn't begun from."""
    begun: list[int] = []
    keep = [["base"], ["x"], ["y"], ["z"], ["w"]]
    with contextlib.ExitStack() as stack:
        for keys in keep:
            with embedded_shadow(tmp_path, keys, [], lambda _address, done: begun.append(done)):
                pass
            if keys == ["base"]:
                fcntl.flock(
                    stack.enter_context((tmp_path / "base" / "done").open("rb")), fcntl.LOCK_SH
                )
        assert (tmp_path / "base" / "done").exists()
    with (tmp_path / "w" / "done").open("rb") as dropping:
        fcntl.flock(dropping, fcntl.LOCK_EX)
        with embedded_shadow(
            tmp_path, ["base", "w"], [], lambda _address, done: begun.append(done)
        ) as shadow:
            assert shadow.version
    assert begun == [-1, -1, -1, -1, -1, 0]
