"""Identifiers that Alembic's version table can't hold."""

from __future__ import annotations

import pytest

from liftlock.commands.bake import refuse_long_identifiers
from liftlock.errors import UnsafeRevision


def test_long_identifier_is_refused() -> None:
    """The column has 32 characters."""
    refuse_long_identifiers(["x" * 32])
    with pytest.raises(UnsafeRevision, match="33 characters"):
        refuse_long_identifiers(["a", "x" * 33])
