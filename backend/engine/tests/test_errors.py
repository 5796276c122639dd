"""Families of errors, and the parts of their messages."""

from __future__ import annotations

import pytest

from liftlock.errors import LiftlockError, NotNow, SettingsError, StepFailed, UnsafeRevision


@pytest.mark.parametrize(
    ("family", "exit_code"),
    [(SettingsError, 2), (UnsafeRevision, 3), (NotNow, 4), (StepFailed, 5)],
)
def test_exit_code_of_a_family(family: type[LiftlockError], exit_code: int) -> None:
    """The podFailurePolicy of a Kubernetes job relies on these numbers."""
    assert family.exit_code == exit_code


def test_message_has_code_then_what_why_and_now() -> None:
    """One part a line, indented under the code."""
    error = NotNow("LL-X", "It happened.", why="It matters.", now="Do this.")
    assert str(error) == "LL-X  It happened.\n  It matters.\n  Do this."


def test_message_leaves_out_an_empty_reason() -> None:
    """There is no empty line for it."""
    assert str(NotNow("LL-X", "It happened.", now="Do this.")) == "LL-X  It happened.\n  Do this."


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
    }
