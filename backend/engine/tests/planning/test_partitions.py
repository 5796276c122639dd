"""Indexes and foreign keys of partitioned tables."""

from __future__ import annotations

from dataclasses import replace

from planning.examples import (
    ADD_FOREIGN_KEY,
    PARTITIONED,
    add_constraint,
    facts,
    names,
    statements,
)

from liftlock.planning.partitions import PartitionedIndex
from liftlock.planning.plan import plan

INDEX = PartitionedIndex("t", "ix", unique=False, definition="(a)", columns=("a",), present={})
PARTITIONS = PARTITIONED.partitions


def test_index_is_built_on_each_leaf_and_attached() -> None:
    """The parent's index becomes valid with the last partition; generated names avoid clashes."""
    assert statements(INDEX.steps(PARTITIONS)) == [
        'CREATE INDEX "ix" ON ONLY t (a)',
        'CREATE INDEX CONCURRENTLY "p1_a_idx" ON p1 (a)',
        'ALTER INDEX "ix" ATTACH PARTITION "p1_a_idx"',
        'CREATE INDEX "p2_a_idx" ON ONLY s.p2 (a)',
        'ALTER INDEX "ix" ATTACH PARTITION s."p2_a_idx"',
        'CREATE INDEX CONCURRENTLY "p3_a_idx1" ON s.p3 (a)',
        'ALTER INDEX s."p2_a_idx" ATTACH PARTITION s."p3_a_idx1"',
    ]


def test_steps_of_a_partition_name_it() -> None:
    """They are skipped once it is dropped or detached."""
    partitions = [step.partition for step in INDEX.steps(PARTITIONS)]
    assert partitions == ["", "p1", "p1", "s.p2", "s.p2", "s.p3", "s.p3"]


def test_equal_index_of_a_partition_is_attached() -> None:
    """PostgreSQL would take it over, too; it includes the indexes of its own partitions."""
    index = replace(INDEX, present={"s.p2": "s.own"})
    assert names(index.steps(PARTITIONS)) == ["add", "build on p1", "attach p1", "attach p2"]
    assert statements(index.steps(PARTITIONS))[-1] == 'ALTER INDEX "ix" ATTACH PARTITION s.own'


def test_failed_build_drops_the_whole_index() -> None:
    """All indexes that are attached to it go with it."""
    (build,) = [step for step in INDEX.steps(PARTITIONS) if step.name == "build on p1"]
    assert build.undo == ('DROP INDEX IF EXISTS "ix"',)


def test_unique_constraint_is_added_to_each_leaf() -> None:
    """From the index that was built concurrently."""
    operation = add_constraint(
        "create_unique_constraint", name="u", definition="UNIQUE (a)", columns=("a",)
    )
    steps = plan(operation, facts(PARTITIONED))
    assert statements(steps) == [
        'ALTER TABLE ONLY t ADD CONSTRAINT "u" UNIQUE (a)',
        'CREATE UNIQUE INDEX CONCURRENTLY "p1_a_key" ON p1 ("a")',
        'ALTER TABLE p1 ADD CONSTRAINT "p1_a_key" UNIQUE USING INDEX "p1_a_key"',
        'ALTER INDEX "u" ATTACH PARTITION "p1_a_key"',
        'ALTER TABLE ONLY s.p2 ADD CONSTRAINT "p2_a_key" UNIQUE (a)',
        'ALTER INDEX "u" ATTACH PARTITION s."p2_a_key"',
        'CREATE UNIQUE INDEX CONCURRENTLY "p3_a_key" ON s.p3 ("a")',
        'ALTER TABLE s.p3 ADD CONSTRAINT "p3_a_key" UNIQUE USING INDEX "p3_a_key"',
        'ALTER INDEX s."p2_a_key" ATTACH PARTITION s."p3_a_key"',
    ]
    assert steps[1].undo == ('ALTER TABLE t DROP CONSTRAINT IF EXISTS "u"',)


def test_primary_key_names_contain_no_column() -> None:
    """As PostgreSQL names them."""
    operation = add_constraint("create_primary_key", definition="PRIMARY KEY (id)", columns=("id",))
    steps = plan(operation, facts(PARTITIONED))
    assert steps[0].sql == 'ALTER TABLE ONLY t ADD CONSTRAINT "t_pkey" PRIMARY KEY (id)'
    assert '"p1_pkey"' in steps[1].sql


def test_foreign_key_is_validated_on_each_leaf() -> None:
    """That of the partitioned table takes the valid keys over, without a scan."""
    steps = plan(ADD_FOREIGN_KEY, facts(PARTITIONED))[1:]
    key = 'ADD CONSTRAINT "t_a_fkey" FOREIGN KEY (a) REFERENCES o (id)'
    assert statements(steps) == [
        f"ALTER TABLE p1 {key} NOT VALID",
        'ALTER TABLE p1 VALIDATE CONSTRAINT "t_a_fkey"',
        f"ALTER TABLE s.p3 {key} NOT VALID",
        'ALTER TABLE s.p3 VALIDATE CONSTRAINT "t_a_fkey"',
        f"ALTER TABLE t {key}",
    ]
    assert [step.tables for step in steps[::2]] == [("o", "p1"), ("o", "s.p3"), ("o", "t")]


def test_orphan_drops_the_keys_of_all_leaves() -> None:
    """A partition may be gone by then."""
    validate = plan(ADD_FOREIGN_KEY, facts(PARTITIONED))[2]
    assert validate.undo == (
        'ALTER TABLE IF EXISTS p1 DROP CONSTRAINT IF EXISTS "t_a_fkey"',
        'ALTER TABLE IF EXISTS s.p3 DROP CONSTRAINT IF EXISTS "t_a_fkey"',
    )


def test_equal_key_of_a_leaf_is_taken_over() -> None:
    """PostgreSQL writes the definition with other white space and quotes."""
    first, *others = PARTITIONS
    with_key = replace(first, keys=('FOREIGN KEY (a) REFERENCES "o"(id)',))
    table = replace(PARTITIONED, partitions=(with_key, *others))
    assert names(plan(ADD_FOREIGN_KEY, facts(table))) == ["look", "add to p3", "validate p3", "add"]
