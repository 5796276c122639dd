"""Families of errors, and the parts of their messages."""

from __future__ import annotations

import pytest

from liftlock.errors import (
    DOCS,
    LiftlockError,
    NotNow,
    SettingsError,
    StepFailed,
    UnsafeRevision,
    no_address,
)


@pytest.mark.parametrize(
    ("family", "exit_code"),
    [(SettingsError, 2), (UnsafeRevision, 3), (NotNow, 4), (StepFailed, 5)],
)
def test_exit_code_of_a_family(family: type[LiftlockError], exit_code: int) -> None:
    """The podFailurePolicy of a Kubernetes job relies on these numbers."""
    assert family.exit_code == exit_code


def test_message_has_code_then_what_why_now_and_docs() -> None:
    """One part a line, indented under the code."""
    error = NotNow("LL-X", "It happened.", why="It matters.", now="Do this.")
    assert str(error).splitlines() == [
        "LL-X  It happened.",
        "  It matters.",
        "  Do this.",
        f"  docs: {DOCS}#ll-x",
    ]


def test_message_leaves_out_an_empty_reason() -> None:
    """There is no empty line for it."""
    error = NotNow("LL-X", "It happened.", now="Do this.")
    assert str(error).splitlines()[1] == "  Do this."


def test_error_as_dict() -> None:
    """The same parts, for ``--format json``."""
    error = NotNow("LL-X", "It happened.", why="It matters.", now="Do this.")
    assert error.as_dict() == {
        "error": "LL-X",
        "family": "NotNow",
        "exit": 4,
        "what": "It happened.",
        "why": "It matters.",
        "now": "Do this.",
        "docs": f"{DOCS}#ll-x",
    }


def test_missing_address_names_the_variables() -> None:
    """Two modules raise it, with the same remedy."""
    assert no_address().code == "LL-NO-ADDRESS"
    assert "POSTGRES_SERVER" in no_address().now
    assert "DATABASE_URL" in no_address().now
