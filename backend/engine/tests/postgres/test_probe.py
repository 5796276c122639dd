from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from helpers import PASSWORD, at, connected, standby_of

from liftlock.postgres.probe import ProbeResult, diagnose, probe, reason_of
from liftlock.settings import Address
from liftlock.shadow import embedded

pytestmark = pytest.mark.server

SECONDS = 5.0
"""A problem must be reported soon."""


def verdict(address: Address, *, writable: bool = True) -> str:
    """Return the kind of the problem; its message must not contain the password."""
    started = time.monotonic()
    result = probe(address, writable=writable)
    assert time.monotonic() - started < SECONDS
    if result is None:
        return "none"
    assert PASSWORD not in result.text + str(result.error())
    return result.trouble.kind


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (
            'could not translate host name "ssl-db" to address: Name or service not known',
            "no such host",
        ),
        ("connection refused", "refused"),
        ("FATAL:  the database system is starting up", "starting up"),
        ("FATAL:  sorry, too many clients already", "too many connections"),
        (
            'server at "ssl-db": FATAL:  password authentication failed for user "ssl"',
            "wrong password",
        ),
        ('FATAL:  database "role " does not exist', "no such database"),
        ('FATAL:  role "database" does not exist', "no such role"),
        (
            'FATAL:  no pg_hba.conf entry for host "1.2.3.4", user "u", no encryption',
            "not admitted",
        ),
        ("server does not support SSL, but SSL was required", "TLS trouble"),
        ("SSL error: certificate verify failed", "TLS trouble"),
        ("connection timeout expired", "no answer"),
        ("unsupported startup parameter: options", "pooler in transaction mode"),
        ("FATAL:  Passwort-Authentifizierung fehlgeschlagen", "unknown"),
    ],
)
def test_problems_are_identified_by_the_message(words: str, kind: str) -> None:
    """Of libpq or the server; names in quotes don't count."""
    assert diagnose(psycopg.OperationalError(words)).kind == kind


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (
            'connection to server at "db", port 5432 failed: Connection refused\n\tIs it running?',
            "Connection refused",
        ),
        (
            'connection to server at "db" failed: FATAL:  password authentication failed for "u"',
            ' password authentication failed for "u"',
        ),
        ("timeout expired", "timeout expired"),
        ("several lines\nthe last", "the last"),
        ("", "no message"),
    ],
)
def test_the_reason_is_shown_without_the_address(message: str, reason: str) -> None:
    """The error names the address itself."""
    assert reason_of(psycopg.OperationalError(message)) == reason


@pytest.mark.parametrize(
    ("words", "exit_code", "code"),
    [("connection refused", 4, "LL-REFUSED"), ("no password supplied", 2, "LL-WRONG-PASSWORD")],
)
def test_a_temporary_problem_asks_for_another_attempt(
    words: str, exit_code: int, code: str
) -> None:
    """A permanent one asks for a change of the settings."""
    address = Address(host="db", port="5432", user="shop", password=PASSWORD, dbname="shop")
    result = ProbeResult(diagnose(psycopg.OperationalError(words)), address, words)
    error = result.error(waited=30)
    assert (error.exit_code, error.code) == (exit_code, code)
    assert error.what.endswith(f": shop@db:5432/shop (waited 30 s)\n{words}")


def test_a_usable_database_has_no_problem(database: Address) -> None:
    """Its password is full of special characters."""
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
def test_wrong_addresses(server: Address, changes: dict[str, str], kind: str) -> None:
    """The host, the port, the password and the database."""
    assert verdict(at(server, **{"dbname": "postgres", **changes})) == kind


def test_a_server_without_tls_if_tls_is_required(server: Address) -> None:
    """POSTGRES_SSLMODE=require."""
    address = at(server, "postgres")
    address.options["sslmode"] = "require"
    assert verdict(address) == "TLS trouble"


def test_a_role_at_its_connection_limit(server: Address) -> None:
    """The problem may be temporary."""
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
    """A server that trusts the missing role `ghost`, and rejects all users of `closed`."""
    folder = tmp_path_factory.mktemp("open")
    data = folder / "data"
    with embedded.serve(data, PASSWORD) as address, connected(address) as session:
        rules = data / "pg_hba.conf"
        lines = rules.read_text()
        rules.write_text(
            "host all ghost all trust\n"
            "host replication all all trust\n"
            "host closed all all reject\n" + lines
        )
        session.execute("SELECT pg_reload_conf()")
        time.sleep(0.5)
        yield address


def test_a_role_that_does_not_exist(open_server: Address) -> None:
    """A server that asks for no password reports it."""
    assert verdict(at(open_server, "postgres", user="ghost")) == "no such role"


def test_a_server_that_rejects_the_connection(open_server: Address) -> None:
    """The reason is in pg_hba.conf."""
    assert verdict(at(open_server, "closed")) == "not admitted"


@pytest.fixture(scope="module", params=["on", "off"])
def standby(
    request: pytest.FixtureRequest, open_server: Address, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Address]]:
    """A real standby; with hot_standby off it accepts no connection."""
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


def test_a_standby_is_a_problem_for_writes_only(standby: tuple[str, Address]) -> None:
    """A standby without hot_standby seems to be starting up."""
    hot, address = standby
    assert verdict(address) == ("read-only standby" if hot == "on" else "starting up")
    assert verdict(address, writable=False) == ("none" if hot == "on" else "starting up")


@contextlib.contextmanager
def pgbouncer(server: Address, folder: Path, mode: str) -> Iterator[Address]:
    """Start PgBouncer in front of a server."""
    port = str(embedded.free_ports()[0])
    quoted = (server.password or "").replace('"', '""')
    (folder / "users.txt").write_text(f'"{server.user}" "{quoted}"\n')
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n* = host={server.host} port={server.port}\n[pgbouncer]\n"
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = scram-sha-256\nauth_file = {folder}/users.txt\npool_mode = {mode}\n"
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
def test_a_pooler_is_a_problem_in_transaction_mode(
    server: Address, tmp_path: Path, mode: str, kind: str
) -> None:
    """In transaction mode, session settings and advisory locks would be lost."""
    with pgbouncer(server, tmp_path, mode) as address:
        assert [verdict(address) for _ in range(3)] == [kind] * 3
