"""Unchanged operations."""

from __future__ import annotations

from dataclasses import replace

import pytest
from planning.examples import ADD_FOREIGN_KEY, BIG, KEY_INDEX, NEW, PARENT, SMALL, facts

from liftlock.model.lock import LockMode
from liftlock.model.operation import Operation
from liftlock.model.step import Phase, StepKind
from liftlock.model.table import Column, Facts, Table
from liftlock.planning.unchanged import (
    has_key,
    is_small_or_new,
    leave_unchanged,
    row_identifier,
)


@pytest.mark.parametrize(
    ("kind", "lock", "phase"),
    [
        ("create_index", LockMode.SHARE, Phase.EXPAND),
        ("create_foreign_key", LockMode.SHARE_ROW_EXCLUSIVE, Phase.EXPAND),
        ("add_column", LockMode.ACCESS_EXCLUSIVE, Phase.EXPAND),
        ("rename_table", LockMode.ACCESS_EXCLUSIVE, Phase.CONTRACT),
        ("insert", LockMode.ROW_EXCLUSIVE, Phase.EXPAND),
        ("drop_type", None, Phase.CONTRACT),
        ("unknown", None, Phase.EXPAND),
    ],
)
def test_lock_and_phase_of_unchanged_operation(
    kind: str, lock: LockMode | None, phase: Phase
) -> None:
    """On a table in use."""
    step = leave_unchanged(Operation(kind, "t", "…", relation="t"), facts())
    assert (step.lock, step.phase, step.kind) == (lock, phase, StepKind.PLAIN)


def test_new_table_needs_no_lock() -> None:
    """No other session uses it."""
    operation = Operation("add_column", "t", "…", relation="t")
    assert leave_unchanged(operation, facts(NEW)).lock is None


def test_referenced_table_is_locked_first() -> None:
    """An application writes parent rows before child rows."""
    both = Facts(tables={"t": BIG, "o": PARENT})
    assert leave_unchanged(ADD_FOREIGN_KEY, both).tables == ("o", "t")
    create = Operation("create_table", "n", "CREATE TABLE n", relation="n", others=("o", "o"))
    step = leave_unchanged(create, both)
    assert (step.tables, step.lock) == (("o",), LockMode.SHARE_ROW_EXCLUSIVE)


def test_new_referenced_table_is_not_locked() -> None:
    """Only tables in use are."""
    tables = Facts(tables={"t": BIG, "o": NEW})
    assert leave_unchanged(ADD_FOREIGN_KEY, tables).tables == ()


@pytest.mark.parametrize("table", [None, NEW, SMALL], ids=["absent", "new", "small"])
def test_small_or_new_table(table: Table | None) -> None:
    """Its scan is brief or blocks no other session."""
    assert is_small_or_new(table, facts())
    assert not is_small_or_new(BIG, facts())


def test_every_existing_table_is_large_when_the_limit_is_zero() -> None:
    """LIFTLOCK_SMALL_TABLE=0 chooses the online forms everywhere."""
    assert not is_small_or_new(replace(BIG, bytes=0), facts(small_table_bytes=0))


def test_key_identifies_rows() -> None:
    """The index must forbid duplicates at any time, for all rows, and its columns be NOT NULL."""
    assert has_key(BIG)
    others = [
        replace(KEY_INDEX, unique=False),
        replace(KEY_INDEX, columns_only=False),
        replace(KEY_INDEX, valid=False),
        replace(KEY_INDEX, immediate=False),
        replace(KEY_INDEX, columns=("a",)),
    ]
    for index in others:
        assert not has_key(replace(BIG, indexes=(index,)))
    assert not has_key(replace(BIG, has_children=True))
    assert not has_key(replace(BIG, columns=(Column("id", "integer", not_null=False),)))


def test_row_is_shown_by_its_key() -> None:
    """Other values of a row are never shown."""
    assert row_identifier(BIG) == '"id"'
    assert row_identifier(BIG, "child") == 'child."id"'
    assert row_identifier(replace(BIG, constraints=()), "child") == (
        "CAST(child.ctid AS text) AS ctid"
    )
