"""`make up`, without make."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
from recaller_helpers import BACKEND

from liftlock.shadow import embedded


def start(folder: Path, port: str) -> subprocess.Popen[bytes]:
    """Start it, and wait until it is ready."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("POSTGRES_", "DATABASE_URL"))
    }
    variables = {
        **kept,
        "RECALLER_DATA": str(folder),
        "RECALLER_PORT": port,
        "RECALLER_HOST": "127.0.0.1",
    }
    launcher = subprocess.Popen([sys.executable, "-m", "recaller.dev"], cwd=BACKEND, env=variables)
    end = time.monotonic() + 60
    while not answers(port):
        assert launcher.poll() is None, "it ended"
        assert time.monotonic() < end, "it didn't start"
        time.sleep(0.2)
    return launcher


def answers(port: str) -> bool:
    """Whether it is ready."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/ready").is_success
    except httpx.TransportError:
        return False


def listens(port: str) -> bool:
    """Whether anything does."""
    try:
        httpx.get(f"http://127.0.0.1:{port}/health/live")
    except httpx.TransportError:
        return False
    return True


def test_when_it_is_killed_the_service_goes_with_it(tmp_path: Path) -> None:
    """Else the next start would find its port taken, by a service whose database is gone."""
    port = str(embedded.free_ports()[0])
    launcher = start(tmp_path, port)
    launcher.kill()
    launcher.wait()
    end = time.monotonic() + 30
    while listens(port):
        assert time.monotonic() < end, "the service was left"
        time.sleep(0.2)
    again = start(tmp_path, port)
    again.send_signal(signal.SIGTERM)
    assert again.wait(30) == 0
