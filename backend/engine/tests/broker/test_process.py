"""Tests of the broker's answers, without a database."""

from __future__ import annotations

import contextlib

import pytest

from liftlock.broker import process
from liftlock.broker.process import _Broker
from liftlock.broker.row_queries import RowQuery
from liftlock.broker.table_size import Size
from liftlock.settings import Address

URL = "postgresql://reader:secret@db.example/app"


class Reader:
    """A reader that needs no database."""

    def __init__(self, address: Address) -> None:
        self.address = address

    def close(self) -> None:
        """Do nothing."""

    def server_address(self, address: Address) -> Address:
        """Return the same address."""
        return address

    def find_rows(self, row_query: RowQuery) -> tuple[str, bool]:
        """Return one row."""
        return f"{row_query.table}: id=1", True

    def table_sizes(self, tables: list[str]) -> tuple[dict[str, Size], str]:
        """Return the same size for all tables."""
        return {name: Size(1, 2.0, None) for name in tables}, ""


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> _Broker:
    """A broker that has the address already."""
    monkeypatch.setattr(process, "RowReader", Reader)
    broker = _Broker(contextlib.ExitStack())
    assert broker.answer(URL) == {"reply": {}}
    return broker


def error_of(message: dict[str, object]) -> dict[str, str]:
    """Return the error in an answer."""
    error = message["error"]
    assert isinstance(error, dict)
    return error


def test_rows_are_answered(broker: _Broker) -> None:
    """The request has the fields of a query."""
    fields = {"rows": "null", "table": "t", "columns": ["a"], "refers": "", "refers_columns": []}
    answer = broker.answer({"request": "rows", "row_query": fields | {"type": ""}})
    assert answer == {"reply": {"text": "t: id=1", "complete": True}}


def test_sizes_are_answered(broker: _Broker) -> None:
    """The reply is JSON."""
    answer = broker.answer({"request": "sizes", "tables": ["t"]})
    size = {"bytes": 1, "rows": 2.0, "writes": None}
    assert answer == {"reply": {"sizes": {"t": size}, "error": ""}}


@pytest.mark.parametrize(
    "request_", ["postgresql://other", [], {}, {"request": "sql"}, {"request": "rows"}]
)
def test_invalid_request_is_an_error_that_hides_the_password(
    broker: _Broker, request_: object
) -> None:
    """A hostile revision can send anything; the broker goes on."""
    error = error_of(broker.answer(request_))
    assert error["error"] == "LL-BROKER-QUERY-FAILED"
    assert "secret" not in str(error)
    assert broker.answer({"request": "sizes", "tables": []}) == {
        "reply": {"sizes": {}, "error": ""}
    }


def test_time_of_all_requests_is_limited(broker: _Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests are refused once the time is used up."""
    monkeypatch.setattr(process, "_MAX_SECONDS", -1.0)
    error = error_of(broker.answer({"request": "sizes", "tables": ["t"]}))
    assert error["error"] == "LL-BROKER-TIME-LIMIT"


def test_password_in_the_arguments_of_a_program_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every process can read them."""
    monkeypatch.setattr(process, "RowReader", Reader)
    monkeypatch.setattr(process, "_program_with", lambda _url: "sh (7)")
    error = error_of(_Broker(contextlib.ExitStack()).answer(URL))
    assert error["error"] == "LL-BROKER-PASSWORD-VISIBLE"
    assert "running program, sh (7)" in error["what"]
    assert "secret" not in str(error)
