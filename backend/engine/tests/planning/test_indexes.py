"""CREATE INDEX and DROP INDEX."""

from __future__ import annotations

from dataclasses import replace

import pytest
from planning.examples import BIG, CREATE_INDEX, INDEX, PARTITIONED, SMALL, facts, names, statements

from liftlock.model.operation import IndexDetails, Operation
from liftlock.model.step import Phase, StepKind
from liftlock.model.table import DryRun
from liftlock.planning.plan import plan

CONCURRENTLY = replace(CREATE_INDEX, sql="CREATE UNIQUE INDEX CONCURRENTLY ix2 ON t (a)")
IF_NOT_EXISTS = replace(
    CREATE_INDEX,
    sql="CREATE INDEX IF NOT EXISTS ix ON t (a)",
    details=IndexDetails("ix", "ix", optional=True),
)


def drop_index(sql: str, name: str = "ix") -> Operation:
    """Return an operation that drops an index of t."""
    return Operation("drop_index", "t", sql, relation="t", details=IndexDetails(name, name))


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (CREATE_INDEX, "CREATE UNIQUE INDEX CONCURRENTLY ix2 ON t (a)"),
        (CONCURRENTLY, CONCURRENTLY.sql),
    ],
)
def test_index_is_built_concurrently(operation: Operation, expected: str) -> None:
    """The rest of the statement stays as it is."""
    (step,) = plan(operation, facts())
    assert step.sql == expected
    assert (step.name, step.kind, step.index) == ("build", StepKind.CONCURRENT, "ix2")


def test_concurrent_build_of_a_small_table_stays_concurrent() -> None:
    """The revision has asked for it, and may be in an autocommit block."""
    assert plan(CONCURRENTLY, facts(SMALL))[0].kind is StepKind.CONCURRENT


def test_if_not_exists_is_decided_from_the_catalog() -> None:
    """PostgreSQL would accept an invalid index of the name."""
    assert plan(IF_NOT_EXISTS, facts()) == ()
    invalid = replace(BIG, indexes=(replace(INDEX, valid=False),))
    for table in (invalid, replace(BIG, indexes=())):
        (step,) = plan(IF_NOT_EXISTS, facts(table))
        assert step.sql == "CREATE INDEX CONCURRENTLY ix ON t (a)"


def test_index_is_dropped_concurrently() -> None:
    """The next run drops an index again that an interrupted one left invalid."""
    (step,) = plan(drop_index("DROP INDEX ix"), facts())
    assert step.sql == "DROP INDEX CONCURRENTLY ix"
    assert (step.kind, step.phase) == (StepKind.CONCURRENT, Phase.EXPAND)
    assert step.repair == "DROP INDEX CONCURRENTLY IF EXISTS ix"


@pytest.mark.parametrize("name", ["t_pkey", "absent"])
def test_index_that_postgresql_refuses_to_drop_is_left_to_its_error(name: str) -> None:
    """A constraint's index, and one that doesn't exist."""
    operation = drop_index(f"DROP INDEX {name}", name)
    assert statements(plan(operation, facts())) == [operation.sql]


def test_index_of_a_partitioned_table_is_built_on_each_partition() -> None:
    """The names of the columns come from the dry run."""
    dry_run = DryRun(index_columns=("a",))
    steps = plan(CREATE_INDEX, facts(PARTITIONED, dry_run=dry_run))
    assert statements(steps)[0] == 'CREATE UNIQUE INDEX "ix2" ON ONLY t (a)'
    assert names(steps)[-1] == "attach p3"


@pytest.mark.parametrize(
    ("operation", "dry_run"),
    [(CONCURRENTLY, DryRun(index_columns=("a",))), (CREATE_INDEX, None), (CREATE_INDEX, DryRun())],
    ids=["CONCURRENTLY", "no dry run", "failed dry run"],
)
def test_partitioned_index_is_unchanged(operation: Operation, dry_run: DryRun | None) -> None:
    """PostgreSQL refuses CONCURRENTLY; without a dry run the columns' names aren't known."""
    steps = plan(operation, facts(PARTITIONED, dry_run=dry_run))
    assert statements(steps) == [operation.sql]
