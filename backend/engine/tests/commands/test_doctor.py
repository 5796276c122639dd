"""Results of ``liftlock doctor``."""

from __future__ import annotations

from liftlock.commands.doctor import Diagnosis


def test_diagnosis_without_remedy_is_ok() -> None:
    """A good result needs no action."""
    assert Diagnosis("server", "PostgreSQL 18").ok
    assert not Diagnosis("server", "PostgreSQL 12", "Upgrade it.").ok


def test_diagnosis_as_json() -> None:
    """Programs read the result from ``ok``."""
    assert Diagnosis("server", "PostgreSQL 12", "Upgrade it.").as_dict() == {
        "topic": "server",
        "text": "PostgreSQL 12",
        "remedy": "Upgrade it.",
        "ok": False,
    }
