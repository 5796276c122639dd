"""Indexes and constraints on tables that violate them, are new, replaced or partitioned."""

from __future__ import annotations

import pytest
from acceptance.support.databases import assert_nothing_is_left, database_state
from acceptance.support.processes import run_liftlock
from acceptance.support.raw_sql import BUILDS_INDEX, has_valid_index
from helpers import (
    ALL_TABLES_LARGE,
    PairFactory,
    ProjectFactory,
    assert_failed,
    assert_succeeded,
    connected,
    ended,
    rows,
    until,
)

pytestmark = [pytest.mark.every_major, pytest.mark.kills]


def test_not_valid_not_null_constraint_is_validated(uncommon_pair: PairFactory) -> None:
    """Since PostgreSQL 18 NOT NULL may be NOT VALID; setting it validates the constraint."""
    _, ours = uncommon_pair('op.alter_column("stop", "n", nullable=False)')
    with connected(ours.database) as session:
        if session.info.server_version < 180000:
            pytest.skip("since PostgreSQL 18")
        session.execute("INSERT INTO stop (city) VALUES (1)")
        session.execute("ALTER TABLE stop ADD CONSTRAINT c NOT NULL n NOT VALID")
    assert run_liftlock(ours, "upgrade") == 5
    with connected(ours.database) as session:
        session.execute("DELETE FROM stop WHERE n IS NULL")
    assert run_liftlock(ours, "upgrade") == 0
    validated = "SELECT convalidated FROM pg_constraint WHERE conname = 'c'"
    assert rows(ours.database, validated) == [True]
    assert_nothing_is_left(ours.database)


def test_violated_primary_key_is_undone(
    uncommon_pair: PairFactory,
) -> None:
    """If rows violate a primary key, its columns are nullable again."""
    _, ours = uncommon_pair('op.create_primary_key("pk", "stop", ["zone"])')
    before = database_state(ours.database)
    assert run_liftlock(ours, "upgrade") == 5
    assert database_state(ours.database) == before


def test_existing_table_is_indexed_concurrently_after_create_if_not_exists(
    uncommon_pair: PairFactory,
) -> None:
    """CREATE TABLE IF NOT EXISTS of an existing table does not make it a new one."""
    _, ours = uncommon_pair(
        'op.create_table("stop", sa.Column("n", sa.Integer), if_not_exists=True)\n'
        'op.create_index("ix", "stop", ["n"])'
    )
    done = ours.run("plan", **ALL_TABLES_LARGE)
    assert "CREATE INDEX CONCURRENTLY" in done.stdout, done.stdout + done.stderr


TABLE_OF_DAYS = """
CREATE TABLE day (at date, n integer) PARTITION BY RANGE (at);
CREATE TABLE day_1 PARTITION OF day FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE day_2 PARTITION OF day FOR VALUES FROM ('2021-01-01') TO ('2022-01-01');
"""


@pytest.mark.parametrize(
    "change",
    [
        "op.create_index('ux', 'day', ['n', 'at'], unique=True)",
        "op.create_unique_constraint('ux', 'day', ['n', 'at'])",
    ],
)
def test_duplicates_in_a_later_partition_undo_the_unique_index(
    item_project: ProjectFactory, change: str
) -> None:
    """Indexes of earlier partitions are dropped; after a correction the next run succeeds."""
    project = item_project(change)
    with connected(project.database) as session:
        session.execute(TABLE_OF_DAYS)
        session.execute(
            "INSERT INTO day VALUES ('2020-02-01', 1), ('2021-02-01', 2), ('2021-02-01', 2)"
        )
    assert_failed(project.run("upgrade", **ALL_TABLES_LARGE), "LL-STEP-FAILED", 5)
    indexes = "SELECT count(*) FROM pg_index WHERE indrelid::regclass::text LIKE 'day%'"
    assert rows(project.database, indexes) == [0]
    with connected(project.database) as session:
        session.execute("DELETE FROM day_2 WHERE ctid = '(0,1)'")
    assert_succeeded(project.run("upgrade", **ALL_TABLES_LARGE))
    assert rows(project.database, f"{indexes} AND indisvalid") == [3]


