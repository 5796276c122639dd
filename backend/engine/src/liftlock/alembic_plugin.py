"""Alembic's plugin: with this package installed, Alembic's own command line knows ``op.backfill`` too.

Alembic 1.18 goes through what the entry point loads, as if it were a collection of modules; later versions want a single
module (https://github.com/sqlalchemy/alembic/issues/1873). So this is a module that one can go through.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType

from liftlock.revisions import op_backfill  # noqa: F401 - makes op.backfill known


class _Plugin(ModuleType):
    def __iter__(self) -> Iterator[ModuleType]:
        yield self


def setup(_plugin: object) -> None:
    """Do nothing more: the import was enough."""


sys.modules[__name__].__class__ = _Plugin
