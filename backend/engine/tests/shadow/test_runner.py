"""Tests of the pure parts of the runner: which statements are shown, and changes of the models."""

from __future__ import annotations

import pytest

from liftlock.model.lock import LockMode
from liftlock.model.operation import Operation
from liftlock.shadow.observed import ObservedLock, ObservedStatement, ServerWork
from liftlock.shadow.runner import _describe, is_shown

TABLE = "alembic_version"
ADD_COLUMN = Operation("add_column", "t", "", line=7)
STRONG = frozenset({ObservedLock("t", LockMode.ACCESS_EXCLUSIVE)})
WEAK = frozenset({ObservedLock("t", LockMode.ACCESS_SHARE)})


@pytest.mark.parametrize(
    ("statement", "plain", "liftlock"),
    [
        (ObservedStatement("ALTER TABLE t", operation=ADD_COLUMN, taken=STRONG), True, True),
        (ObservedStatement("SELECT 1", operation=ADD_COLUMN, taken=WEAK), True, False),
        (ObservedStatement("SELECT 1", operation=ADD_COLUMN, error="syntax error"), True, True),
        (ObservedStatement("SELECT 1"), False, False),
        (
            ObservedStatement("UPDATE t SET a = 1", work=ServerWork(updates=frozenset({"t"}))),
            True,
            True,
        ),
        (
            ObservedStatement(
                f"INSERT INTO {TABLE} VALUES ('r1')",
                operation=Operation("insert", None, "", line=7),
                taken=STRONG,
            ),
            False,
            False,
        ),
        (
            ObservedStatement(
                f"ALTER TABLE {TABLE}_2 ADD a integer", operation=ADD_COLUMN, taken=STRONG
            ),
            True,
            True,
        ),
    ],
)
def test_statements_of_the_report(
    statement: ObservedStatement, *, plain: bool, liftlock: bool
) -> None:
    """Of liftlock, only statements with a lock, work or an error; never those on its own table."""
    assert is_shown(statement, TABLE, plain=True) is plain
    assert is_shown(statement, TABLE, plain=False) is liftlock


def test_description_of_model_differences() -> None:
    """Alembic returns tuples, and lists of tuples for the changes of one column."""
    assert _describe(("add_table", "item")) == "add_table item"
    assert _describe([("modify_nullable", None, "item"), ("x", "y")]) == "modify_nullable item; x y"
