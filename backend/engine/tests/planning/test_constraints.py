"""Check, foreign key, unique, primary key and exclusion constraints."""

from __future__ import annotations

from dataclasses import replace

import pytest
from planning.examples import (
    ADD_FOREIGN_KEY,
    BIG,
    FOREIGN_KEY,
    NEW,
    PARENT,
    PARTITIONED,
    SMALL,
    add_constraint,
    facts,
    names,
    statements,
)

from liftlock.errors import UnsafeRevision
from liftlock.model.lock import LockMode
from liftlock.model.operation import Operation
from liftlock.model.table import Column, DryRun, Facts
from liftlock.planning.plan import plan

CHECK = add_constraint("create_check_constraint", definition="CHECK (a > 0)", expression="a > 0")
UNIQUE = add_constraint(
    "create_unique_constraint", definition="UNIQUE (a, id)", columns=("a", "id")
)
PRIMARY_KEY = add_constraint(
    "create_primary_key", definition="PRIMARY KEY (id, a)", columns=("id", "a")
)
EXCLUDE = Operation(
    "create_exclude_constraint",
    "app.t",
    "ALTER TABLE app.t ADD EXCLUDE USING gist (a WITH =)",
    relation="app.t",
)
ORPHANS = (
    "SELECT CAST(child.ctid AS text) AS ctid FROM ONLY t AS child"
    ' WHERE child."a" IS NOT NULL AND NOT EXISTS'
    ' (SELECT FROM o AS parent WHERE parent."id" = child."a") LIMIT 5'
)
WITHOUT_KEYS = replace(BIG, constraints=())


def named(operation: Operation, name: str) -> Operation:
    """Return the operation with a name for its constraint."""
    return replace(operation, details=replace(operation.details, name=name))


def test_check_is_added_not_valid_and_validated() -> None:
    """Rows that violate it are found first: a NOT VALID check rejects each update of them."""
    steps = plan(CHECK, facts())
    assert statements(steps) == [
        'SELECT "id" FROM t WHERE NOT (a > 0) LIMIT 5',
        'ALTER TABLE t ADD CONSTRAINT "t_check" CHECK (a > 0) NOT VALID',
        'ALTER TABLE t VALIDATE CONSTRAINT "t_check"',
    ]
    assert steps[2].undo == ('ALTER TABLE t DROP CONSTRAINT IF EXISTS "t_check"',)


@pytest.mark.parametrize(
    ("columns", "taken", "expected"),
    [
        ((), frozenset(), "t_check"),
        (("a",), frozenset(), "t_a_check"),
        (("a", "id"), frozenset(), "t_check"),
        (("a",), frozenset({"t_a_check"}), "t_a_check1"),
    ],
)
def test_name_of_a_check(columns: tuple[str, ...], taken: frozenset[str], expected: str) -> None:
    """PostgreSQL uses the column of a one-column check."""
    table = replace(BIG, constraint_names=taken)
    steps = plan(CHECK, facts(table, dry_run=DryRun(check_columns=(columns,))))
    assert f'ADD CONSTRAINT "{expected}"' in steps[1].sql


def test_foreign_key_is_added_not_valid_and_validated() -> None:
    """The scan happens in VALIDATE, under a lock that blocks nothing."""
    steps = plan(ADD_FOREIGN_KEY, facts(WITHOUT_KEYS))
    assert statements(steps) == [
        ORPHANS,
        'ALTER TABLE t ADD CONSTRAINT "t_a_fkey" FOREIGN KEY (a) REFERENCES o (id) NOT VALID',
        'ALTER TABLE t VALIDATE CONSTRAINT "t_a_fkey"',
    ]
    assert steps[2].undo


def test_foreign_key_locks_the_referenced_table_first() -> None:
    """An application that writes parent rows before child rows can't deadlock with it."""
    step = plan(ADD_FOREIGN_KEY, facts())[1]
    assert (step.tables, step.lock) == (("o", "t"), LockMode.SHARE_ROW_EXCLUSIVE)


def test_foreign_key_avoids_a_name_in_use() -> None:
    """As PostgreSQL does."""
    table = replace(BIG, constraint_names=frozenset({"t_a_fkey"}))
    assert '"t_a_fkey1"' in plan(ADD_FOREIGN_KEY, facts(table))[1].sql
    assert '"mine"' in plan(named(ADD_FOREIGN_KEY, "mine"), facts(table))[1].sql


def test_foreign_key_ignores_rows_of_inheritance_children() -> None:
    """ONLY leaves them out; the rows of partitions are the table's own."""
    tables = {"t": PARTITIONED, "o": PARENT}
    find = plan(ADD_FOREIGN_KEY, facts(tables=tables))[0].sql
    assert "FROM t AS child" in find
    assert "FROM ONLY o AS parent" in find


def test_foreign_key_without_referenced_columns_has_no_query() -> None:
    """It references the primary key, whose columns aren't known."""
    operation = replace(ADD_FOREIGN_KEY, details=replace(FOREIGN_KEY, refers_columns=()))
    assert names(plan(operation, facts())) == ["add", "validate"]


