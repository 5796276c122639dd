"""Names of objects without schema and quotes."""

from __future__ import annotations

import pytest

from liftlock.sql import unqualified


@pytest.mark.parametrize(
    ("relation", "name"),
    [
        ("person", "person"),
        ('"user"', "user"),
        ("a.b", "b"),
        ('"a.b".c', "c"),
        ('"a.b"', "a.b"),
        ('x."c.""d"', 'c."d'),
    ],
)
def test_unqualified_name(relation: str, name: str) -> None:
    """Schema and quotes are removed."""
    assert unqualified(relation) == name
