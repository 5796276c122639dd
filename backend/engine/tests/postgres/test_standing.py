from __future__ import annotations

from datetime import UTC, datetime

import pytest

from liftlock.model.revision import Revision, SchemaState
from liftlock.model.step import Phase
from liftlock.postgres.applied import AppliedRevision
from liftlock.postgres.standing import Status, unknown_revision

NEWER = AppliedRevision(
    Revision("c3", ("b2",), (), "add a column"),
    Phase.EXPAND,
    datetime(2024, 1, 2, 3, 4, tzinfo=UTC),
    1.23456,
    "migrator on host-1 (v7)",
)


def status(state: SchemaState, unfinished: str = "", pending: str = "") -> Status:
    """Return a status."""
    return Status(
        state,
        current=frozenset({"a1"}),
        required=frozenset({"b2"}),
        pending=frozenset(pending),
        newer=(NEWER,),
        applied=(NEWER,),
        unfinished=unfinished,
    )


@pytest.mark.parametrize(
    ("state", "unfinished", "satisfied"),
    [
        (SchemaState.HEAD, "", True),
        (SchemaState.NEWER, "", True),
        (SchemaState.BEHIND, "", False),
        (SchemaState.FOREIGN, "", False),
        (SchemaState.HEAD, "upgrade of c3", True),
        (SchemaState.HEAD, "downgrade of b2", False),
    ],
)
def test_a_database_satisfies_a_build_at_its_revision_or_after_it(
    state: SchemaState, unfinished: str, *, satisfied: bool
) -> None:
    """An unfinished downgrade has removed some of it already."""
    assert status(state, unfinished).satisfied is satisfied


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (status(SchemaState.HEAD), "The database is at a1, as this build needs it."),
        (
            status(SchemaState.BEHIND, pending="b"),
            "The database is at a1; this build needs b2: 1 revision is pending.",
        ),
        (
            status(SchemaState.BEHIND, pending="bc"),
            "The database is at a1; this build needs b2: 2 revisions are pending.",
        ),
        (
            status(SchemaState.NEWER),
            (
                "The database is newer than this build: it has b2, and since then c3 (add a"
                " column), 2024-01-02 03:04, by migrator on host-1 (v7)."
            ),
        ),
        (
            status(SchemaState.FOREIGN),
            (
                "The database is at a1, which this build doesn't contain, and the ledger has no"
                " record of how that follows b2, which this build needs."
            ),
        ),
        (
            status(SchemaState.HEAD, "upgrade of b2"),
            (
                "The database is at a1, as this build needs it.\nThe upgrade of b2 was begun and"
                " isn't finished: the schema is between two revisions."
            ),
        ),
    ],
)
def test_a_status_is_described_in_one_or_two_lines(given: Status, text: str) -> None:
    """With the revisions of both sides."""
    assert given.describe() == text


def test_a_status_for_programs_keeps_its_keys() -> None:
    """Scripts read ``liftlock status --json``."""
    assert list(status(SchemaState.HEAD).as_dict()) == [
        "standing",
        "satisfied",
        "current",
        "required",
        "unfinished",
        "pending",
        "newer",
        "applied",
    ]
    assert NEWER.as_dict() == {
        "revision": "c3",
        "message": "add a column",
        "phase": "expand",
        "applied_at": "2024-01-02T03:04:00+00:00",
        "seconds": 1.235,
        "by": "migrator on host-1 (v7)",
    }


def test_an_unknown_revision_names_both_sides() -> None:
    """It names the revisions of the database and those that the build needs."""
    error = unknown_revision({"z9", "y8"}, {"b2"})
    assert error.code == "LL-UNKNOWN-REVISION"
    assert error.what.startswith("The database is at y8, z9, which this build doesn't contain")
    assert "b2" in error.what
    assert error.now.startswith("Use the build that contains y8, z9.")
    assert "no revision" in unknown_revision({"z9"}, ()).what
