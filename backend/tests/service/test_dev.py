"""`make up`, without make."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
from recaller_helpers import BACKEND, free_port, until


def start(folder: Path, port: str) -> subprocess.Popen[bytes]:
    """Start the launcher, and wait until the service is ready."""
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

    def ready() -> bool:
        assert launcher.poll() is None, "the launcher ended"
        return is_ready(port)

    until(ready, 120, "the service is ready")
    return launcher


def is_ready(port: str) -> bool:
    """Tell whether the service is ready."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/ready").is_success
    except httpx.TransportError:
        return False


def is_listening(port: str) -> bool:
    """Tell whether a process listens on the service's port."""
    try:
        httpx.get(f"http://127.0.0.1:{port}/health/live")
    except httpx.TransportError:
        return False
    return True


def test_service_ends_when_its_launcher_is_killed(tmp_path: Path) -> None:
    """Otherwise the next start finds the port taken, by a service whose database is gone."""
    port = free_port()
    launcher = start(tmp_path, port)
    launcher.kill()
    launcher.wait()
    until(lambda: not is_listening(port), 30, "the service has ended")
    second = start(tmp_path, port)
    second.send_signal(signal.SIGTERM)
    assert second.wait(30) == 0
