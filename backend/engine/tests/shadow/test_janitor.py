"""Tests of which roles the janitor drops, without a server."""

from __future__ import annotations

import pytest

from liftlock.shadow.janitor import FIRST, HIDDEN, is_created_in


@pytest.mark.parametrize(
    ("role", "text", "created"),
    [
        ("app", "DO $$ BEGIN CREATE ROLE app; END $$", True),
        ("app", "create  user APP", True),
        ("app", 'CREATE ROLE "app" LOGIN', True),
        ("app", "CREATE GROUP app;", True),
        ("app", "CREATE ROLE app_reader", False),
        ("app", "GRANT app TO me", False),
        (f"{HIDDEN}app", "CREATE ROLE app", True),
        (f"{HIDDEN}{FIRST}app", "CREATE ROLE app", True),
        ("a.b", 'CREATE ROLE "axb"', False),
    ],
)
def test_role_created_by_a_revision(role: str, text: str, *, created: bool) -> None:
    """Only such roles are dropped; other new roles on the server aren't the shadow's."""
    assert is_created_in(role, ["", text]) is created
