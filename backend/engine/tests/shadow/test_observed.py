"""Tests of observed locks and statements: blocked queries, the strongest lock, descriptions."""

from __future__ import annotations

import pytest

from liftlock.model.lock import LockMode
from liftlock.model.operation import Operation
from liftlock.shadow.observed import ObservedLock, ObservedStatement, ServerWork

ACCESS_EXCLUSIVE, SHARE = LockMode.ACCESS_EXCLUSIVE, LockMode.SHARE
ROW_EXCLUSIVE = LockMode.ROW_EXCLUSIVE


@pytest.mark.parametrize(
    ("kind", "mode", "blocks"),
    [
        ("r", ACCESS_EXCLUSIVE, "reads and writes"),
        ("r", SHARE, "writes"),
        ("r", ROW_EXCLUSIVE, "nothing"),
        ("i", ACCESS_EXCLUSIVE, "reads and writes"),
        ("i", SHARE, "nothing"),
        ("I", LockMode.SHARE_ROW_EXCLUSIVE, "nothing"),
    ],
)
def test_queries_blocked_by_a_lock(kind: str, mode: LockMode, blocks: str) -> None:
    """Of locks on an index, only ACCESS EXCLUSIVE blocks queries."""
    assert ObservedLock("x", mode, kind).blocks == blocks


def test_blocked_relations_by_queries() -> None:
    """An index counts as its table, and the strongest lock on a table counts."""
    held = frozenset(
        {
            ObservedLock("a", SHARE, oid=1),
            ObservedLock("a", ACCESS_EXCLUSIVE, oid=1),
            ObservedLock("b", SHARE, oid=2),
            ObservedLock("ix_c", ACCESS_EXCLUSIVE, "i", oid=4, table="c"),
            ObservedLock("d", ROW_EXCLUSIVE, oid=5),
        }
    )
    statement = ObservedStatement("x", held=held)
    assert statement.blocked == {"reads and writes": {"a", "c"}, "writes": {"b"}}
    assert list(statement.blocked) == ["reads and writes", "writes"]


def test_strongest_lock_on_the_own_table() -> None:
    """Locks on other tables don't count."""
    held = frozenset(
        {
            ObservedLock("a", SHARE, oid=1),
            ObservedLock("a", ROW_EXCLUSIVE, oid=1),
            ObservedLock("b", ACCESS_EXCLUSIVE, oid=2),
        }
    )
    assert ObservedStatement("x", own=1, held=held).strongest is SHARE
    assert ObservedStatement("x", own=3, held=held).strongest is None
    assert ObservedStatement("x", held=held).strongest is None


def test_rows_stay_locked_except_in_batches() -> None:
    """Each batch of a backfill is committed."""
    work = ServerWork(updates=frozenset({"t"}))
    assert ObservedStatement("x", work=work).locks_rows == {"t"}
    assert ObservedStatement("x", work=work, batched=True).locks_rows == frozenset()


def test_description_of_work() -> None:
    """One phrase for each kind of work; names are sorted."""
    work = ServerWork(rewrites=frozenset({"b", "a"}), updates=frozenset({"c"}))
    assert work.describe() == "rewrites a, b; changes rows of c"
    assert ServerWork().describe() == ""


def test_long_work() -> None:
    """Changes of rows are limited by a condition, so they aren't long by themselves."""
    assert ServerWork(scans=frozenset({"t"})).long
    assert not ServerWork(updates=frozenset({"t"}), proven=frozenset({"t"})).long


def test_statement_as_json() -> None:
    """The keys are those of the report's format."""
    lock = ObservedLock("t", ACCESS_EXCLUSIVE, oid=1)
    statement = ObservedStatement(
        "ALTER TABLE t ADD a integer",
        "r1",
        Operation("add_column", "t", "", line=7),
        taken=frozenset({lock}),
        held=frozenset({lock}),
        work=ServerWork(rewrites=frozenset({"t"})),
    )
    entry = {"relation": "t", "mode": "ACCESS EXCLUSIVE", "blocks": "reads and writes"}
    assert statement.as_dict() == {
        "sql": "ALTER TABLE t ADD a integer",
        "line": 7,
        "operation": "add_column",
        "transaction": 0,
        "locks": [entry],
        "held": [entry],
        "rewrites": ["t"],
        "scans": [],
        "builds": [],
        "validates": [],
        "updates": [],
        "proven": [],
        "batched": False,
        "error": "",
    }
