"""Alembic's plugin: with liftlock installed, Alembic's own command line has ``op.backfill`` too.

Alembic 1.18 iterates over what the entry point loads, as if it were a collection of modules; later
versions want a single module (https://github.com/sqlalchemy/alembic/issues/1873). So this is a
module over which one can iterate.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType

from liftlock.revisions import op_backfill

__all__ = ["op_backfill", "setup"]


class _Plugin(ModuleType):
    """A module that is also a collection of itself."""

    def __iter__(self) -> Iterator[ModuleType]:
        yield self


def setup(_plugin: object) -> None:
    """Do nothing: the import of this module has registered ``op.backfill``."""


sys.modules[__name__].__class__ = _Plugin
