"""How long statements take, and who waits meanwhile."""

from __future__ import annotations

import pytest

from liftlock.formats.html import picture
from liftlock.formats.text import felt
from liftlock.model.checked import Checked, Trial
from liftlock.model.lock import LockMode
from liftlock.model.observed import Held, Observed, Work
from liftlock.model.operation import bare
from liftlock.model.report import Estimate, Size
from liftlock.model.revision import Revision
from liftlock.planning.timelines import MOMENT, blocks, estimated, takes, timeline

SIZES = {"person": Size(2_000_000_000, 1_000_000, 0), "country": Size(200_000_000, 1_000_000, 0)}
"""10 seconds and 1 to read; and a second for each index, 10 to fill."""
EXCLUSIVE = frozenset({Held("person", LockMode.ACCESS_EXCLUSIVE)})
WRITES = frozenset({Held("person", LockMode.ROW_EXCLUSIVE)})


def test_a_lock_is_held_until_its_transaction_ends() -> None:
    """What comes later in the transaction counts, what comes in another doesn't."""
    added = Observed("ALTER", transaction=1, taken=EXCLUSIVE, held=EXCLUSIVE)
    built = Observed("CREATE INDEX", transaction=1, held=EXCLUSIVE, work=Work(builds=frozenset({"country"})))
    later = Observed("CREATE INDEX", transaction=2, work=Work(builds=frozenset({"person"})))
    spans = timeline([added, built, later], SIZES)
    assert [one.waits for one in spans] == ["reads and writes", "reads and writes", "nothing"]
    assert takes(spans) == pytest.approx(MOMENT + 3 + 21)
    assert blocks(spans) == pytest.approx(MOMENT + 3)


def test_rows_are_locked_until_then_too() -> None:
    """Unless they are changed in batches."""
    work = Work(updates=frozenset({"person"}))
    changed = Observed("UPDATE", transaction=1, taken=WRITES, held=WRITES, work=work)
    built = Observed("CREATE INDEX", transaction=1, held=WRITES, work=Work(builds=frozenset({"country"})))
    spans = timeline([changed, built], SIZES)
    assert [one.waits for one in spans] == ["writes", "writes"]
    assert blocks(spans) == pytest.approx(20 + 3)
    assert felt(spans[1]) == "writes to the same rows of person wait while it builds an index on country"
    batched = Observed("UPDATE", transaction=1, taken=WRITES, held=WRITES, work=work, batched=True)
    assert (takes(timeline([batched], SIZES)), blocks(timeline([batched], SIZES))) == (pytest.approx(20), 0)


def test_a_foreign_key_is_proven_by_reading_its_table() -> None:
    """The one that is locked, not the one that it refers to; what failed takes no time."""
    held = frozenset({Held("country", LockMode.SHARE_UPDATE_EXCLUSIVE), Held("person", LockMode.ROW_SHARE)})
    proven = Observed("VALIDATE", held=held, taken=held, work=Work(validates=frozenset({"k"})))
    failed = Observed("VALIDATE", held=held, taken=held, work=Work(validates=frozenset({"k"})), error="no")
    assert takes(timeline([proven, failed], SIZES)) == pytest.approx(1)


def test_each_statement_has_its_own_estimate() -> None:
    """How long it takes, and how long others wait for it; none where it failed."""
    failed = Observed("ALTER", error="no")
    blocking = Observed("CREATE INDEX", held=EXCLUSIVE, work=Work(builds=frozenset({"person"})))
    online = Observed("CREATE INDEX CONCURRENTLY", work=Work(builds=frozenset({"person"})))
    (plain, ours) = estimated([Checked(Revision("r1"), "", plain=Trial((failed, blocking)), ours=Trial((online,)))], SIZES)["r1"]
    assert plain.statements == (None, Estimate(21, 21))
    assert ours.statements == (Estimate(21, 0),)


def test_branches_and_merges_take_as_few_lanes_as_they_need() -> None:
    """A lane is used again when its branch has been merged."""
    found, before = [Checked(Revision("0"), "")], "0"
    for number in range(1, 20):
        found += [Checked(Revision(f"{number}{side}", (before,)), "") for side in "ab"]
        before = f"{number}m"
        found.append(Checked(Revision(before, (f"{number}a", f"{number}b")), ""))
    dots = picture(found)
    assert max(one.lane for one in dots) == 1
    assert dots[3].parents == ((1, 0), (2, 1))


@pytest.mark.parametrize(
    ("relation", "name"),
    [("person", "person"), ('"user"', "user"), ("a.b", "b"), ('"a.b".c', "c"), ('"a.b"', "a.b"), ('x."c.""d"', 'c."d')],
)
def test_a_name_without_its_schema(relation: str, name: str) -> None:
    """And without its quotes."""
    assert bare(relation) == name
