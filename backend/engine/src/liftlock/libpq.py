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
    pq = ctypes.CDLL(next(_bundled(), "libpq.so.5"))
    pq.PQconnectdbParams.restype = ctypes.c_void_p
    pq.PQexec.restype = ctypes.c_void_p
    pq.PQgetvalue.restype = ctypes.c_char_p
    return pq


def _bundled() -> Iterator[str]:
    """Yield the paths of the libpq in psycopg's wheel for Linux."""
    for folder in sys.path:
        libraries = os.path.join(folder, "psycopg_binary.libs")
        if os.path.isdir(libraries):
            names = (name for name in os.listdir(libraries) if name.startswith("libpq-"))
            yield from (os.path.join(libraries, name) for name in names)
