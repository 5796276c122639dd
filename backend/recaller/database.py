"""The service's connections to its database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from liftlock.settings import Address


def engine_for(address: Address, revision: str, pool_size: int) -> AsyncEngine:
    """A pool of connections.

    Parameters:
        address: the database.
        revision: what this build requires; ``application_name`` carries it, so that whoever
            migrates can see which releases are connected.
        pool_size: connections kept open.
    """
    url = URL.create(
        "postgresql+psycopg",
        username=address.user,
        password=address.password,
        host=address.host,
        port=int(address.port),
        database=address.dbname,
        query=address.options,
    )
    # A statement that was prepared before a column changed its type fails once afterwards; none is prepared.
    arguments = {
        "application_name": f"recaller@{revision}",
        "prepare_threshold": None,
        "connect_timeout": 5,
    }
    return create_async_engine(url, pool_size=pool_size, pool_pre_ping=True, connect_args=arguments)


async def _session(request: Request) -> AsyncIterator[AsyncSession]:
    async with (
        AsyncSession(request.app.state.engine, expire_on_commit=False) as session,
        session.begin(),
    ):
        yield session


Session = Annotated[AsyncSession, Depends(_session)]
"""A transaction for the length of a request."""
