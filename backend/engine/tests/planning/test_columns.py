"""ADD COLUMN."""

from __future__ import annotations

from dataclasses import replace

import pytest
from planning.examples import (
    BIG,
    DEFAULT,
    FOREIGN_KEY,
    PARENT,
    REWRITES,
    add_column,
    facts,
    names,
    statements,
)

from liftlock.errors import UnsafeRevision
from liftlock.model.operation import ConstraintDetails, Operation
from liftlock.model.table import DryRun
from liftlock.planning.plan import plan

POSITIVE = ConstraintDetails(None, "CHECK (b > 0)", expression="b > 0")
NAMED = replace(POSITIVE, name="t_b_check")
CHECKED = add_column("b", "integer CHECK (b > 0)", checks=(POSITIVE,))
REFERENCE = add_column(
    "b", "integer REFERENCES o (id)", special="REFERENCES", key=replace(FOREIGN_KEY, columns=("b",))
)
ALLOWED = frozenset({"LL-TABLE-REWRITE"})


def test_volatile_default_comes_before_the_backfill() -> None:
    """New rows have a value from then on; NOT NULL comes after the backfill."""
    steps = plan(DEFAULT, facts(dry_run=REWRITES))
    assert statements(steps)[:3] == [
        'ALTER TABLE t ADD COLUMN "b" uuid DEFAULT NULL',
        'ALTER TABLE t ALTER COLUMN "b" SET DEFAULT gen_random_uuid()',
        'UPDATE t SET "b" = gen_random_uuid() WHERE "b" IS NULL',
    ]
    assert names(steps)[3:] == [
        "look at b",
        "add helper for b",
        "validate helper for b",
        "set b",
        "drop helper for b",
    ]


def test_constant_default_is_unchanged() -> None:
    """The dry run has shown no rewrite."""
    assert statements(plan(DEFAULT, facts())) == [DEFAULT.sql]


def test_column_that_exists_is_not_added_again() -> None:
    """ADD COLUMN IF NOT EXISTS would take ACCESS EXCLUSIVE for nothing."""
    existing = add_column("a", "integer", optional=True)
    assert plan(existing, facts()) == ()
    assert names(plan(add_column("b", "integer", optional=True), facts())) == ["plain"]


def test_not_null_without_default_looks_for_a_row_first() -> None:
    """PostgreSQL's own error would cost a lock on the table."""
    operation = add_column("b", "integer NOT NULL", not_null=True)
    assert statements(plan(operation, facts())) == ['SELECT "id" FROM t LIMIT 5', operation.sql]


def test_checks_are_separate_steps() -> None:
    """In ADD COLUMN, they would be tested for each row under ACCESS EXCLUSIVE."""
    steps = plan(CHECKED, facts(dry_run=DryRun(check_columns=(("b",),))))
    assert statements(steps) == [
        'ALTER TABLE t ADD COLUMN "b" integer',
        'SELECT "id" FROM t WHERE NOT (b > 0) LIMIT 5',
        'ALTER TABLE t ADD CONSTRAINT "t_b_check" CHECK (b > 0) NOT VALID',
        'ALTER TABLE t VALIDATE CONSTRAINT "t_b_check"',
    ]


def test_names_of_several_checks() -> None:
    """A name that an earlier check of the column has taken is avoided."""
    operation = add_column("b", "integer", checks=(POSITIVE, POSITIVE, NAMED))
    parsed = DryRun(check_columns=(("b",), ("a", "b")))
    added = [step.sql for step in plan(operation, facts(dry_run=parsed)) if "NOT VALID" in step.sql]
    assert [sql.split('"')[1] for sql in added] == ["t_b_check", "t_check", "t_b_check"]


def test_foreign_key_is_added_after_the_column() -> None:
    """With a default, PostgreSQL would validate it under ACCESS EXCLUSIVE."""
    steps = plan(REFERENCE, facts(tables={"t": BIG, "o": PARENT}))
    assert statements(steps)[0] == 'ALTER TABLE t ADD COLUMN "b" integer'
    assert names(steps) == ["add", "look", "add", "validate"]
    assert 'ADD CONSTRAINT "t_b_fkey"' in steps[2].sql


def test_foreign_key_after_a_volatile_default() -> None:
    """All old rows have their value before the key is validated."""
    details = replace(REFERENCE.details, default="f()")
    operation = replace(REFERENCE, details=details)
    steps = plan(operation, facts(dry_run=REWRITES))
    assert names(steps) == ["add", "default", "backfill", "look", "add", "validate"]


def test_column_is_unchanged_when_its_key_is_allowed_to_scan() -> None:
    """A key to a partitioned table has no online form before PostgreSQL 18."""
    tables = {"t": BIG, "o": replace(PARENT, kind="p")}
    known = facts(tables=tables, server=170000, allowed=ALLOWED)
    assert statements(plan(REFERENCE, known)) == [REFERENCE.sql]


def test_violation_drops_the_column() -> None:
    """All online steps after ADD COLUMN can find one."""
    for step in plan(CHECKED, facts())[1:]:
        expected = step.name in {"look", "validate"}
        drop = 'ALTER TABLE t DROP COLUMN IF EXISTS "b"'
        assert (drop in step.undo) is expected


@pytest.mark.parametrize("special", ["GENERATED", "PRIMARY KEY"])
def test_column_that_postgresql_fills_is_refused(special: str) -> None:
    """It has no online form; the message has the code of another way."""
    operation = add_column("b", "integer", special=special, not_null=True)
    with pytest.raises(UnsafeRevision, match="LL-TABLE-REWRITE") as caught:
        plan(operation, facts(dry_run=REWRITES))
    assert caught.value.now.split("\n")[:4] == [
        "Add a column that may be null, fill it in batches, then add its default and constraints:",
        "  op.execute('ALTER TABLE t ADD COLUMN \"b\" integer')",
        """  op.backfill("t", set='"b" = …', where='"b" IS NULL')""",
        '  op.alter_column("t", "b", nullable=False)',
    ]


def test_obstacles_of_a_backfill_are_named() -> None:
    """An UPDATE of all rows would do more than a table rewrite."""
    table = replace(BIG, obstacles=("trigger x, which each row that is copied would fire",))
    with pytest.raises(UnsafeRevision, match="because of trigger x"):
        plan(DEFAULT, facts(table, dry_run=REWRITES))


def test_domain_with_a_check_is_refused() -> None:
    """PostgreSQL tests the check for each row, and rewrites the table."""
    operation = add_column("b", "positive", not_null=True)
    with pytest.raises(UnsafeRevision, match="because of positive, a domain") as caught:
        plan(operation, facts(dry_run=DryRun(rewrites=True, type_rewrites=True)))
    assert 'op.create_check_constraint(None, "t", "…")' in caught.value.now


@pytest.mark.parametrize("operation", [DEFAULT, add_column("b", "integer", special="GENERATED")])
def test_allowed_rewrite_is_unchanged(operation: Operation) -> None:
    """The revision or the operator may allow it."""
    table = replace(BIG, obstacles=("rule r",))
    steps = plan(operation, facts(table, dry_run=REWRITES, allowed=ALLOWED))
    assert statements(steps) == [operation.sql]
