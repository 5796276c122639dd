"""Constructors of steps."""

from __future__ import annotations

from planning.examples import DEFAULT, names

from liftlock.model.lock import LockMode
from liftlock.model.operation import ColumnDetails
from liftlock.model.step import Pace, Step, StepKind
from liftlock.planning.steps import (
    add_and_backfill_column,
    add_bare_column,
    backfill_rows,
    build_index,
    drop_column_on_violation,
    find_violations,
    validate,
)


def test_index_build_can_be_repaired() -> None:
    """An interrupted build leaves an invalid index, which is dropped concurrently."""
    step = build_index("CREATE INDEX CONCURRENTLY ix ON app.t (a)", "app.ix", "app.t")
    assert step.repair == "DROP INDEX CONCURRENTLY IF EXISTS app.ix"
    assert (step.kind, step.pace) == (StepKind.CONCURRENT, Pace.ONLINE)
    assert step.lock is LockMode.SHARE_UPDATE_EXCLUSIVE


def test_violations_are_limited() -> None:
    """The message shows a few rows."""
    step = find_violations("SELECT id FROM t")
    assert step.sql == "SELECT id FROM t LIMIT 5"
    assert step.kind is StepKind.LOOK


def test_validation_blocks_nothing() -> None:
    """It scans the table while reads and writes continue."""
    step = validate("t", "a check", "undo it")
    assert step.sql == 'ALTER TABLE t VALIDATE CONSTRAINT "a check"'
    assert step.lock is LockMode.SHARE_UPDATE_EXCLUSIVE
    assert step.undo == ("undo it",)


def test_default_is_withheld_from_add_column() -> None:
    """It is set before the backfill, so that the backfill comes to an end."""
    column = ColumnDetails("b", "uuid")
    add, set_default, backfill = add_and_backfill_column(DEFAULT, column, "gen()")
    assert add.sql == 'ALTER TABLE t ADD COLUMN "b" uuid DEFAULT NULL'
    assert set_default.sql == 'ALTER TABLE t ALTER COLUMN "b" SET DEFAULT gen()'
    assert (backfill.sql, backfill.where) == ('"b" = gen()', '"b" IS NULL')


def test_violation_drops_the_column_and_its_helper_sequence() -> None:
    """Only the online steps after ADD COLUMN can find a violation."""
    helper = Step("create helper", "CREATE SEQUENCE helper AS integer", Pace.BRIEF, None)
    steps = [
        find_violations("SELECT 1"),
        helper,
        add_bare_column("t", "b integer"),
        backfill_rows("t", "b = 1", "b IS NULL"),
        validate("t", "c", "drop c"),
    ]
    undoable = drop_column_on_violation(steps, "drop b")
    assert names(undoable) == names(steps)
    assert [step.undo for step in undoable[:-1]] == [()] * 4
    assert undoable[-1].undo == ("drop c", "drop b", "DROP SEQUENCE IF EXISTS helper")


def test_steps_without_add_column_are_unchanged() -> None:
    """There is nothing to drop."""
    steps = [validate("t", "c")]
    assert drop_column_on_violation(steps, "drop b") == steps
