"""The private names of Alembic and SQLAlchemy that liftlock uses, in the installed versions."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy.dialects.postgresql import psycopg2
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.pool.base import _ConnectionFairy

import liftlock.revisions
from liftlock.revisions import patches
from liftlock.revisions.patches import PATCHES, Patch

_FOLDER = Path(liftlock.revisions.__path__[0])
_REVISION = """revision = "{}"
down_revision = {}
branch_labels = {}
depends_on = {}
"""


def _is_known(owner: type, name: str) -> bool:
    """Return whether a class has an attribute, or annotates it, or sets it in ``__init__``."""
    if hasattr(owner, name):
        return True
    return any(
        name in vars(base).get("__annotations__", {})
        or name in getattr(getattr(base, "__init__", None), "__code__", _is_known.__code__).co_names
        for base in owner.__mro__
    )


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: "/".join(patch.names)[:60])
def test_installed_versions_have_the_names(patch: Patch) -> None:
    """A version that renames one of them is found here, not by a user."""
    known = [name for name in patch.names if _is_known(patch.owner, name)]
    if patch.owner is _ConnectionFairy:
        assert known  # the versions have different names
    else:
        assert known == list(patch.names)


def test_unknown_names_are_found() -> None:
    """The test above can fail."""
    assert not _is_known(ScriptDirectory, "_renamed")


def test_each_name_is_listed_once() -> None:
    """One entry has the reason for a name."""
    names = [(patch.owner, name) for patch in PATCHES for name in patch.names]
    assert len(names) == len(set(names))
    assert all(patch.reason for patch in PATCHES)


def test_parents_are_identifiers(tmp_path: Path) -> None:
    """A file may name the parents as a string or a tuple, and dependencies by a branch label."""
    versions = tmp_path / "versions"
    versions.mkdir()
    for identifier, *values in [
        ("a1", None, None, None),
        ("b2", "a1", None, None),
        ("c3", "a1", None, None),
        ("d4", ("b2", "c3"), "shop", None),
        ("e5", None, None, "shop"),
    ]:
        text = _REVISION.format(identifier, *map(repr, values))
        (versions / f"{identifier}.py").write_text(text)
    directory = ScriptDirectory(str(tmp_path))
    scripts = {script.revision: script for script in directory.walk_revisions()}
    assert patches.parents_of(scripts["a1"]) == ()
    assert patches.parents_of(scripts["b2"]) == ("a1",)
    assert patches.parents_of(scripts["d4"]) == ("b2", "c3")
    assert patches.dependencies_of(scripts["d4"]) == ()
    assert patches.dependencies_of(scripts["e5"]) == ("d4",)


def test_version_folders(tmp_path: Path) -> None:
    """Without ``version_locations``, Alembic reads the folder ``versions``."""
    default = ScriptDirectory(str(tmp_path))
    assert patches.version_folders(default) == (tmp_path / "versions",)
    folders = (tmp_path / "first", tmp_path / "second")
    several = ScriptDirectory(str(tmp_path), version_locations=[str(path) for path in folders])
    assert patches.version_folders(several) == folders


def test_drivers_that_need_doubled_percent_signs() -> None:
    """Those that write parameters as ``%s`` or ``%(name)s`` do."""
    assert patches.doubles_percent_signs(psycopg2.dialect().identifier_preparer)
    assert not patches.doubles_percent_signs(DefaultDialect().identifier_preparer)
