"""Build each overlay of deploy/kubernetes with kustomize, and validate the result."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
OVERLAYS = ROOT / "deploy" / "kubernetes" / "overlays"
BIN = ROOT / "backend" / ".venv" / "bin"
VERSIONS = ("1.31", "1.37")
"""The oldest one, in which podFailurePolicy became stable, and the newest one.

The newest one is the lower bound of kubernetes-validate in backend/pyproject.toml: a release of it
has the schemas up to its own version. Raise both together.
"""


def check(overlay: Path) -> str:
    """Return the errors of kustomize or of the validator, or nothing."""
    built = subprocess.run(
        [BIN / "kubectl", "kustomize", str(overlay)], capture_output=True, text=True, check=False
    )
    if built.returncode:
        return built.stderr
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(built.stdout)
        file.flush()
        for version in VERSIONS:
            command = [BIN / "kubernetes-validate", "--strict", "--quiet", "-k", version, file.name]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                return f"Kubernetes {version}: {done.stdout}{done.stderr}"
    return ""


def main() -> int:
    """Check all overlays; return 0 if none has errors."""
    errors = {overlay.name: check(overlay) for overlay in sorted(OVERLAYS.iterdir())}
    sys.stderr.writelines(f"{name}: {text}\n" for name, text in errors.items() if text)
    return 1 if any(errors.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
