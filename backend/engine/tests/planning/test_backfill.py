"""``op.backfill``."""

from __future__ import annotations

from dataclasses import replace

import pytest
from planning.examples import BACKFILL, BIG, facts

from liftlock.model.operation import BackfillDetails
from liftlock.model.step import StepKind
from liftlock.model.table import DryRun, Table
from liftlock.planning.plan import plan

WITHOUT_CONDITION = replace(BACKFILL, details=BackfillDetails("a = 1", ""))


def test_backfill_runs_in_batches() -> None:
    """The condition finds the rows that remain."""
    (step,) = plan(BACKFILL, facts())
    assert (step.kind, step.sql, step.where) == (StepKind.BACKFILL, "a = 1", "a IS NULL")
    assert step.tables == ("t",)


def test_backfill_without_condition_needs_a_key() -> None:
    """Only its key distinguishes an updated row from another."""
    assert plan(WITHOUT_CONDITION, facts())[0].kind is StepKind.BACKFILL
    without_key = facts(replace(BIG, indexes=()))
    assert plan(WITHOUT_CONDITION, without_key)[0].kind is StepKind.PLAIN
    assert plan(BACKFILL, without_key)[0].kind is StepKind.BACKFILL


@pytest.mark.parametrize("table", [BIG, replace(BIG, kind="p")])
def test_backfill_that_moves_rows_is_one_statement(table: Table) -> None:
    """A row with a new key, or in another partition, could be missed or updated twice."""
    (step,) = plan(BACKFILL, facts(table, dry_run=DryRun(moves_rows=True)))
    assert step.kind is StepKind.PLAIN


def test_backfill_that_could_not_be_tried() -> None:
    """Without a condition, it could change the key unnoticed."""
    assert plan(WITHOUT_CONDITION, facts(dry_run=None))[0].kind is StepKind.PLAIN
    assert plan(BACKFILL, facts(dry_run=None))[0].kind is StepKind.BACKFILL
