"""A run on a real server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from execution.server_run import ServerAttempt, ServerRun, server_run

from liftlock.settings import Address


@pytest.fixture
def run(driver: str, database: Address) -> Iterator[ServerRun]:
    """A run of one revision in an empty database; for an async driver, over psycopg."""
    with server_run(database, "psycopg" if driver == "asyncpg" else driver) as begun:
        yield begun


@pytest.fixture
def attempt(run: ServerRun) -> ServerAttempt:
    """The first attempt at the revision."""
    return run.attempt()
