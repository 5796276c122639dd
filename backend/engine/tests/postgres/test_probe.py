"""Every trouble, had for real."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import PASSWORD, at, connected, standby_of

from liftlock.postgres.probe import probe
from liftlock.settings import Address
from liftlock.shadow import embedded

pytestmark = pytest.mark.server

SECONDS = 5.0
"""A generous bound for "within a second"."""


def verdict(address: Address, *, writable: bool = True) -> str:
    """The kind of trouble, which must be told soon."""
    started = time.monotonic()
    found = probe(address, writable=writable)
    assert time.monotonic() - started < SECONDS
    if found is None:
        return "none"
    assert PASSWORD not in found.text + str(found.error())
    return found.trouble.kind


def test_a_usable_database_is_no_trouble(database: Address) -> None:
    """With a password full of special characters."""
    assert verdict(database) == "none"


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"host": "no-such-host.invalid"}, "no such host"),
        ({"port": "1"}, "refused"),
        ({"password": "wrong"}, "wrong password"),
        ({"password": ""}, "wrong password"),
        ({"dbname": "nowhere"}, "no such database"),
    ],
)
def test_addresses_that_are_wrong(server: Address, changes: dict[str, str], kind: str) -> None:
    """Host, port, password, database."""
    assert verdict(at(server, **{"dbname": "postgres", **changes})) == kind


def test_a_server_without_tls(server: Address) -> None:
    """When TLS is required."""
    address = at(server, "postgres")
    address.options["sslmode"] = "require"
    assert verdict(address) == "TLS trouble"


def test_a_role_without_a_free_connection(server: Address) -> None:
    """It may pass, so it is waited for."""
    with connected(server) as session:
        session.execute("CREATE ROLE crowded LOGIN PASSWORD 'p' CONNECTION LIMIT 0")
        try:
            assert (
                verdict(at(server, "postgres", user="crowded", password="p"))
                == "too many connections"
            )
        finally:
            session.execute("DROP ROLE crowded")


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """A server that trusts the role `ghost`, which doesn't exist, and admits nobody to the database `closed`."""
    folder = tmp_path_factory.mktemp("open")
    data = folder / "data"
    with embedded.serve(data, PASSWORD) as address, connected(address) as session:
        rules = data / "pg_hba.conf"
        lines = rules.read_text()
        rules.write_text(
            f"host all ghost all trust\nhost replication all all trust\nhost closed all all reject\n{lines}"
        )
        session.execute("SELECT pg_reload_conf()")
        time.sleep(0.5)
        yield address


def test_a_role_that_does_not_exist(open_server: Address) -> None:
    """A server that asks for no password can tell."""
    assert verdict(at(open_server, "postgres", user="ghost")) == "no such role"


def test_a_server_that_does_not_admit_us(open_server: Address) -> None:
    """By pg_hba.conf."""
    assert verdict(at(open_server, "closed")) == "not admitted"


@pytest.fixture(scope="module", params=["on", "off"])
def standby(
    request: pytest.FixtureRequest, open_server: Address, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Address]]:
    """A real standby; with hot_standby off it never gets past starting up."""
    with standby_of(
        open_server, tmp_path_factory.mktemp("standby"), hot_standby=request.param
    ) as address:
        for _ in range(100):
            if verdict(address, writable=False) == (
                "none" if request.param == "on" else "starting up"
            ):
                break
            time.sleep(0.1)
        yield request.param, address


def test_a_standby_can_be_read_and_not_written(standby: tuple[str, Address]) -> None:
    """And one that isn't open yet is starting up."""
    hot, address = standby
    assert verdict(address) == ("read-only standby" if hot == "on" else "starting up")
    assert verdict(address, writable=False) == ("none" if hot == "on" else "starting up")


@contextlib.contextmanager
def pgbouncer(server: Address, folder: Path, mode: str) -> Iterator[Address]:
    """PgBouncer before a server."""
    port = str(embedded.free_ports()[0])
    quoted = (server.password or "").replace('"', '""')
    (folder / "users.txt").write_text(f'"{server.user}" "{quoted}"\n')
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n* = host={server.host} port={server.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
        f"auth_type = scram-sha-256\nauth_file = {folder}/users.txt\npool_mode = {mode}\nunix_socket_dir =\n"
    )
    command = ["pgbouncer", str(folder / "pgbouncer.ini")]
    if os.geteuid() == 0:
        user = pwd.getpwnam("nobody")
        for path in folder.iterdir():
            os.chown(path, user.pw_uid, user.pw_gid)
        command = [*embedded.as_postgres(str(folder / "x"), folder / "x"), *command]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        address = Address(
            host="127.0.0.1",
            port=port,
            user=server.user,
            password=server.password,
            dbname="postgres",
        )
        for _ in range(50):
            if verdict(address) != "refused":
                break
            time.sleep(0.1)
        yield address
    finally:
        process.kill()
        process.wait()


@pytest.mark.skipif(
    shutil.which("pgbouncer") is None,
    reason="PgBouncer isn't installed (apt-get install pgbouncer)",
)
@pytest.mark.parametrize(
    ("mode", "kind"), [("transaction", "pooler in transaction mode"), ("session", "none")]
)
def test_a_pooler(server: Address, tmp_path: Path, mode: str, kind: str) -> None:
    """In transaction mode it would lose locks and settings; in session mode it is fine."""
    with pgbouncer(server, tmp_path, mode) as address:
        assert [verdict(address) for _ in range(3)] == [kind] * 3
