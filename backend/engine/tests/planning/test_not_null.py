"""SET NOT NULL."""

from __future__ import annotations

from dataclasses import replace

from planning.examples import BIG, SET_NOT_NULL, facts, names, statements

from liftlock.model.lock import LockMode
from liftlock.model.step import Phase, StepKind
from liftlock.model.table import Column
from liftlock.planning.not_null import set_not_null
from liftlock.planning.plan import plan


def test_set_not_null_is_proved_by_a_helper_check() -> None:
    """The scan happens in VALIDATE, under a lock that blocks nothing."""
    steps = plan(SET_NOT_NULL, facts())
    helper = steps[1].sql.split('"')[1]
    assert helper.startswith("liftlock_")
    assert statements(steps) == [
        'SELECT "id" FROM t WHERE "a" IS NULL LIMIT 5',
        f'ALTER TABLE t ADD CONSTRAINT "{helper}" CHECK ("a" IS NOT NULL) NOT VALID',
        f'ALTER TABLE t VALIDATE CONSTRAINT "{helper}"',
        'ALTER TABLE t ALTER COLUMN "a" SET NOT NULL',
        f'ALTER TABLE t DROP CONSTRAINT "{helper}"',
    ]
    assert [step.lock for step in steps] == [
        LockMode.ACCESS_SHARE,
        LockMode.ACCESS_EXCLUSIVE,
        LockMode.SHARE_UPDATE_EXCLUSIVE,
        LockMode.ACCESS_EXCLUSIVE,
        LockMode.ACCESS_EXCLUSIVE,
    ]
    assert steps[0].kind is StepKind.LOOK
    assert steps[2].undo == (f'ALTER TABLE t DROP CONSTRAINT IF EXISTS "{helper}"',)


def test_step_names_contain_the_column() -> None:
    """A primary key of several columns has these steps for each."""
    assert names(plan(SET_NOT_NULL, facts())) == [
        "look at a",
        "add helper for a",
        "validate helper for a",
        "set a",
        "drop helper for a",
    ]


def test_steps_that_reject_nulls_have_the_phase() -> None:
    """The old release may still write nulls."""
    steps = set_not_null("t", "a", Phase.CONTRACT, "id")
    contract = [step.name for step in steps if step.phase is Phase.CONTRACT]
    assert contract == ["add helper for a", "set a"]


def test_helper_has_a_name_for_each_column() -> None:
    """Two columns of a table can be changed at once."""
    helpers = {set_not_null("t", column, Phase.EXPAND, "id")[1].sql for column in ("a", "b")}
    assert len(helpers) == 2


def test_column_that_is_not_null_needs_no_step() -> None:
    """SET NOT NULL would take ACCESS EXCLUSIVE for nothing."""
    table = replace(BIG, columns=(Column("a", "integer", not_null=True),))
    assert plan(SET_NOT_NULL, facts(table)) == ()
