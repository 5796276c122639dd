from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from liftlock.postgres.ranges import Condition
from liftlock.postgres.row_updates import (
    BackfillTask,
    NeverFinishes,
    RowsLocked,
    update_rows,
    update_rows_and_verify,
    update_rows_once,
)

TASK = BackfillTask("item", "token = 1", "token IS NULL", table="item")
ONCE = BackfillTask("item", "n = n + 1", "", table="item")
RANGE = Condition("id <= :ll_b0", {"ll_b0": "9"})


class Database:
    """A database that answers each query with the same row, and may have locked rows."""

    def __init__(self, row: dict[str, Any], *, locked: bool = False) -> None:
        self._row = row
        self._locked = locked
        self.statements: list[str] = []

    def rows(
        self, statement: str, _parameters: Mapping[str, object]
    ) -> Sequence[Mapping[str, Any]]:
        """Return the row."""
        self.statements.append(statement)
        return [self._row]

    def count(self, statement: str, _parameters: Mapping[str, object]) -> int:
        """Return ten rows, or find them locked."""
        self.statements.append(statement)
        if self._locked:
            raise RowsLocked from TimeoutError("lock timeout")
        return 10


class LockedDatabase(Database):
    """A database whose first query finds locked rows, too."""

    def rows(self, statement: str, parameters: Mapping[str, object]) -> Sequence[Mapping[str, Any]]:
        """Find locked rows unless they are skipped."""
        if "SKIP LOCKED" not in statement:
            raise RowsLocked
        return super().rows(statement, parameters)


def test_rows_that_need_the_update_are_updated() -> None:
    """Only those of the range."""
    database = Database({})
    assert update_rows(database, TASK, RANGE) == (10, 0)
    assert database.statements == [
        "UPDATE item SET token = 1 WHERE id <= :ll_b0 AND (token IS NULL)"
    ]


def test_locked_rows_are_skipped_and_counted() -> None:
    """They are left to the next pass."""
    database = Database({"done": 7, "wanted": 10}, locked=True)
    assert update_rows(database, TASK, RANGE) == (7, 3)
    assert "FOR NO KEY UPDATE SKIP LOCKED" in database.statements[1]


@pytest.mark.parametrize(
    ("done", "still", "expected"),
    [(10, 0, (10, 0, True)), (10, 9, (10, 0, True)), (0, 0, (0, 0, False))],
)
def test_the_first_updated_rows_are_verified(
    done: int, still: int, expected: tuple[int, int, bool]
) -> None:
    """At least one of them must not satisfy the condition any more."""
    database = Database({"done": done, "still": still})
    assert update_rows_and_verify(database, TASK, RANGE) == expected


def test_an_update_that_leaves_its_condition_true_never_finishes() -> None:
    """For all rows of the range."""
    with pytest.raises(NeverFinishes):
        update_rows_and_verify(Database({"done": 10, "still": 10}), TASK, RANGE)


def test_a_range_with_locked_rows_is_not_verified() -> None:
    """The next range is, then."""
    database = LockedDatabase({"done": 7, "wanted": 10}, locked=True)
    assert update_rows_and_verify(database, TASK, RANGE) == (7, 3, False)


def test_without_a_condition_locked_rows_are_returned_by_their_keys() -> None:
    """No other pass would find them."""
    assert update_rows_once(Database({}), ONCE, "ARRAY[id]", RANGE) == (10, [])
    database = Database({"done": 8, "free": 8, "locked": '[["3"], ["5"]]'}, locked=True)
    assert update_rows_once(database, ONCE, "ARRAY[id]", RANGE) == (8, [("3",), ("5",)])


@pytest.mark.parametrize(
    ("key", "row"),
    [
        ("", {}),
        ("ARRAY[id]", {"done": 7, "free": 8, "locked": "[]"}),
        ("ARRAY[id]", {"done": 8, "free": 8, "locked": "x" * 100_001}),
    ],
)
def test_without_a_condition_a_range_may_have_to_be_tried_again(
    key: str, row: dict[str, object]
) -> None:
    """Rows without a key, rows changed at that moment, and too many locked rows."""
    with pytest.raises(TimeoutError):
        update_rows_once(Database(row, locked=True), ONCE, key, RANGE)
