"""Functions that find the statement that caused an effect."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from liftlock.check.rules.matching import (
    adds_required_column,
    find_statement,
    is_truncate,
    match_at,
    run_of,
)
from liftlock.model.lock import LockMode
from liftlock.model.operation import ColumnDetails, ConstraintDetails, Details, Operation
from liftlock.model.revision import Revision
from liftlock.shadow.observed import ObservedLock, ObservedStatement, ServerWork
from liftlock.shadow.result import Refusal, RevisionResult, RunResult

TABLE = 42


def operation(kind: str, details: Details = None, sql: str = "") -> ObservedStatement:
    """Return a statement of an operation on the table."""
    return ObservedStatement(sql, operation=Operation(kind, "t", sql, details=details), own=TABLE)


def raw(sql: str, *, holds: bool = False, takes: bool = False) -> ObservedStatement:
    """Return SQL text that holds, and perhaps has newly taken, a lock on the table."""
    locks = frozenset({ObservedLock("t", LockMode.ACCESS_EXCLUSIVE, oid=TABLE)})
    return ObservedStatement(
        sql,
        operation=Operation("execute", None, sql),
        held=locks if holds or takes else frozenset(),
        taken=locks if takes else frozenset(),
    )


def found(
    *statements: ObservedStatement,
    kinds: Collection[str] = ("drop_column",),
    columns: tuple[str, ...] = ("a",),
    name: str = "a",
) -> ObservedStatement | None:
    """Find a statement among these."""
    result = RevisionResult(Revision("r1"), "", alembic=RunResult(statements))
    return find_statement(result, kinds, TABLE, columns, name)


def test_operation_on_the_column_is_found() -> None:
    """By its kind, its table and its column."""
    wanted = operation("drop_column", ColumnDetails("a"))
    others = (
        operation("drop_column", ColumnDetails("b")),
        operation("add_column", ColumnDetails("a")),
        raw("ALTER TABLE t DROP a", takes=True),
    )
    assert found(*others, wanted) is wanted


def test_operation_on_the_constraint_is_found_by_name_or_columns() -> None:
    """A constraint whose name PostgreSQL chooses has none in the operation."""
    named = operation("create_foreign_key", ConstraintDetails("k", columns=("x",)))
    unnamed = operation("create_foreign_key", ConstraintDetails(None, columns=("a",)))
    kinds = {"create_foreign_key"}
    assert found(named, unnamed, kinds=kinds, name="k") is named
    assert found(named, unnamed, kinds=kinds, name="t_a_fkey") is unnamed


def test_raw_sql_that_locks_and_mentions_comes_first() -> None:
    """Then SQL that locks, then SQL that only mentions the name."""
    mentions = raw('SELECT "a" FROM u')
    holds = raw("SELECT 1", holds=True)
    takes = raw("SELECT 2", takes=True)
    both = raw("ALTER TABLE t DROP a", holds=True)
    assert found(mentions, holds, takes, both) is both
    assert found(mentions, holds, takes) is takes
    assert found(mentions, holds) is mentions
    assert found(holds) is None


def test_raw_sql_that_changes_rows_is_not_found() -> None:
    """It changes no definition."""
    update = ObservedStatement(
        "UPDATE t SET a = 1",
        operation=Operation("execute", None, ""),
        work=ServerWork(updates=frozenset({"t"})),
    )
    assert found(update) is None


@pytest.mark.parametrize(
    ("details", "required"),
    [
        (ColumnDetails("a", not_null=True), True),
        (ColumnDetails("a", not_null=True, default="0"), False),
        (ColumnDetails("a", not_null=True, special="IDENTITY"), False),
        (ColumnDetails("a"), False),
        (None, False),
    ],
)
def test_required_column(details: Details, *, required: bool) -> None:
    """NOT NULL without a value."""
    assert adds_required_column(operation("add_column", details)) is required


@pytest.mark.parametrize(
    ("sql", "truncate"), [("/* all */ TRUNCATE t", True), ("-- TRUNCATE\nDELETE FROM t", False)]
)
def test_truncate(sql: str, *, truncate: bool) -> None:
    """Comments don't count."""
    assert is_truncate(raw(sql)) is truncate


def test_match_has_line_and_allowances_of_the_statement() -> None:
    """Without a statement it has neither."""
    statement = ObservedStatement(
        "X", operation=Operation("execute", None, "X", line=9, allowed={"LL-X": "why"})
    )
    match = match_at("fact", statement)
    assert (match.line, dict(match.allowed)) == (9, {"LL-X": "why"})
    assert match_at("fact", None).line is None


def test_run_of_a_way() -> None:
    """The one by Alembic, or the one by liftlock."""
    failed = RunResult(refusal=Refusal("LL-X", "", "", ""))
    result = RevisionResult(Revision("r1"), "", alembic=failed)
    assert run_of(result, "plain") is failed
    assert run_of(result, "liftlock").refusal is None
