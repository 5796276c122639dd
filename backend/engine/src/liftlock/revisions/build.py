"""The database and the schema that this build needs.

A service imports this module at its start, so Alembic is imported only if its files are needed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

from liftlock.errors import SettingsError, no_address
from liftlock.model.manifest import Manifest
from liftlock.postgres.standing import Build
from liftlock.settings import Address, Settings

_DEFAULT_VERSION_TABLE = "alembic_version"


def address_of(settings: Settings) -> Address:
    """Return the database's address, from the environment or from ``alembic.ini``.

    Raises:
        SettingsError: neither names it.
    """
    if settings.address is not None:
        return settings.address
    address = _address_in_file(settings.config)
    if address is not None:
        return address
    raise no_address()


def build_of(settings: Settings) -> Build:
    """Return the schema that this build needs, from the manifest or else from the revision files.

    Raises:
        LiftlockError: the manifest or the files can't be read.
    """
    manifest = read_manifest(settings)
    if manifest is None:
        return _build_of_files(settings.config)
    return Build(manifest.version_table, manifest.chain, manifest.required)


def required_revisions(settings: Settings) -> frozenset[str]:
    """Return the revisions that a database must have for this build.

    Raises:
        LiftlockError: neither the manifest nor the revision files can be read.
    """
    return build_of(settings).required


def read_manifest(settings: Settings) -> Manifest | None:
    """Return the manifest; None if there is none, or if it is of other revision files.

    Raises:
        SettingsError: it exists and can't be read.
    """
    path = Path(settings.manifest)
    try:
        manifest = Manifest.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            "LL-MANIFEST-UNREADABLE",
            f"The manifest {path} can't be used: {error}.",
            why="It is unknown which revisions this build needs.",
            now="Create it again:\n  liftlock bake",
        ) from error
    return manifest if _matches(manifest.files, path.parent) else None


def _address_in_file(config_path: str) -> Address | None:
    if not Path(config_path).exists():
        return None
    from liftlock.revisions.project import configure, url_of  # noqa: PLC0415 - see the module

    return url_of(configure(config_path))


def _build_of_files(config_path: str) -> Build:
    from liftlock.revisions.project import load  # noqa: PLC0415 - see the module

    project = load(config_path)
    project.head("head")
    return Build(_DEFAULT_VERSION_TABLE, project.chain, project.chain.heads)


def _matches(sizes: Mapping[str, int], root: Path) -> bool:
    """Return whether the revision files are those of a manifest, by their names and sizes.

    Parameters:
        sizes: the sizes of its files in bytes, by their paths.
        root: the folder that the paths are relative to.
    """
    folders = {(root / path).parent for path in sizes}
    with contextlib.suppress(OSError):
        present = [path for folder in folders for path in folder.glob("*.py")]
        revisions = {str(path.relative_to(root)) for path in present if path.name != "__init__.py"}
        has_same_sizes = all((root / path).stat().st_size == size for path, size in sizes.items())
        return revisions == set(sizes) and has_same_sizes
    return False
