"""`liftlock plan`."""

from __future__ import annotations

import json
from typing import Any

from helpers import (
    Project,
    assert_succeeded,
    dump,
)


def test_plan_lists_the_steps_of_each_operation(shop: Project) -> None:
    """A revision that queries the database is shown up to the query; nothing changes."""
    before = dump(shop.database)
    done = shop.run("--format", "json", "plan")
    assert_succeeded(done)
    assert dump(shop.database) == before
    a1, b2, c3, d4 = json.loads(done.stdout)
    assert _operations_of(a1) == ["create_type", "create_table", "comment", "create_index"]
    assert _operations_of(b2) == [
        "create_table",
        "bulk_insert",
        "add_column",
        "create_check_constraint",
    ]
    assert c3["asks_database"]
    assert _operations_of(c3) == ["add_column"]
    assert _operations_of(d4) == ["create_index"]
    text = shop.run("plan").stdout
    assert "ALTER TABLE customer ADD COLUMN name TEXT" in text
    assert "depends on the results of queries" in text
    assert_succeeded(shop.run("upgrade", "b2"))
    c3, d4 = json.loads(shop.run("--format", "json", "plan").stdout)
    (adds_column,) = c3["operations"]
    (creates_index,) = d4["operations"]
    assert adds_column["bytes"] == 16384
    assert adds_column["line"] == 11
    assert adds_column["steps"][0]["lock"] == "ACCESS EXCLUSIVE"
    assert adds_column["steps"][0]["estimate_seconds"] == 0
    assert creates_index["steps"][0]["pace"] == "online"


def _operations_of(revision: dict[str, Any]) -> list[str]:
    return [operation["operation"] for operation in revision["operations"]]


def test_plan_at_head_is_empty(shop: Project) -> None:
    """After an upgrade nothing is pending."""
    assert_succeeded(shop.run("upgrade"))
    assert shop.run("plan").stdout == "Nothing is pending.\n"