@pytest.mark.parametrize("operation", [CHECK, ADD_FOREIGN_KEY])
def test_constraint_that_the_revision_adds_not_valid(operation: Operation) -> None:
    """The revision validates it itself, or never."""
    details = replace(operation.details, not_valid=True)
    assert names(plan(replace(operation, details=details), facts())) == ["plain"]


def test_foreign_key_of_a_small_table_to_a_large_one() -> None:
    """The scan of the small table is brief, but the lock on the large one blocks writes."""
    assert len(plan(ADD_FOREIGN_KEY, facts(tables={"t": SMALL, "o": PARENT}))) == 3
    small = replace(PARENT, bytes=1)
    assert names(plan(ADD_FOREIGN_KEY, facts(tables={"t": SMALL, "o": small}))) == ["plain"]


def test_foreign_key_to_a_partitioned_table_before_postgresql_18() -> None:
    """It can't be validated later; the message has the code for a key that isn't validated."""
    tables = {"t": BIG, "o": replace(PARENT, kind="p")}
    with pytest.raises(UnsafeRevision, match="LL-TABLE-REWRITE") as caught:
        plan(ADD_FOREIGN_KEY, facts(tables=tables, server=170004))
    assert "PostgreSQL 17 can't validate such a key later" in caught.value.what
    assert (
        'op.create_foreign_key("t_a_fkey", "t", "o", ["a"], ["id"], postgresql_not_valid=True)'
        in caught.value.now
    )
    assert len(plan(ADD_FOREIGN_KEY, facts(tables=tables, server=180000))) == 3


def test_foreign_key_to_a_partitioned_table_can_be_allowed() -> None:
    """It then runs unchanged."""
    allowed = Facts(
        tables={"t": BIG, "o": replace(PARENT, kind="p")},
        server=170004,
        allowed=frozenset({"LL-TABLE-REWRITE"}),
    )
    assert names(plan(ADD_FOREIGN_KEY, allowed)) == ["plain"]


def test_unique_constraint_uses_an_index_that_was_built_concurrently() -> None:
    """The name is PostgreSQL's own."""
    steps = plan(UNIQUE, facts())
    assert statements(steps) == [
        'CREATE UNIQUE INDEX CONCURRENTLY "t_a_id_key" ON t ("a", "id")',
        'ALTER TABLE t ADD CONSTRAINT "t_a_id_key" UNIQUE USING INDEX "t_a_id_key"',
    ]


def test_unique_constraint_keeps_its_options() -> None:
    """INCLUDE belongs to the index, DEFERRABLE to the constraint."""
    details = {"columns": ("a",), "index": " INCLUDE (id)", "deferral": " DEFERRABLE"}
    operation = add_constraint("create_unique_constraint", name="u", **details)
    build, attach = plan(operation, facts())
    assert build.sql == 'CREATE UNIQUE INDEX CONCURRENTLY "u" ON t ("a") INCLUDE (id)'
    assert attach.sql == 'ALTER TABLE t ADD CONSTRAINT "u" UNIQUE USING INDEX "u" DEFERRABLE'


def test_primary_key_sets_not_null_first() -> None:
    """ADD PRIMARY KEY USING INDEX would scan the table for nulls under ACCESS EXCLUSIVE."""
    steps = plan(PRIMARY_KEY, facts())
    assert names(steps) == [
        "look at a",
        "add helper for a",
        "validate helper for a",
        "set a",
        "drop helper for a",
        "build",
        "attach",
    ]
    assert steps[-1].sql == 'ALTER TABLE t ADD CONSTRAINT "t_pkey" PRIMARY KEY USING INDEX "t_pkey"'


def test_duplicates_in_a_primary_key_reverse_not_null() -> None:
    """Only for the columns that the recipe has changed."""
    build = plan(PRIMARY_KEY, facts())[-2]
    assert build.undo == ('ALTER TABLE t ALTER COLUMN "a" DROP NOT NULL',)
    not_null = replace(BIG, columns=(Column("id", "integer", not_null=True),))
    assert plan(PRIMARY_KEY, facts(not_null))[0].undo == ()


def test_unique_constraint_of_a_partitioned_table() -> None:
    """It is added to each partition."""
    steps = plan(UNIQUE, facts(PARTITIONED))
    assert names(steps)[:3] == ["add", "build on p1", "constrain p1"]


def test_exclusion_constraint_on_a_table_in_use_is_refused() -> None:
    """PostgreSQL can't build its index concurrently; the message has the code of another way."""
    with pytest.raises(UnsafeRevision, match="LL-EXCLUSION-CONSTRAINT") as caught:
        plan(EXCLUDE, facts(tables={"app.t": BIG}))
    assert "op.execute('CREATE TABLE app.\"t_new\" (LIKE app.t INCLUDING ALL)')" in caught.value.now
    assert (
        "op.execute('ALTER TABLE app.\"t_new\" ADD EXCLUDE USING gist (a WITH =)')"
        in caught.value.now
    )


def test_exclusion_constraint_on_a_new_table_is_unchanged() -> None:
    """No other session uses the table."""
    assert names(plan(EXCLUDE, facts(tables={"app.t": NEW}))) == ["plain"]
