"""Recorded results as JSON. Users' ledgers hold it, so the samples below must never change."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liftlock.execution.recorded_results import RecordedResult, ReplayCursor, capture
from liftlock.execution.result_values import NotRecordable

COLUMNS = [("id", 23, None, None, None, None, None), ("name", 25, None, None, None, None, None)]
ROWS: list[tuple[Any, ...]] = [(1, "a"), (2, "b"), (3, None)]
SAMPLES = [
    (
        RecordedResult(COLUMNS, ROWS[:1], 1),
        '{"columns": [["id", 23], ["name", 25]], "rows": [[1, "a"]], "rowcount": 1}',
    ),
    (
        RecordedResult(COLUMNS[:1], [], 0),
        '{"columns": [["id", 23]], "rows": [], "rowcount": 0}',
    ),
    (RecordedResult(None, [], 5), '{"columns": null, "rows": [], "rowcount": 5}'),
    (RecordedResult(None, [], -1), '{"columns": null, "rows": [], "rowcount": -1}'),
    (
        RecordedResult([("tags", None, None, None, None, None, None)], [(["x"],)], 1),
        '{"columns": [["tags", null]], "rows": [[["list", "x"]]], "rowcount": 1}',
    ),
]


class DriverCursor:
    """A cursor of a driver, after its statement."""

    def __init__(self, description: list[Any] | None, rows: list[Any], rowcount: int) -> None:
        self.description = description
        self.rowcount = rowcount
        self.statusmessage = "SELECT 3"
        self.closed = False
        self._rows = rows

    def fetchall(self) -> list[Any]:
        """Return the rows."""
        return self._rows

    def close(self) -> None:
        """Close it."""
        self.closed = True


@pytest.fixture
def driver_cursor() -> DriverCursor:
    """The cursor whose place is taken."""
    return DriverCursor(None, [], -1)


@pytest.fixture
def cursor(driver_cursor: DriverCursor) -> ReplayCursor:
    """A cursor with three recorded rows."""
    return ReplayCursor(RecordedResult(COLUMNS, ROWS, 3), driver_cursor)


@pytest.mark.parametrize(("result", "text"), SAMPLES)
def test_the_json_is_a_persisted_format(result: RecordedResult, text: str) -> None:
    """It is written as it is in users' ledgers, and read again."""
    assert result.dumps() == text
    assert RecordedResult.loads(text) == result


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(), st.text() | st.none()), max_size=5),
    st.integers(-1, 10),
)
def test_every_result_is_read_as_it_was(rows: list[tuple[Any, ...]], rowcount: int) -> None:
    """Rows are tuples again."""
    result = RecordedResult(COLUMNS, rows, rowcount)
    assert RecordedResult.loads(result.dumps()) == result


def test_a_column_is_recorded_by_its_name_and_type() -> None:
    """The other five items of a DB-API description are None after that."""
    result = RecordedResult([("id", 23, 4, 4, 10, 0, True)], [], 0)
    assert RecordedResult.loads(result.dumps()).description == COLUMNS[:1]


@pytest.mark.parametrize(
    ("code", "oid"),
    [(23, 23), (None, None), (SimpleNamespace(oid=25), 25), ("NUMBER", None)],
)
def test_type_code_of_any_driver(code: object, oid: int | None) -> None:
    """Most drivers give the OID, some an object that has it."""
    result = RecordedResult([("id", code, *[None] * 5)], [], 0)
    assert json.loads(result.dumps())["columns"] == [["id", oid]]


def test_a_result_with_a_value_of_an_unknown_type_is_not_recordable() -> None:
    """The revision becomes one transaction then."""
    with pytest.raises(NotRecordable):
        RecordedResult(COLUMNS[:1], [(object(),)], 1).dumps()


def test_a_captured_result_has_tuples() -> None:
    """A driver may have rows and columns of its own classes, such as lists."""
    source = DriverCursor([list(column) for column in COLUMNS], [list(row) for row in ROWS], 3)
    assert capture(source) == RecordedResult(COLUMNS, ROWS, 3)


def test_a_statement_without_a_result_set_has_a_row_count() -> None:
    """No row is fetched: drivers raise an error for that."""
    assert capture(DriverCursor(None, [], 5)) == RecordedResult(None, [], 5)


def test_rows_are_fetched_one_by_one(cursor: ReplayCursor) -> None:
    """None follows the last one."""
    assert [cursor.fetchone() for _ in range(4)] == [*ROWS, None]


def test_rows_are_fetched_in_parts(cursor: ReplayCursor) -> None:
    """No row is lost between the parts; without a size, the array size counts."""
    assert cursor.fetchmany(2) == ROWS[:2]
    assert cursor.fetchmany() == ROWS[2:]
    assert cursor.fetchmany(2) == []


def test_the_array_size_can_be_set(cursor: ReplayCursor) -> None:
    """As on any DB-API cursor."""
    cursor.arraysize = 2
    assert cursor.fetchmany() == ROWS[:2]


def test_the_remaining_rows_are_fetched(cursor: ReplayCursor) -> None:
    """Those that weren't fetched before."""
    cursor.fetchone()
    assert cursor.fetchall() == ROWS[1:]
    assert cursor.fetchall() == []


def test_a_cursor_is_iterated(cursor: ReplayCursor) -> None:
    """Some drivers' cursors are."""
    assert list(cursor) == ROWS


def test_two_cursors_of_one_result_are_independent(driver_cursor: DriverCursor) -> None:
    """A recorded result may be replayed more than once."""
    result = RecordedResult(COLUMNS, ROWS, 3)
    assert ReplayCursor(result, driver_cursor).fetchall() == ROWS
    assert ReplayCursor(result, driver_cursor).fetchall() == ROWS


def test_a_cursor_describes_its_result(cursor: ReplayCursor) -> None:
    """SQLAlchemy reads both."""
    assert cursor.description == COLUMNS
    assert cursor.rowcount == 3


def test_the_cursor_of_the_driver_answers_everything_else(
    cursor: ReplayCursor, driver_cursor: DriverCursor
) -> None:
    """A dialect may ask for attributes of its own driver; closing closes both."""
    assert cursor.statusmessage == "SELECT 3"
    with pytest.raises(AttributeError, match="nextset"):
        _ = cursor.nextset
    cursor.close()
    assert driver_cursor.closed
