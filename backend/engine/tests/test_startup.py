"""Fast path of ``exec``: command lines and manifests that it understands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from liftlock import startup


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["exec", "--", "python", "-m", "service"], ["python", "-m", "service"]),
        (["exec", "--require", "--", "true"], ["true"]),
        (["exec", "true"], []),
        (["exec", "--"], []),
        (["exec", "--wait", "5", "--", "true"], []),
        (["upgrade"], []),
        ([], []),
    ],
)
def test_command_of_exec(arguments: list[str], command: list[str]) -> None:
    """All other command lines are left to ``cli``."""
    assert startup.command_of_exec(arguments) == command


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """A manifest with two revision files beside it."""
    versions = tmp_path / "versions"
    versions.mkdir()
    for name in ("a.py", "b.py", "__init__.py"):
        (versions / name).write_text(name)
    path = tmp_path / "liftlock.json"
    sizes = {"versions/a.py": 4, "versions/b.py": 4}
    body = {"files": sizes, "version_table": "public.alembic_version", "required": ["b"]}
    path.write_text(json.dumps(body))
    return path


def test_manifest_that_fits_the_files(manifest: Path) -> None:
    """It says what to compare."""
    assert startup.requirement_of(str(manifest)) == ("public.alembic_version", ["b"])


@pytest.mark.parametrize("change", ["added", "removed", "edited"])
def test_manifest_of_other_files_is_not_trusted(manifest: Path, change: str) -> None:
    """Names and sizes are compared."""
    versions = manifest.parent / "versions"
    if change == "added":
        (versions / "c.py").write_text("")
    elif change == "removed":
        (versions / "b.py").unlink()
    else:
        (versions / "b.py").write_text("longer")
    assert startup.requirement_of(str(manifest)) is None


def test_names_are_quoted_for_sql() -> None:
    """Also names with quotes."""
    assert startup.quoted('a"b') == '"a""b"'


def test_error_leaves_the_decision_to_cli(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a manifest there is no fast path."""
    monkeypatch.setenv("LIFTLOCK_MANIFEST", "/nowhere/liftlock.json")
    assert startup.command_to_start(["exec", "--", "true"]) is None
