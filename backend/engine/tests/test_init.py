"""The package's public names, and the imports that they cost."""

from __future__ import annotations

import subprocess
import sys

import pytest

import liftlock

HEAVY = ("alembic", "click", "contextlib", "ctypes", "psycopg", "sqlalchemy", "typing")


def modules_after(statement: str) -> set[str]:
    """Return the modules that a new interpreter has loaded after a statement."""
    program = f"import sys\n{statement}\nprint(*sys.modules, sep='\\n')"
    command = [sys.executable, "-S", "-c", program]
    folder = liftlock.__file__.removesuffix("/liftlock/__init__.py")
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={"PYTHONPATH": folder}
    )
    return set(done.stdout.splitlines())


@pytest.mark.parametrize("name", liftlock.__all__)
def test_public_name_can_be_imported(name: str) -> None:
    """Each name of ``__all__`` has a module that defines it."""
    assert getattr(liftlock, name) is not None


def test_public_names_are_listed_before_they_are_imported() -> None:
    """Editors and ``dir`` show them."""
    assert set(liftlock.__all__) <= set(dir(liftlock))


def test_unknown_name_is_an_attribute_error() -> None:
    """As of any module."""
    with pytest.raises(AttributeError, match="has no attribute 'upgrad'"):
        liftlock.__getattr__("upgrad")  # type: ignore[attr-defined]


def test_import_of_the_package_loads_nothing_heavy() -> None:
    """``liftlock exec`` imports it at every start of a container."""
    loaded = modules_after("import liftlock")
    assert loaded.isdisjoint(HEAVY)
    own = {name for name in loaded if name.startswith("liftlock")}
    assert own == {"liftlock", "liftlock.version"}


def test_settings_are_read_without_heavy_imports() -> None:
    """``liftlock exec`` reads them before it asks the database."""
    assert modules_after("from liftlock import settings").isdisjoint(HEAVY)
