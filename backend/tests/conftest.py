"""A real server, a migrated database and the running service, for the tests over HTTP."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import httpx
import psycopg
import pytest
from recaller_helpers import BACKEND, PASSWORD, environment

from liftlock import settings
from liftlock.settings import Address
from liftlock.shadow import embedded

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """A PostgreSQL server for the whole session."""
    folder = tmp_path_factory.mktemp("server")
    with embedded.serve(folder / "data", PASSWORD, settings={"fsync": "off"}) as address:
        yield address


@pytest.fixture(scope="session")
def new_database(server: Address) -> Callable[[], Address]:
    """Makes empty databases on it."""

    def make() -> Address:
        name = f"recaller_{os.getpid()}_{next(_numbers)}"
        with psycopg.connect(**server.keywords(), autocommit=True) as session:  # type: ignore[arg-type]
            session.execute(f"CREATE DATABASE {name}")
        return Address(
            host=server.host,
            port=server.port,
            user=server.user,
            password=server.password,
            dbname=name,
        )

    return make


@pytest.fixture(scope="session")
def database(new_database: Callable[[], Address]) -> Address:
    """The database that the service uses: a new one, or the one that is given, which may be of a newer release."""
    given = settings.read().address if os.environ.get("RECALLER_TEST_ON_GIVEN") else None
    return given or new_database()


@pytest.fixture(scope="session")
def service(database: Address) -> Iterator[str]:
    """The service's URL; it is started the way its container starts it."""
    port = str(embedded.free_ports()[0])
    command = ["liftlock", "exec", "--", sys.executable, "-m", "recaller"]
    more = {"RECALLER_HOST": "127.0.0.1", "RECALLER_PORT": port, "RECALLER_LOG_LEVEL": "warning"}
    process = subprocess.Popen(command, cwd=BACKEND, env=environment(database, **more))
    url = f"http://127.0.0.1:{port}"
    end = time.monotonic() + 60
    while True:
        try:
            httpx.get(f"{url}/health/live")
            break
        except httpx.TransportError:
            assert time.monotonic() < end, "the service didn't start"
            assert process.poll() is None, "the service ended"
            time.sleep(0.1)
    yield url
    process.terminate()
    assert process.wait(20) == 0, "the service stops gracefully"


@pytest.fixture
def account(service: str) -> Callable[[], httpx.Client]:
    """Opens accounts; each comes as a client that is logged in."""

    def open_account() -> httpx.Client:
        email = f"user{time.monotonic_ns()}@example.com"
        password = "correct horse battery"
        made = httpx.post(
            f"{service}/accounts", json={"email": email, "name": "Somebody", "password": password}
        )
        assert made.status_code == 201, made.text
        token = httpx.post(
            f"{service}/token", data={"username": email, "password": password}
        ).json()["access_token"]
        client = httpx.Client(base_url=service, headers={"Authorization": f"Bearer {token}"})
        clients.append(client)
        return client

    clients: list[httpx.Client] = []
    yield open_account
    for client in clients:
        client.close()


@pytest.fixture
def client(account: Callable[[], httpx.Client]) -> httpx.Client:
    """An account of the test's own."""
    return account()
