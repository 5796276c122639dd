"""Alembic's plugin, as its versions take it."""

from __future__ import annotations

from types import ModuleType

from alembic.operations import Operations

from liftlock import alembic_plugin


def test_it_is_a_module_that_one_can_go_through() -> None:
    """Alembic 1.18 iterates over what it loads, and later versions warn of what isn't a module."""
    assert isinstance(alembic_plugin, ModuleType)
    assert list(alembic_plugin) == [alembic_plugin]  # type: ignore[call-overload]
    alembic_plugin.setup(None)
    assert hasattr(Operations, "backfill")
