"""Durations of statements, and the queries that wait meanwhile."""

from __future__ import annotations

import pytest

from liftlock.broker.table_size import Size
from liftlock.check.formats.phrases import waits
from liftlock.check.report import Estimate
from liftlock.check.timeline import (
    ASSUMED,
    MOMENT,
    estimates,
    seconds_blocked,
    seconds_taken,
    sizes_or_assumed,
    timeline,
)
from liftlock.model.lock import LockMode
from liftlock.model.revision import Revision
from liftlock.shadow.observed import ObservedLock, ObservedStatement, ServerWork
from liftlock.shadow.result import RevisionResult, RunResult

SIZES = {"person": Size(2_000_000_000, 1_000_000, 0), "country": Size(200_000_000, 1_000_000, 0)}
"""10 seconds and 1 second for a scan; 1 second for an index, 10 seconds for a backfill."""
EXCLUSIVE = frozenset({ObservedLock("person", LockMode.ACCESS_EXCLUSIVE)})
WRITES = frozenset({ObservedLock("person", LockMode.ROW_EXCLUSIVE)})


def test_lock_is_held_until_its_transaction_ends() -> None:
    """Later statements of the transaction prolong it; those of another one don't."""
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
    intervals = timeline([added, built, later], SIZES)
    assert [interval.waits for interval in intervals] == [
        "reads and writes",
        "reads and writes",
        "nothing",
    ]
    assert seconds_taken(intervals) == pytest.approx(MOMENT + 3 + 21)
    assert seconds_blocked(intervals) == pytest.approx(MOMENT + 3)


def test_row_locks_are_held_until_the_transaction_ends() -> None:
    """Unless the rows are changed in batches."""
    work = ServerWork(updates=frozenset({"person"}))
    changed = ObservedStatement("UPDATE", transaction=1, taken=WRITES, held=WRITES, work=work)
    built = ObservedStatement(
        "CREATE INDEX", transaction=1, held=WRITES, work=ServerWork(builds=frozenset({"country"}))
    )
    intervals = timeline([changed, built], SIZES)
    assert [interval.waits for interval in intervals] == ["writes", "writes"]
    assert seconds_blocked(intervals) == pytest.approx(20 + 3)
    assert (
        waits(intervals[1])
        == "writes to the same rows of person wait while it builds an index on country"
    )
    batched = ObservedStatement(
        "UPDATE", transaction=1, taken=WRITES, held=WRITES, work=work, batched=True
    )
    assert (
        seconds_taken(timeline([batched], SIZES)),
        seconds_blocked(timeline([batched], SIZES)),
    ) == (
        pytest.approx(20),
        0,
    )


def test_validating_a_foreign_key_scans_the_referencing_table() -> None:
    """The referenced table isn't scanned; a failed statement takes no time."""
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
    """Its duration and the time for which queries wait; None for a failed one."""
    failed = ObservedStatement("ALTER", error="no")
    blocking = ObservedStatement(
        "CREATE INDEX", held=EXCLUSIVE, work=ServerWork(builds=frozenset({"person"}))
    )
    online = ObservedStatement(
        "CREATE INDEX CONCURRENTLY", work=ServerWork(builds=frozenset({"person"}))
    )
    (plain, online) = estimates(
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
    assert online.statements == (Estimate(21, 0),)


def test_unknown_sizes_are_assumed_for_tables_that_are_worked_on() -> None:
    """A table of which only the catalog changes needs no size."""
    built = ObservedStatement("CREATE INDEX", work=ServerWork(builds=frozenset({"person"})))
    renamed = ObservedStatement("ALTER TABLE country RENAME", held=EXCLUSIVE)
    results = [RevisionResult(Revision("r1"), "", liftlock=RunResult((built, renamed)))]
    assert sizes_or_assumed(results, {}) == {"person": ASSUMED}
    assert sizes_or_assumed(results, SIZES) is SIZES


def test_no_estimates_without_sizes() -> None:
    """Assumed sizes are for pictures, not for a report."""
    assert estimates([RevisionResult(Revision("r1"), "")], {}) == {}
