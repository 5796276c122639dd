"""Build each overlay of deploy/kubernetes with kustomize and validate what it makes."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
OVERLAYS = ROOT / "deploy" / "kubernetes" / "overlays"
BIN = ROOT / "backend" / ".venv" / "bin"
VERSIONS = ("1.31", "1.37")
"""podFailurePolicy is stable since 1.31."""


def check(overlay: Path) -> str:
    """The words of kustomize or of the validator; none when all is well."""
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
    """Check all overlays."""
    found = {overlay.name: check(overlay) for overlay in sorted(OVERLAYS.iterdir())}
    sys.stderr.writelines(f"{name}: {words}\n" for name, words in found.items() if words)
    return 1 if any(found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
