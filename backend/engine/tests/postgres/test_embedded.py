"""The server of our own."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import psycopg
import pytest
from helpers import PASSWORD, connected

from liftlock.errors import NotNow
from liftlock.settings import Address
from liftlock.shadow import embedded

pytestmark = pytest.mark.server


def test_a_port_that_somebody_else_takes_meanwhile(server: Address, tmp_path: Path) -> None:
    """Another server that answers there, by the same password even, isn't taken for it; a further port is."""
    with embedded.serve(
        tmp_path / "mine" / "data", PASSWORD, ports=[int(server.port), *embedded.free_ports()]
    ) as address:
        assert address.port != server.port
        with connected(address) as session:
            found = session.execute("SHOW data_directory").fetchone()
        assert found is not None
        assert str(tmp_path) in found[0]


def test_a_port_that_was_asked_for_and_is_taken(server: Address, tmp_path: Path) -> None:
    """It says so."""
    with (
        pytest.raises(NotNow, match="Address already in use"),
        embedded.serve(tmp_path / "mine" / "data", PASSWORD, ports=[int(server.port)]),
    ):
        pass


def test_one_that_is_shutting_down_is_outlasted(tmp_path: Path) -> None:
    """As after its launcher was killed: the next start waits for its end, instead of failing."""
    data = tmp_path / "data"
    with embedded.serve(data, "p") as first:
        session = psycopg.connect(**first.keywords())  # type: ignore[arg-type]
        postmaster = int((data / "postmaster.pid").read_text().split()[0])
        os.kill(postmaster, signal.SIGTERM)  # it waits for its sessions
        later = threading.Timer(2, session.close)
        later.start()
        with embedded.serve(data, "p") as second, psycopg.connect(**second.keywords()) as again:  # type: ignore[arg-type]
            assert again.execute("SELECT 1").fetchone() == (1,)
        later.join()
