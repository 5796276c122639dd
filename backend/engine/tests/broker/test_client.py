"""Tests of the broker's client without a process: arguments, replies and errors."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator

import pytest

from liftlock.broker.client import DataBroker, without_address
from liftlock.broker.row_queries import RowQuery, RowsWanted
from liftlock.broker.table_size import Size
from liftlock.errors import NotNow, SettingsError

ROW_QUERY = RowQuery(RowsWanted.NULL, "t", ("a",))


@pytest.mark.parametrize(
    "given", [["--data-url", "postgresql://u:secret@h/d"], ["--data-url=postgresql://u:secret@h/d"]]
)
def test_address_is_removed_from_arguments(given: list[str]) -> None:
    """Both forms of the option are removed, anywhere in the command."""
    first = ["-P", "/bin/liftlock", "-c", "a.ini", "check"]
    second = ["--chain", "-o", "json=x"]
    assert without_address([*first, *given, *second]) == [*first, *second]
    assert without_address([*first, *second, *given]) == [*first, *second]
    assert without_address(["check"]) == ["check"]


@pytest.fixture
def ends() -> Iterator[tuple[DataBroker, socket.socket]]:
    """A client, and the end of its socket that a broker would have."""
    client_end, broker_end = socket.socketpair()
    client = DataBroker(client_end.detach(), [5432])
    with broker_end:
        yield client, broker_end
        client.close()


def answer(broker_end: socket.socket, message: object) -> threading.Thread:
    """Answer one request in a thread."""

    def run() -> None:
        broker_end.recv(65536)
        broker_end.sendall(json.dumps(message).encode() + b"\n")

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_rows_are_read_from_the_reply(ends: tuple[DataBroker, socket.socket]) -> None:
    """The reply has the rows as text, and whether the query was run."""
    client, broker_end = ends
    thread = answer(broker_end, {"reply": {"text": "id=3", "complete": True}})
    assert client.find_rows(ROW_QUERY) == ("id=3", True)
    thread.join()


def test_sizes_are_read_from_the_reply(ends: tuple[DataBroker, socket.socket]) -> None:
    """The reply has a size for each table."""
    client, broker_end = ends
    size = {"bytes": 8192, "rows": 3.0, "writes": None}
    thread = answer(broker_end, {"reply": {"sizes": {"t": size}, "error": ""}})
    assert client.table_sizes(["t"]) == ({"t": Size(8192, 3.0, None)}, "")
    thread.join()


def test_error_of_the_broker_is_raised(ends: tuple[DataBroker, socket.socket]) -> None:
    """It has the same family, code and parts."""
    client, broker_end = ends
    error = SettingsError("LL-CODE", "what", why="why", now="now")
    thread = answer(broker_end, {"error": error.as_dict()})
    with pytest.raises(SettingsError) as raised:
        client.find_rows(ROW_QUERY)
    thread.join()
    assert raised.value.as_dict() == error.as_dict()


def test_end_of_the_broker_is_an_error(ends: tuple[DataBroker, socket.socket]) -> None:
    """The socket is closed without a reply."""
    client, broker_end = ends
    broker_end.close()
    with pytest.raises(NotNow, match="has ended") as raised:
        client.find_rows(ROW_QUERY)
    assert raised.value.code == "LL-BROKER-ENDED"
