"""Values of a result as JSON, and back.

JSON's own types stand for themselves; any other value is a list of its type's name and its text.
"""

from __future__ import annotations

import datetime as dt
import decimal
import ipaddress
import math
import uuid
from collections.abc import Callable
from typing import Any

Json = Any
"""A value that the json module writes and reads."""

_FROM_TEXT: dict[str, Callable[[str], object]] = {
    "date": dt.date.fromisoformat,
    "time": dt.time.fromisoformat,
    "datetime": dt.datetime.fromisoformat,
    "Decimal": decimal.Decimal,
    "UUID": uuid.UUID,
    "float": float,
    "bytes": bytes.fromhex,
    "IPv4Address": ipaddress.ip_address,
    "IPv6Address": ipaddress.ip_address,
    "IPv4Network": ipaddress.ip_network,
    "IPv6Network": ipaddress.ip_network,
    "IPv4Interface": ipaddress.ip_interface,
    "IPv6Interface": ipaddress.ip_interface,
}


class NotRecordable(Exception):
    """A result holds a value of a type that can't be written as JSON and read again."""


def encode(value: object) -> Json:
    """Return a value as JSON.

    Raises:
        NotRecordable: its type isn't known here.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else ["float", str(value)]
    if isinstance(value, list | tuple):
        return [type(value).__name__, *(encode(item) for item in value)]
    if isinstance(value, dict):
        return ["dict", *([encode(key), encode(item)] for key, item in value.items())]
    if isinstance(value, dt.timedelta):
        return ["timedelta", value.days, value.seconds, value.microseconds]
    return _encode_as_text(value)


def decode(value: Json) -> object:
    """Return the value that ``encode`` wrote."""
    if not isinstance(value, list):
        return value
    name, items = value[0], value[1:]
    if name == "dict":
        return {decode(key): decode(item) for key, item in items}
    if name == "timedelta":
        return dt.timedelta(*items)
    if name in _FROM_TEXT:
        return _FROM_TEXT[name](items[0])
    decoded = [decode(item) for item in items]
    return tuple(decoded) if name == "tuple" else decoded


def _encode_as_text(value: object) -> Json:
    if isinstance(value, bytes | bytearray | memoryview):
        return ["bytes", bytes(value).hex()]
    # a driver may return a subclass, such as asyncpg's UUID
    for base in type(value).__mro__:
        if base.__name__ in _FROM_TEXT:
            isoformat = getattr(value, "isoformat", None)
            return [base.__name__, isoformat() if isoformat else str(value)]
    raise NotRecordable(type(value).__name__)
