"""Lock modes and the queries that they block."""

from __future__ import annotations

import pytest

from liftlock.model.lock import LockMode


@pytest.mark.parametrize(
    ("mode", "blocked"),
    [
        (LockMode.ACCESS_SHARE, "nothing"),
        (LockMode.ROW_SHARE, "nothing"),
        (LockMode.ROW_EXCLUSIVE, "nothing"),
        (LockMode.SHARE_UPDATE_EXCLUSIVE, "nothing"),
        (LockMode.SHARE, "writes"),
        (LockMode.SHARE_ROW_EXCLUSIVE, "writes"),
        (LockMode.EXCLUSIVE, "writes"),
        (LockMode.ACCESS_EXCLUSIVE, "reads and writes"),
    ],
)
def test_lock_mode_blocks_queries_as_in_the_manual(mode: LockMode, blocked: str) -> None:
    """The table of conflicts is PostgreSQL's."""
    assert mode.blocks == blocked
