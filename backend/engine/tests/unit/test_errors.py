from __future__ import annotations

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

import liftlock
from liftlock.errors import NotNow, SettingsError, StepFailed, UnsafeRevision
from liftlock.execution.database_errors import connection_lost


def test_each_family_has_its_exit_code() -> None:
    """Kubernetes' podFailurePolicy relies on them."""
    codes = {
        family: family.exit_code for family in (SettingsError, UnsafeRevision, NotNow, StepFailed)
    }
    assert list(codes.values()) == [2, 3, 4, 5]


def test_a_message_says_what_why_and_what_now() -> None:
    """In this order, under its code."""
    error = NotNow("LL-X", "It happened.", why="It matters.", now="Do this.")
    assert str(error) == "LL-X  It happened.\n  It matters.\n  Do this."
    assert error.as_dict()["exit"] == 4


def test_the_package_names_its_public_parts() -> None:
    """What is imported from the top is what is promised."""
    assert set(liftlock.__all__) == {
        "LiftlockError",
        "NotNow",
        "SettingsError",
        "StepFailed",
        "UnsafeRevision",
        "__version__",
        "allow",
    }


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        (
            "sending query failed: terminating connection due to administrator command\nanother command is already in progress",
            True,
        ),
        ("connection socket closed", True),
        (
            "sending query and params failed: number of parameters must be between 0 and 65535",
            False,
        ),
        (
            'connection failed: connection to server at "127.0.0.1", port 1 failed: Connection refused',
            False,
        ),
    ],
)
def test_a_connection_that_was_lost_is_known_by_its_words_too(text: str, lost: bool) -> None:
    """While the driver hasn't noticed yet; what was never connected, or is the client's own mistake, is something else."""
    assert connection_lost(OperationalError(None, None, psycopg.OperationalError(text))) is lost
