"""Values of results as JSON. Users' ledgers hold it, so the samples below must never change."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import ipaddress
import json
import math
import uuid
from collections.abc import Hashable

import asyncpg.pgproto.pgproto
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liftlock.execution.result_values import NotRecordable, decode, encode

UTC = dt.UTC
INDIA = dt.timezone(dt.timedelta(hours=5, minutes=30))
IDENTIFIER = uuid.UUID("12345678-1234-5678-1234-567812345678")

SAMPLES: list[tuple[object, str]] = [
    (None, "null"),
    (True, "true"),
    (0, "0"),
    (2**70, "1180591620717411303424"),
    ("", '""'),
    ("naïve\n", '"na\\u00efve\\n"'),
    (0.1, "0.1"),
    (-0.0, "-0.0"),
    (float("inf"), '["float", "inf"]'),
    (float("-inf"), '["float", "-inf"]'),
    (decimal.Decimal("1.50"), '["Decimal", "1.50"]'),
    (decimal.Decimal("Infinity"), '["Decimal", "Infinity"]'),
    (b"\x00\xff", '["bytes", "00ff"]'),
    (b"", '["bytes", ""]'),
    (dt.date(2024, 2, 29), '["date", "2024-02-29"]'),
    (dt.time(1, 2, 3, 4), '["time", "01:02:03.000004"]'),
    (dt.time(1, 2, tzinfo=INDIA), '["time", "01:02:00+05:30"]'),
    (dt.datetime(2024, 2, 29, 1, 2, 3), '["datetime", "2024-02-29T01:02:03"]'),  # noqa: DTZ001
    (
        dt.datetime(2024, 2, 29, 1, 2, 3, 4, UTC),
        '["datetime", "2024-02-29T01:02:03.000004+00:00"]',
    ),
    (dt.timedelta(days=-1, seconds=2, microseconds=3), '["timedelta", -1, 2, 3]'),
    (IDENTIFIER, '["UUID", "12345678-1234-5678-1234-567812345678"]'),
    (ipaddress.ip_address("10.0.0.1"), '["IPv4Address", "10.0.0.1"]'),
    (ipaddress.ip_address("::1"), '["IPv6Address", "::1"]'),
    (ipaddress.ip_network("10.0.0.0/8"), '["IPv4Network", "10.0.0.0/8"]'),
    (ipaddress.ip_network("fe80::/10"), '["IPv6Network", "fe80::/10"]'),
    (ipaddress.ip_interface("10.0.0.1/8"), '["IPv4Interface", "10.0.0.1/8"]'),
    (ipaddress.ip_interface("fe80::1/10"), '["IPv6Interface", "fe80::1/10"]'),
    ([], '["list"]'),
    ([1, None, [2]], '["list", 1, null, ["list", 2]]'),
    ((1, "a"), '["tuple", 1, "a"]'),
    ((), '["tuple"]'),
    ({}, '["dict"]'),
    ({"a": 1, 2: ["x"]}, '["dict", ["a", 1], [2, ["list", "x"]]]'),
    ({(1, 2): IDENTIFIER}, f'["dict", [["tuple", 1, 2], ["UUID", "{IDENTIFIER}"]]]'),
    (["list", "dict"], '["list", "list", "dict"]'),
    (["float", "inf"], '["list", "float", "inf"]'),
]


@pytest.mark.parametrize(("value", "text"), SAMPLES)
def test_the_json_is_a_persisted_format(value: object, text: str) -> None:
    """Each type is written as it is in users' ledgers."""
    assert json.dumps(encode(value)) == text


@pytest.mark.parametrize(("value", "text"), SAMPLES)
def test_persisted_json_is_read(value: object, text: str) -> None:
    """With the same type, and the same sign of zero."""
    read = decode(json.loads(text))
    assert read == value
    assert type(read) is type(value)
    assert repr(read) == repr(value)


@pytest.mark.parametrize("value", [float("nan"), decimal.Decimal("NaN")])
def test_a_value_that_is_no_number(value: float | decimal.Decimal) -> None:
    """It isn't equal to itself."""
    read = decode(json.loads(json.dumps(encode(value))))
    assert type(read) is type(value)
    assert math.isnan(read)


@pytest.mark.parametrize("value", [bytearray(b"\x01\xff"), memoryview(b"\x01\xff")])
def test_buffers_are_read_as_bytes(value: bytearray | memoryview) -> None:
    """psycopg2 returns a memoryview for bytea."""
    assert encode(value) == ["bytes", "01ff"]
    assert decode(encode(value)) == b"\x01\xff"


def test_a_subclass_is_read_as_its_base() -> None:
    """The driver asyncpg returns a UUID class of its own."""
    value = asyncpg.pgproto.pgproto.UUID(str(IDENTIFIER))
    assert type(value) is not uuid.UUID
    assert encode(value) == ["UUID", str(IDENTIFIER)]
    assert decode(encode(value)) == IDENTIFIER


def test_a_local_time_keeps_its_offset() -> None:
    """Two offsets may be the same moment."""
    value = dt.datetime(2024, 1, 1, tzinfo=INDIA)
    read = decode(encode(value))
    assert isinstance(read, dt.datetime)
    assert read.utcoffset() == value.utcoffset()


class Mood(enum.Enum):
    """A type that the format doesn't have."""

    GOOD = 1


@pytest.mark.parametrize(
    "value",
    [
        object(),
        Mood.GOOD,
        {1, 2},
        1j,
        range(3),
        [1, [object()]],
        (object(),),
        {"a": object()},
        {object(): 1},
    ],
)
def test_a_value_of_an_unknown_type_is_not_recordable(value: object) -> None:
    """Nor is one that contains such a value."""
    with pytest.raises(NotRecordable):
        encode(value)


def test_the_unknown_type_is_named() -> None:
    """In the message of the error."""
    with pytest.raises(NotRecordable, match="Mood"):
        encode([Mood.GOOD])


OFFSETS = st.integers(-1439, 1439).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes)))
ZONES = st.none() | OFFSETS
ADDRESSES = st.ip_addresses()
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(),
    st.binary(),
    st.floats(allow_nan=False),
    st.decimals(allow_nan=False),
    st.dates(),
    st.times(timezones=ZONES),
    st.datetimes(timezones=ZONES),
    st.timedeltas(),
    st.uuids(),
    ADDRESSES,
    ADDRESSES.map(ipaddress.ip_network),
    ADDRESSES.map(ipaddress.ip_interface),
)


def nested(values: st.SearchStrategy[Hashable]) -> st.SearchStrategy[object]:
    """Return lists, tuples and dictionaries of values."""
    keys = SCALARS | st.tuples(SCALARS, SCALARS)
    return st.lists(values) | st.tuples(values, values) | st.dictionaries(keys, values)


@settings(max_examples=80, deadline=None)
@given(st.recursive(SCALARS, nested, max_leaves=8))
def test_every_value_is_read_as_it_was(value: object) -> None:
    """JSON in between, as in the ledger."""
    read = decode(json.loads(json.dumps(encode(value))))
    assert read == value
    assert type(read) is type(value)
