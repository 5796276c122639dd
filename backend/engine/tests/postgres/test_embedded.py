"""The server of our own."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import PASSWORD, connected

from liftlock.errors import NotNow
from liftlock.postgres import embedded
from liftlock.settings import Address


def test_a_port_that_somebody_else_takes_meanwhile(server: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another server that answers there, by the same password even, isn't taken for it; a further port is."""
    free, ports = embedded.free_port, iter([int(server.port)])
    monkeypatch.setattr(embedded, "free_port", lambda: next(ports, None) or free())
    with embedded.serve(tmp_path / "mine" / "data", PASSWORD) as address:
        assert address.port != server.port
        with connected(address) as session:
            found = session.execute("SHOW data_directory").fetchone()
        assert found is not None
        assert str(tmp_path) in found[0]


def test_a_port_that_was_asked_for_and_is_taken(server: Address, tmp_path: Path) -> None:
    """It says so."""
    with (
        pytest.raises(NotNow, match="Address already in use"),
        embedded.serve(tmp_path / "mine" / "data", PASSWORD, port=int(server.port)),
    ):
        pass
