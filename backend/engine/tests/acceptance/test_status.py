"""`liftlock status`."""

from __future__ import annotations

import json

from helpers import (
    Project,
    assert_succeeded,
    dump,
)


def test_status_exits_1_while_revisions_are_pending(shop: Project) -> None:
    """Exit code 1 while revisions are pending, else 0; it creates nothing."""
    before = dump(shop.database)
    done = shop.run("--format", "json", "status")
    assert done.returncode == 1, done.stderr
    assert sorted(json.loads(done.stdout)["pending"]) == ["a1", "b2", "c3", "d4"]
    assert dump(shop.database) == before
    assert_succeeded(shop.run("upgrade"))
    done = shop.run("--format", "json", "status")
    status = json.loads(done.stdout)
    assert (done.returncode, status["standing"]) == (0, "at head")
    assert [row["revision"] for row in status["applied"]] == ["a1", "b2", "c3", "d4"]
