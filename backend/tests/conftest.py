"""A PostgreSQL server, a migrated database and the running service, for tests over HTTP."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
from recaller_helpers import BACKEND, PASSWORD, at, connected, environment, free_port, until

from liftlock import Address, embedded_server, settings_from_environment

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """Start a PostgreSQL server for the whole session."""
    folder = tmp_path_factory.mktemp("server")
    with embedded_server(folder / "data", PASSWORD, settings={"fsync": "off"}) as address:
        yield address


@pytest.fixture(scope="session")
def new_database(server: Address) -> Callable[[], Address]:
    """Return a function that creates an empty database on the server."""

    def create() -> Address:
        name = f"recaller_{os.getpid()}_{next(_numbers)}"
        with connected(server) as session:
            session.execute(f"CREATE DATABASE {name}")
        return at(server, name)

    return create


@pytest.fixture(scope="session")
def database(new_database: Callable[[], Address]) -> Address:
    """Return the service's database.

    It is a new one, or with RECALLER_TEST_ON_GIVEN the one that the environment names, whose
    schema may be of a newer release.
    """
    if os.environ.get("RECALLER_TEST_ON_GIVEN"):
        given = settings_from_environment().address
        assert given is not None
        return given
    return new_database()


@pytest.fixture(scope="session")
def service(database: Address) -> Iterator[str]:
    """Start the service as its container starts it, and return its URL."""
    port = free_port()
    command = ["liftlock", "exec", "--", sys.executable, "-m", "recaller"]
    variables = {
        "RECALLER_HOST": "127.0.0.1",
        "RECALLER_PORT": port,
        "RECALLER_LOG_LEVEL": "warning",
    }
    process = subprocess.Popen(command, cwd=BACKEND, env=environment(database, **variables))
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert process.poll() is None, "the service ended"
        try:
            return httpx.get(f"{url}/health/live").is_success
        except httpx.TransportError:
            return False

    until(answers, 60, "the service answers")
    yield url
    process.terminate()
    assert process.wait(20) == 0, "the service didn't stop gracefully"


@pytest.fixture
def account(service: str) -> Iterator[Callable[[], httpx.Client]]:
    """Return a function that opens an account and logs a client in to it."""
    clients: list[httpx.Client] = []

    def open_account() -> httpx.Client:
        email = f"user{time.monotonic_ns()}@example.com"
        password = "correct horse battery"
        registration = {"email": email, "name": "Test", "password": password}
        opened = httpx.post(f"{service}/accounts", json=registration)
        assert opened.status_code == 201, opened.text
        login = httpx.post(f"{service}/token", data={"username": email, "password": password})
        token = login.json()["access_token"]
        client = httpx.Client(base_url=service, headers={"Authorization": f"Bearer {token}"})
        clients.append(client)
        return client

    yield open_account
    for client in clients:
        client.close()


@pytest.fixture
def client(account: Callable[[], httpx.Client]) -> httpx.Client:
    """Return a client that is logged in to an account of the test's own."""
    return account()
