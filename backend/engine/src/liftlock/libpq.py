"""Libpq by ctypes: what psycopg can do as well, without its 150 ms of imports.

It uses the libpq that psycopg brings, else the system's, so that passwords, TLS and the variables
of libpq mean the same as elsewhere.
"""

from __future__ import annotations

import ctypes
import os
import sys

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_CONNECTION_OK = 0
_TUPLES_OK = 2


class _Option(ctypes.Structure):
    """Libpq's struct ``PQconninfoOption``: a keyword and its value, among other things."""

    _fields_ = (
        ("keyword", ctypes.c_char_p),
        ("envvar", ctypes.c_char_p),
        ("compiled", ctypes.c_char_p),
        ("val", ctypes.c_char_p),
        ("label", ctypes.c_char_p),
        ("dispchar", ctypes.c_char_p),
        ("dispsize", ctypes.c_int),
    )


def parse_url(url: str) -> dict[str, str]:
    """Return the connection keywords that a URL sets.

    Parameters:
        url: it begins with ``postgresql://`` or ``postgres://``.

    Raises:
        OSError: there is no libpq.
        ValueError: libpq can't parse the URL. Its message may quote the URL.
    """
    pq = _library()
    if "\0" in url:
        message = "unexpected null character"
        raise ValueError(message)
    error = ctypes.c_char_p()
    options = pq.PQconninfoParse(url.encode(), ctypes.byref(error))
    if not options:
        message = (error.value or b"out of memory").decode(errors="replace")
        pq.PQfreemem(error)
        raise ValueError(message)
    try:
        return dict(_values(options))
    finally:
        pq.PQconninfoFree(options)


def _values(options: ctypes._Pointer[_Option]) -> Iterator[tuple[str, str]]:
    """Yield the options that have a value; one without a keyword ends the array."""
    index = 0
    while options[index].keyword is not None:
        if options[index].val is not None:
            yield options[index].keyword.decode(), options[index].val.decode()
        index += 1


def columns(keywords: Mapping[str, str], statement: str, *optional: str) -> list[list[str]]:
    """Return the first column of each query's rows.

    Parameters:
        keywords: connection keywords of libpq.
        statement: the first query.
        optional: further queries; one that fails has no rows.

    Raises:
        OSError: there is no libpq, or the connection or the first query fails.
    """
    pq = _library()
    connection = ctypes.c_void_p(_connect(pq, keywords))
    try:
        if pq.PQstatus(connection) != _CONNECTION_OK:
            raise OSError
        first = _column(pq, connection, statement)
        if first is None:
            raise OSError
        return [first, *(_column(pq, connection, query) or [] for query in optional)]
    finally:
        pq.PQfinish(connection)


def _connect(pq: ctypes.CDLL, keywords: Mapping[str, str]) -> int | None:
    texts = ctypes.c_char_p * (len(keywords) + 1)  # a null pointer ends the array
    names = texts(*[name.encode() for name in keywords])
    values = texts(*[value.encode() for value in keywords.values()])
    address: int | None = pq.PQconnectdbParams(names, values, 0)
    return address


def _column(pq: ctypes.CDLL, connection: ctypes.c_void_p, statement: str) -> list[str] | None:
    """Return the first column of a query's rows; None where the query fails."""
    result = ctypes.c_void_p(pq.PQexec(connection, statement.encode()))
    try:
        if pq.PQresultStatus(result) != _TUPLES_OK:
            return None
        return [pq.PQgetvalue(result, row, 0).decode() for row in range(pq.PQntuples(result))]
    finally:
        pq.PQclear(result)


def _library() -> ctypes.CDLL:
    """Return libpq.

    Raises:
        OSError: none can be loaded.
    """
    pq = ctypes.CDLL(next(bundled_libraries(), "libpq.so.5"))
    pq.PQconnectdbParams.restype = ctypes.c_void_p
    pq.PQexec.restype = ctypes.c_void_p
    pq.PQgetvalue.restype = ctypes.c_char_p
    pq.PQconninfoParse.restype = ctypes.POINTER(_Option)
    return pq


def bundled_libraries() -> Iterator[str]:
    """Yield the paths of the libpq in psycopg's wheel for Linux."""
    for folder in sys.path:
        libraries = os.path.join(folder, "psycopg_binary.libs")
        if os.path.isdir(libraries):
            names = (name for name in os.listdir(libraries) if name.startswith("libpq-"))
            yield from (os.path.join(libraries, name) for name in names)
