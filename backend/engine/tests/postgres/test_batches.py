from __future__ import annotations

from dataclasses import replace

import pytest

from liftlock.postgres.batches import BackfillTask, Cursor, _finish_pass, _next_size
from liftlock.postgres.ranges import Condition
from liftlock.postgres.row_updates import _escape_colons

CONDITIONAL = BackfillTask("item", "token = 1", "token IS NULL")
FIRST_PASS = Cursor("item", 100, table="item", at=("9",), found=10)


@pytest.mark.parametrize(
    ("size", "factor", "expected"),
    [
        (1_000, 2.0, 2_000),
        (1_000, 0.5, 500),
        (1_000, 50.0, 4_000),
        (1_000, 0.0001, 100),
        (90_000, 3.0, 100_000),
    ],
)
def test_the_size_of_the_next_batch(size: int, factor: float, expected: int) -> None:
    """In proportion to the time left, at most four times as many rows, within the limits."""
    assert _next_size(size, factor) == expected


def test_a_backfill_without_a_condition_has_one_pass() -> None:
    """An updated row can't be distinguished from another one."""
    assert _finish_pass(BackfillTask("item", "n = n + 1", ""), FIRST_PASS, by_blocks=True).over


@pytest.mark.parametrize(
    ("changes", "over"),
    [
        ({"found": 10}, False),
        ({"found": 0}, True),
        ({"found": 0, "skipped": 1}, False),
        ({"found": 10, "earlier": 10}, True),
        ({"found": 9, "earlier": 10}, False),
        ({"found": 10, "earlier": 10, "skipped": 1}, False),
        ({"found": 9, "earlier": 10, "passes": 4}, True),
    ],
)
def test_the_last_pass_finds_nothing_or_no_less_than_the_pass_before(
    changes: dict[str, int], *, over: bool
) -> None:
    """Or it is the fifth; but rows that were locked need another pass."""
    cursor = _finish_pass(CONDITIONAL, replace(FIRST_PASS, **changes), by_blocks=True)
    assert cursor.over is over


def test_the_next_pass_begins_at_the_beginning_of_the_table() -> None:
    """By blocks, with what the pass found for comparison."""
    cursor = _finish_pass(CONDITIONAL, FIRST_PASS, by_blocks=True)
    expected = Cursor("item", 100, table="item", earlier=10, passes=1, blocks=True)
    assert cursor == expected


def test_the_rows_of_a_pass_that_skipped_rows_are_not_compared() -> None:
    """The skipped rows would be found by the next pass, too."""
    cursor = _finish_pass(CONDITIONAL, replace(FIRST_PASS, skipped=3), by_blocks=False)
    assert cursor.earlier is None


def test_a_partition_is_updated_under_the_name_of_its_table() -> None:
    """The project's SQL may qualify columns with that name."""
    task = BackfillTask("sales.item", "token = item.id", "true", table="sales.item_2024")
    assert task.target == "sales.item_2024 AS item"
    assert replace(task, table="sales.item").target == "sales.item"


def test_colons_of_the_projects_sql_are_escaped() -> None:
    """Only the names of the range's own parameters begin a parameter."""
    statement = "UPDATE item SET at = '12:30'::time, x = ':y' WHERE id > :ll_a0"
    escaped = _escape_colons(statement, Condition("", {"ll_a0": "1"}))
    assert escaped == "UPDATE item SET at = '12\\:30'\\:\\:time, x = '\\:y' WHERE id > :ll_a0"
