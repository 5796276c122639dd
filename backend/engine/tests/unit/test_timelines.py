"""How long statements take, and who waits meanwhile."""

from __future__ import annotations

import pytest

from liftlock.broker.table_size import Size
from liftlock.check.formats.html import picture
from liftlock.check.formats.text import felt
from liftlock.check.report import Estimate
from liftlock.check.timeline import MOMENT, blocks, estimated, seconds_taken, timeline
from liftlock.model.lock import LockMode
from liftlock.model.operation import unqualified
from liftlock.model.revision import Revision
from liftlock.shadow.observed import ObservedLock, ObservedStatement, ServerWork
from liftlock.shadow.result import RevisionResult, RunResult

SIZES = {"person": Size(2_000_000_000, 1_000_000, 0), "country": Size(200_000_000, 1_000_000, 0)}
"""10 seconds and 1 to read; and a second for each index, 10 to fill."""
EXCLUSIVE = frozenset({ObservedLock("person", LockMode.ACCESS_EXCLUSIVE)})
WRITES = frozenset({ObservedLock("person", LockMode.ROW_EXCLUSIVE)})


def test_a_lock_is_held_until_its_transaction_ends() -> None:
    """What comes later in the transaction counts, what comes in another doesn't."""
    added = ObservedStatement("ALTER", transaction=1, taken=EXCLUSIVE, held=EXCLUSIVE)
    built = ObservedStatement(
        "CREATE INDEX",
        transaction=1,
        held=EXCLUSIVE,
        work=ServerWork(builds=frozenset({"country"})),
    )
    later = ObservedStatement(
        "CREATE INDEX", transaction=2, work=ServerWork(builds=frozenset({"person"}))
    )
    spans = timeline([added, built, later], SIZES)
    assert [one.waits for one in spans] == ["reads and writes", "reads and writes", "nothing"]
    assert seconds_taken(spans) == pytest.approx(MOMENT + 3 + 21)
    assert blocks(spans) == pytest.approx(MOMENT + 3)


def test_rows_are_locked_until_then_too() -> None:
    """Unless they are changed in batches."""
    work = ServerWork(updates=frozenset({"person"}))
    changed = ObservedStatement("UPDATE", transaction=1, taken=WRITES, held=WRITES, work=work)
    built = ObservedStatement(
        "CREATE INDEX", transaction=1, held=WRITES, work=ServerWork(builds=frozenset({"country"}))
    )
    spans = timeline([changed, built], SIZES)
    assert [one.waits for one in spans] == ["writes", "writes"]
    assert blocks(spans) == pytest.approx(20 + 3)
    assert (
        felt(spans[1])
        == "writes to the same rows of person wait while it builds an index on country"
    )
    batched = ObservedStatement(
        "UPDATE", transaction=1, taken=WRITES, held=WRITES, work=work, batched=True
    )
    assert (seconds_taken(timeline([batched], SIZES)), blocks(timeline([batched], SIZES))) == (
        pytest.approx(20),
        0,
    )


def test_a_foreign_key_is_proven_by_reading_its_table() -> None:
    """The one that is locked, not the one that it refers to; what failed takes no time."""
    held = frozenset(
        {
            ObservedLock("country", LockMode.SHARE_UPDATE_EXCLUSIVE),
            ObservedLock("person", LockMode.ROW_SHARE),
        }
    )
    proven = ObservedStatement(
        "VALIDATE", held=held, taken=held, work=ServerWork(validates=frozenset({"k"}))
    )
    failed = ObservedStatement(
        "VALIDATE", held=held, taken=held, work=ServerWork(validates=frozenset({"k"})), error="no"
    )
    assert seconds_taken(timeline([proven, failed], SIZES)) == pytest.approx(1)


def test_each_statement_has_its_own_estimate() -> None:
    """How long it takes, and how long others wait for it; none where it failed."""
    failed = ObservedStatement("ALTER", error="no")
    blocking = ObservedStatement(
        "CREATE INDEX", held=EXCLUSIVE, work=ServerWork(builds=frozenset({"person"}))
    )
    online = ObservedStatement(
        "CREATE INDEX CONCURRENTLY", work=ServerWork(builds=frozenset({"person"}))
    )
    (plain, ours) = estimated(
        [
            RevisionResult(
                Revision("r1"),
                "",
                alembic=RunResult((failed, blocking)),
                liftlock=RunResult((online,)),
            )
        ],
        SIZES,
    )["r1"]
    assert plain.statements == (None, Estimate(21, 21))
    assert ours.statements == (Estimate(21, 0),)


def test_branches_and_merges_take_as_few_lanes_as_they_need() -> None:
    """A lane is used again when its branch has been merged."""
    found, before = [RevisionResult(Revision("0"), "")], "0"
    for number in range(1, 20):
        found += [RevisionResult(Revision(f"{number}{side}", (before,)), "") for side in "ab"]
        before = f"{number}m"
        found.append(RevisionResult(Revision(before, (f"{number}a", f"{number}b")), ""))
    dots = picture(found)
    assert max(one.lane for one in dots) == 1
    assert dots[3].parents == ((1, 0), (2, 1))


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
def test_a_name_without_its_schema(relation: str, name: str) -> None:
    """And without its quotes."""
    assert unqualified(relation) == name
