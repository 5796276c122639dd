from __future__ import annotations

import json

import pytest

from liftlock.postgres.cursor import Cursor

STORED = {
    "at": ["7", "2024-01-01 12:30:00+00"],
    "blocks": False,
    "earlier": None,
    "finished": ["ONLY event", "event_2023"],
    "found": 400,
    "left": [["3", "x"], ["5", "y"]],
    "over": False,
    "passes": 0,
    "proven": True,
    "relation": "event",
    "rows": 1400,
    "skipped": 2,
    "table": "event_2024",
    "total": 120000.0,
}
"""A cursor as ledgers store it. Databases hold such objects: this sample must never change."""


def test_a_stored_cursor_keeps_its_keys_and_values() -> None:
    """A cursor of an older liftlock is read, and stored again without a change."""
    cursor = Cursor.loads(json.dumps(STORED))
    assert json.loads(cursor.dumps()) == STORED
    assert cursor.at == ("7", "2024-01-01 12:30:00+00")
    assert cursor.left == (("3", "x"), ("5", "y"))


@pytest.mark.parametrize(
    "cursor",
    [
        Cursor("item", 0),
        Cursor("item", 10.5, at=12, blocks=True, passes=2, earlier=0),
        Cursor("item", 10, rows=10, finished=("item",), table="item", over=True, at=None),
        Cursor("item", 10, at=("a", '"b"'), left=(("ü",),)),
    ],
)
def test_loads_inverts_dumps(cursor: Cursor) -> None:
    """Positions in keys and in blocks, and none."""
    assert Cursor.loads(cursor.dumps()) == cursor


def test_a_cursor_stored_before_locked_rows_were_kept_has_none() -> None:
    """The first liftlock with backfills stored no key ``left``."""
    old = {key: value for key, value in STORED.items() if key != "left"}
    assert Cursor.loads(json.dumps(old)).left == ()


def test_keys_of_a_newer_liftlock_are_ignored() -> None:
    """They don't prevent the backfill from being resumed."""
    assert Cursor.loads(json.dumps(STORED | {"new": 1})) == Cursor.loads(json.dumps(STORED))


def test_the_next_table_begins_with_the_totals_of_those_before() -> None:
    """Only the position in the table, and the passes over it, begin again."""
    before = Cursor.loads(json.dumps(STORED)).finish_table()
    cursor = before.begin_table("event_2025", by_blocks=True)
    assert before.finished == ("ONLY event", "event_2023", "event_2024")
    assert cursor == Cursor(
        "event",
        120000.0,
        rows=1400,
        finished=before.finished,
        table="event_2025",
        proven=True,
        blocks=True,
    )
