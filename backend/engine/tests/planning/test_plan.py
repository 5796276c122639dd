"""The table of recipes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from planning.examples import (
    ADD_FOREIGN_KEY,
    BIG,
    CHANGE_TYPE,
    CREATE_INDEX,
    DEFAULT,
    NEW,
    REWRITES,
    SET_NOT_NULL,
    SMALL,
    facts,
)

from liftlock.model.operation import Operation
from liftlock.model.step import Pace, Phase, Step
from liftlock.model.table import Table
from liftlock.planning.plan import phase_of, plan


@pytest.mark.parametrize(
    "operation", [CREATE_INDEX, SET_NOT_NULL, ADD_FOREIGN_KEY, DEFAULT, CHANGE_TYPE]
)
@pytest.mark.parametrize("table", [None, NEW, SMALL], ids=["absent", "new", "small"])
def test_operation_on_small_or_new_table_is_unchanged(
    operation: Operation, table: Table | None
) -> None:
    """A scan or rewrite of these is brief, or blocks no other session."""
    (step,) = plan(operation, facts(table, dry_run=REWRITES))
    assert step.sql == operation.sql
    assert step.pace is Pace.BRIEF


@pytest.mark.parametrize("kind", ["rename_table", "comment", "no_recipe"])
def test_operation_without_recipe_is_unchanged(kind: str) -> None:
    """Also one of a kind that Alembic adds later."""
    operation = Operation(kind, "t", "ALTER TABLE t …", relation="t")
    (step,) = plan(operation, facts())
    assert (step.name, step.sql) == ("plain", operation.sql)


def test_recipe_is_planned_again_from_its_ledger_row() -> None:
    """A resumed run continues the recipe that was begun."""
    for operation in (CREATE_INDEX, SET_NOT_NULL, ADD_FOREIGN_KEY):
        for step in plan(operation, facts()):
            assert Step.from_dict(step.as_dict()) == step


def test_revision_is_contract_when_one_step_is() -> None:
    """DROP COLUMN breaks the release that still reads the column."""
    add = Operation("add_column", "t", "…", relation="t")
    drop = Operation("drop_column", "t", "…", relation="t")
    assert phase_of(plan(add, facts())) is Phase.EXPAND
    assert phase_of(plan(add, facts()) + plan(drop, facts())) is Phase.CONTRACT


def test_operation_on_the_revisions_own_table_is_expand() -> None:
    """No release uses a table that the same revision created."""
    drop = Operation("drop_column", "t", "…", relation="t")
    own = replace(BIG, created_by_run=True, created_by_revision=True)
    assert phase_of(plan(drop, facts(own))) is Phase.EXPAND
    assert phase_of(plan(drop, facts(NEW))) is Phase.CONTRACT
