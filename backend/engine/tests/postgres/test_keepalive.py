"""TCP settings on real sockets of each driver."""

from __future__ import annotations

import asyncio
import os
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from helpers import url_of
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from liftlock.postgres.keepalive import keep_alive
from liftlock.settings import Address


def options(connection: object) -> tuple[int, int]:
    """Return whether a connection's socket sends probes, and its timeout in milliseconds."""
    found = getattr(connection, "_connection", connection)
    if hasattr(found, "_transport"):
        found = found._transport.get_extra_info("socket")  # noqa: SLF001 - no public name
    elif hasattr(found, "_usock"):
        found = found._usock  # noqa: SLF001 - no public name
    with socket.socket(fileno=os.dup(found.fileno())) as own:
        return (
            own.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
            own.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
        )


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "pg8000"])
def test_settings_of_a_connection(database: Address, driver: str) -> None:
    """A server that is lost is noticed within seconds."""
    engine = sa.create_engine(url_of(database, driver), poolclass=NullPool)
    with engine.connect() as connection:
        own = connection.connection.dbapi_connection
        keep_alive(own)
        assert options(own) == (1, 10_000)


def test_settings_of_an_asynchronous_connection(database: Address) -> None:
    """The socket is found in SQLAlchemy's adapter."""

    async def connect() -> None:
        engine = create_async_engine(url_of(database, "asyncpg"), poolclass=NullPool)
        async with engine.connect() as connection:
            own = (await connection.get_raw_connection()).dbapi_connection
            keep_alive(own)
            assert options(own) == (1, 10_000)

    with ThreadPoolExecutor(1) as thread:  # another test's event loop may run in this one
        thread.submit(asyncio.run, connect()).result()


def test_a_connection_without_a_socket_is_left_alone() -> None:
    """Of a driver that isn't known."""
    keep_alive(object())
