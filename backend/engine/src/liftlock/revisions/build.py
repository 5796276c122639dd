"""Bring the database to what this build requires, then become the service."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from liftlock.errors import SettingsError, no_address
from liftlock.model.manifest import Manifest
from liftlock.postgres.standing import Build
from liftlock.settings import Address, Settings


def address_of(settings: Settings) -> Address:
    """The database, from the environment or from ``alembic.ini``.

    Raises:
        SettingsError: neither says it.
    """
    if settings.address is not None:
        return settings.address
    if os.path.exists(settings.config):
        from liftlock.revisions.project import configure, url_of

        address = url_of(configure(settings.config))
        if address is not None:
            return address
    raise no_address()


_DEFAULT_TABLE = "alembic_version"


def build_of(settings: Settings) -> Build:
    """What this build needs: from the manifest when there is one that fits the files, else from the files.

    Raises:
        LiftlockError: neither can be read.
    """
    manifest = read_manifest(settings)
    if manifest is not None:
        return Build(manifest.version_table, manifest.chain, manifest.required)
    from liftlock.revisions.project import load

    project = load(settings.config)
    project.head("head")
    return Build(_DEFAULT_TABLE, project.chain, project.chain.heads)


def required_revisions(settings: Settings) -> frozenset[str]:
    """Return the revisions that a database must have for this build.

    Raises:
        LiftlockError: neither the manifest nor the revision files can be read.
    """
    return build_of(settings).required


def read_manifest(settings: Settings) -> Manifest | None:
    """The manifest; None where there is none, or its files are no longer the ones at hand.

    Raises:
        SettingsError: it is there and can't be read.
    """
    path = Path(settings.manifest)
    try:
        manifest = Manifest.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise SettingsError(
            "LL-MANIFEST-UNREADABLE",
            f"The manifest {path} can't be used: {error}.",
            now="Make it again: liftlock bake.",
        ) from error
    return manifest if _fits(manifest.files, path.parent) else None


def _fits(files: Mapping[str, int], folder: Path) -> bool:
    with contextlib.suppress(OSError):
        present = {
            str(path.relative_to(folder))
            for name in files
            for path in (folder / name).parent.glob("*.py")
        }
        return present - {name for name in present if name.endswith("__init__.py")} == set(
            files
        ) and all((folder / name).stat().st_size == size for name, size in files.items())
    return False