def test_nulls_not_distinct_on_partitioned_table(item_project: ProjectFactory) -> None:
    """NULLS NOT DISTINCT (PostgreSQL 15) applies to all partitions."""
    project = item_project(
        "op.create_unique_constraint('ux', 'day', ['n', 'at'], postgresql_nulls_not_distinct=True)"
    )
    with connected(project.database) as session:
        if session.info.server_version < 150000:
            pytest.skip("since PostgreSQL 15")
        session.execute(TABLE_OF_DAYS)
        session.execute("INSERT INTO day VALUES ('2020-02-01', 1)")
    assert_succeeded(project.run("upgrade", **ALL_TABLES_LARGE))
    assert rows(project.database, "SELECT count(*) FROM pg_index WHERE indnullsnotdistinct") == [3]


STEPS_OF_R1 = """
SELECT s.operation || ' ' || s.does
FROM liftlock.steps AS s JOIN liftlock.executions AS e ON e.id = execution
WHERE revision = 'r1'
"""


def test_table_renamed_to_an_existing_name_is_indexed_concurrently(
    item_project: ProjectFactory,
) -> None:
    """After the renaming the application uses the table, though the revision created it."""
    project = item_project(f"""
op.create_table("fresh", sa.Column("id", sa.Integer), sa.Column("size", sa.Integer))
op.rename_table("item", "old")
op.rename_table("fresh", "item")
{BUILDS_INDEX}
""")
    assert_succeeded(project.run("upgrade", **ALL_TABLES_LARGE))
    assert "create_index build" in rows(project.database, STEPS_OF_R1)


def test_foreign_key_of_a_new_table_with_many_rows_is_validated_separately(
    item_project: ProjectFactory,
) -> None:
    """Otherwise rows of the referenced table could not be written while it is validated."""
    filled = "SELECT 1 + i % 1000, repeat('x', 100) FROM generate_series(1, 20000) AS i"
    project = item_project(f"""
op.create_table("fresh", sa.Column("id", sa.Integer), sa.Column("text", sa.Text))
op.execute("INSERT INTO fresh {filled}")
op.create_foreign_key("fk", "fresh", "item", ["id"], ["id"])
""")
    assert_succeeded(project.run("upgrade", **ALL_TABLES_LARGE))
    assert "create_foreign_key validate" in rows(project.database, STEPS_OF_R1)


TABLE_OF_VISITS = """
CREATE TABLE visit (day integer) PARTITION BY LIST (day);
CREATE TABLE visit_1 PARTITION OF visit FOR VALUES IN (1);
CREATE TABLE visit_2 PARTITION OF visit FOR VALUES IN (2);
INSERT INTO visit VALUES (1), (2);
"""
INDEX_BUILD_WAITS = """
SELECT count(*) FROM pg_stat_activity
WHERE wait_event_type = 'Lock' AND query LIKE 'CREATE INDEX CONCURRENTLY%'
"""


def test_partition_dropped_during_the_index_build_is_skipped(
    item_project: ProjectFactory,
) -> None:
    """A partition that is dropped while another is indexed needs no index."""
    project = item_project("op.create_index('ix_day', 'visit', ['day'])")
    with connected(project.database) as session:
        session.execute(TABLE_OF_VISITS)
    with connected(project.database) as writer, connected(project.database) as session:
        writer.execute("BEGIN")
        writer.execute("LOCK TABLE visit_1 IN ROW EXCLUSIVE MODE")
        running = project.start("upgrade", **ALL_TABLES_LARGE)
        until(lambda: rows(project.database, INDEX_BUILD_WAITS) == [1])
        session.execute("DROP TABLE visit_2")
        writer.execute("COMMIT")
    assert_succeeded(ended(running))
    assert has_valid_index(project, "ix_day")
