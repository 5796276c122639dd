"""A query or two through libpq itself, by ctypes: what psycopg does, without its 150 ms of imports.

A deliberate hack, for ``gate`` alone. It uses the libpq that psycopg brings, else the system's, so
passwords, TLS and every libpq variable mean what they mean elsewhere.
"""

from __future__ import annotations

import ctypes
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from liftlock.settings import Address

_OK = 0
_TUPLES = 2


def columns(address: Address, statement: str, *optional: str) -> list[list[str]]:
    """The first column of each query's rows.

    Parameters:
        address: the database.
        statement: the first query.
        optional: more of them; one that fails has no rows.

    Raises:
        OSError: there is no libpq, or the server or the first query fails.
    """
    pq = _library()
    words = address.keywords() | {"application_name": "liftlock exec", "connect_timeout": "3"}
    keys, values = list(words), list(words.values())
    texts = ctypes.c_char_p * (len(keys) + 1)
    connection = ctypes.c_void_p(
        pq.PQconnectdbParams(
            texts(*[key.encode() for key in keys]), texts(*[value.encode() for value in values]), 0
        )
    )
    try:
        if pq.PQstatus(connection) != _OK:
            raise OSError
        found = [_column(pq, connection, one) for one in (statement, *optional)]
        if found[0] is None:
            raise OSError
        return [rows or [] for rows in found]
    finally:
        pq.PQfinish(connection)


def _column(pq: ctypes.CDLL, connection: ctypes.c_void_p, statement: str) -> list[str] | None:
    result = ctypes.c_void_p(pq.PQexec(connection, statement.encode()))
    if pq.PQresultStatus(result) != _TUPLES:
        return None
    return [pq.PQgetvalue(result, row, 0).decode() for row in range(pq.PQntuples(result))]


def _library() -> ctypes.CDLL:
    pq = ctypes.CDLL(next(_candidates(), "libpq.so.5"))
    pq.PQconnectdbParams.restype = pq.PQexec.restype = ctypes.c_void_p
    pq.PQgetvalue.restype = ctypes.c_char_p
    return pq


def _candidates() -> Iterator[str]:
    for folder in sys.path:
        libraries = os.path.join(folder, "psycopg_binary.libs")
        if os.path.isdir(libraries):
            yield from (
                os.path.join(libraries, name)
                for name in os.listdir(libraries)
                if name.startswith("libpq-")
            )
