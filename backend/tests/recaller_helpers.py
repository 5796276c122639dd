"""What the tests of the service share."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from liftlock.settings import Address

BACKEND = Path(__file__).parents[1]
PASSWORD = "p@ss/w%rd:#'\""
"""A password may hold any character."""


def run(address: Address, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the backend's folder, as an operator would."""
    env = environment(address, **more)
    return subprocess.run(
        command, cwd=BACKEND, env=env, capture_output=True, text=True, timeout=120, check=False
    )


def environment(address: Address, **more: str) -> dict[str, str]:
    """The variables of the migration guide, and this environment's programs."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {
        **os.environ,
        **address.environ(),
        "PATH": path,
        "LIFTLOCK_MANIFEST": "/nowhere",
        **more,
    }
