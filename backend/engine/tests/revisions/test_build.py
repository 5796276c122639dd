"""The manifest of a build, and its files."""

from __future__ import annotations

from pathlib import Path

import pytest

from liftlock.errors import SettingsError
from liftlock.model.manifest import Manifest
from liftlock.model.revision import Chain, Revision
from liftlock.revisions.build import address_of, build_of, read_manifest
from liftlock.settings import Settings

CHAIN = Chain.of([Revision("a")])


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a project with one revision, and a manifest of it."""
    (tmp_path / "versions").mkdir()
    (tmp_path / "versions" / "a.py").write_text("12345")
    (tmp_path / "versions" / "__init__.py").touch()
    manifest = Manifest("app.version", CHAIN, frozenset({"a"}), {"versions/a.py": 5}, {}, {}, "")
    path = tmp_path / "liftlock.json"
    path.write_text(manifest.dumps())
    return Settings(
        {"LIFTLOCK_MANIFEST": str(path), "ALEMBIC_CONFIG": str(tmp_path / "alembic.ini")}
    )


def test_manifest_of_the_same_files_is_used(settings: Settings) -> None:
    """The revision files aren't loaded then."""
    build = build_of(settings)
    assert build.version_table == "app.version"
    assert build.required == {"a"}


@pytest.mark.parametrize("change", ["changed", "added", "removed"])
def test_manifest_of_other_files_is_not_used(
    settings: Settings, tmp_path: Path, change: str
) -> None:
    """A file's size differs, or there are more or fewer files."""
    file = tmp_path / "versions" / "a.py"
    if change == "changed":
        file.write_text("123456")
    elif change == "added":
        (tmp_path / "versions" / "b.py").touch()
    else:
        file.unlink()
    assert read_manifest(settings) is None


def test_manifest_is_missing(settings: Settings) -> None:
    """Builds without one load their revision files."""
    Path(settings.manifest).unlink()
    assert read_manifest(settings) is None


@pytest.mark.parametrize("text", ["", "{}", '{"format": 1}', '{"format": 0}'])
def test_manifest_is_unreadable(settings: Settings, text: str) -> None:
    """The remedy is the command that creates it."""
    Path(settings.manifest).write_text(text)
    with pytest.raises(SettingsError) as raised:
        read_manifest(settings)
    assert raised.value.code == "LL-MANIFEST-UNREADABLE"
    assert settings.manifest in raised.value.what
    assert raised.value.now.endswith("\n  liftlock bake")


def test_address_comes_from_the_environment_or_from_alembic_ini(
    settings: Settings, tmp_path: Path
) -> None:
    """The environment comes first."""
    with pytest.raises(SettingsError):
        address_of(settings)
    ini = tmp_path / "alembic.ini"
    ini.write_text("[alembic]\nsqlalchemy.url = postgresql://app@db/shop\n")
    assert repr(address_of(settings)) == "app@db:5432/shop"
    from_environment = Settings(
        {"ALEMBIC_CONFIG": str(ini), "DATABASE_URL": "postgresql://other@db/shop"}
    )
    assert repr(address_of(from_environment)) == "other@db:5432/shop"
