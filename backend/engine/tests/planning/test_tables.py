"""DROP of tables, columns and constraints; CREATE TYPE."""

from __future__ import annotations

from dataclasses import replace

import pytest
from planning.examples import BIG, NEW, facts

from liftlock.model.operation import ColumnDetails, ConstraintDetails, EnumDetails, Operation
from liftlock.planning.plan import plan

DROP_COLUMN = Operation(
    "drop_column", "t", "ALTER TABLE t DROP COLUMN a", relation="t", details=ColumnDetails("a")
)
DROP_KEY = Operation(
    "drop_constraint",
    "t",
    "ALTER TABLE t DROP CONSTRAINT t_a_fkey",
    relation="t",
    details=ConstraintDetails("t_a_fkey"),
)
DROP_TABLE = Operation("drop_table", "t", "DROP TABLE t", relation="t")


@pytest.mark.parametrize("operation", [DROP_COLUMN, DROP_KEY, DROP_TABLE])
def test_dropped_foreign_key_locks_the_referenced_table_first(operation: Operation) -> None:
    """ACCESS EXCLUSIVE on both tables, in the order in which an application locks them."""
    (step,) = plan(operation, facts())
    assert step.tables == ("o", "t")
    assert step.sql == operation.sql


@pytest.mark.parametrize(
    "operation",
    [
        replace(DROP_COLUMN, details=ColumnDetails("id")),
        replace(DROP_KEY, details=ConstraintDetails("t_pkey")),
        replace(DROP_KEY, details=ConstraintDetails("absent")),
    ],
    ids=["column without a key", "primary key", "absent"],
)
def test_drop_without_foreign_key_locks_one_table(operation: Operation) -> None:
    """The statement itself locks it."""
    assert plan(operation, facts())[0].tables == ()


@pytest.mark.parametrize("operation", [DROP_COLUMN, DROP_KEY, DROP_TABLE])
def test_drop_on_new_table_locks_nothing_first(operation: Operation) -> None:
    """No other session uses the table."""
    assert plan(operation, facts(NEW))[0].tables == ()


def test_self_reference_locks_the_table_once() -> None:
    """The referenced table is the table itself."""
    (key,) = [constraint for constraint in BIG.constraints if constraint.type == "f"]
    table = replace(BIG, constraints=(replace(key, refers="t"),))
    assert plan(DROP_TABLE, facts(table))[0].tables == ("t",)


@pytest.mark.parametrize(
    ("existing", "number_of_steps"), [(("a", "b"), 0), (("b", "a"), 1), (None, 1)]
)
def test_existing_enum_with_equal_labels_is_not_created(
    existing: tuple[str, ...] | None, number_of_steps: int
) -> None:
    """With other labels, PostgreSQL's own error is right."""
    create = Operation("create_type", None, "CREATE TYPE m", details=EnumDetails("m", ("a", "b")))
    assert len(plan(create, facts(labels=existing))) == number_of_steps
