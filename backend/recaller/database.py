"""The service's connections to its database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from liftlock import Address


def engine_for(address: Address, revision: str, pool_size: int) -> AsyncEngine:
    """Create a pool of connections.

    Parameters:
        address: of the database.
        revision: required by this build. It is part of ``application_name``, so that
            ``pg_stat_activity`` shows which releases are connected during a migration.
        pool_size: connections kept open.
    """
    # libpq's keywords instead of a URL: they can hold several hosts, and no character is special.
    arguments: dict[str, object] = {
        **address.keywords(),
        "application_name": f"recaller@{revision}",
        # A prepared statement fails once after a migration changed the type of one of its columns.
        "prepare_threshold": None,
        "connect_timeout": 5,
    }
    return create_async_engine(
        "postgresql+psycopg://", pool_size=pool_size, pool_pre_ping=True, connect_args=arguments
    )


async def _session(request: Request) -> AsyncIterator[AsyncSession]:
    async with (
        AsyncSession(request.app.state.engine, expire_on_commit=False) as session,
        session.begin(),
    ):
        yield session


Session = Annotated[AsyncSession, Depends(_session)]
"""A transaction that lasts as long as the request."""
