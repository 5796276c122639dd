"""Transactions of revisions: explicit commits, unrecorded writes and deferred constraints."""

from __future__ import annotations

import pytest
from acceptance.support.databases import UNFINISHED
from acceptance.support.raw_sql import (
    BUILDS_INDEX,
    BUILDS_INDEX_CONCURRENTLY,
    FAILS,
    UNRECORDED_WRITES,
    count_items,
    executes,
    has_valid_index,
    interrupt_and_resume,
)
from helpers import (
    ALL_TABLES_LARGE,
    ProjectFactory,
    assert_refused,
    assert_succeeded,
    connected,
    rows,
)

pytestmark = [pytest.mark.every_major, pytest.mark.kills]
TABLE_WITH_DEFERRED_FOREIGN_KEY = (
    "CREATE TABLE child (item integer REFERENCES item DEFERRABLE INITIALLY DEFERRED)"
)


@pytest.mark.parametrize("way", ["op.execute({!r})", "op.get_bind().execute(sa.text({!r}))"])
@pytest.mark.parametrize("begins_again", [False, True])
def test_statements_around_a_raw_commit_run_once(
    item_project: ProjectFactory, way: str, *, begins_again: bool
) -> None:
    """Old revisions send COMMIT before CREATE INDEX CONCURRENTLY.

    Statements before and after it run once.
    """
    statements = [
        "ALTER TABLE item ADD x integer",
        "COMMIT",
        "CREATE INDEX CONCURRENTLY ix_x ON item (x)",
        "CREATE TABLE y (a integer)",
    ]
    if begins_again:
        statements += ["BEGIN", "INSERT INTO item VALUES (-9, 'x', 9)"]
    project = item_project("\n".join([*map(way.format, statements), FAILS]))
    interrupt_and_resume(project)
    assert has_valid_index(project, "ix_x")
    assert count_items(project, -9) == int(begins_again)


def test_unrecorded_writes_are_not_committed_by_an_autocommit_block(
    item_project: ProjectFactory,
) -> None:
    """Writes within a savepoint stay in the revision's transaction, and are there once."""
    project = item_project(f"""
with op.get_bind().begin_nested():
    op.get_bind().execute(sa.text("INSERT INTO item VALUES (-9, 'x', 9)"))
with op.get_context().autocommit_block():
    op.execute('CREATE TABLE y (a integer)')
{FAILS}
""")
    interrupt_and_resume(project)
    assert count_items(project, -9) == 1


@pytest.mark.parametrize("name", UNRECORDED_WRITES)
def test_unrecorded_writes_are_committed_before_statements_that_need_no_transaction(
    item_project: ProjectFactory, name: str
) -> None:
    """As with Alembic.

    Unrecorded writes are committed before a statement that cannot run in a transaction.
    """
    body = f"bind = op.get_bind()\n{UNRECORDED_WRITES[name]}\n{BUILDS_INDEX_CONCURRENTLY}"
    if name == "from a temporary table":
        body += "\nop.execute('DROP TABLE kept')"
    project = item_project(body)
    assert_succeeded(project.run("upgrade", **ALL_TABLES_LARGE))
    assert count_items(project, -9) == 1
    assert has_valid_index(project, "ix_size")


def test_deferred_constraint_prevents_an_intermediate_commit(item_project: ProjectFactory) -> None:
    """Children first: no commit comes before their parents are inserted."""
    project = item_project(
        executes(
            "INSERT INTO child VALUES (5000)",
            "SELECT pg_sleep(0.6)",
            "CREATE TABLE between (a integer)",
            "INSERT INTO item VALUES (5000)",
        )
    )
    with connected(project.database) as session:
        session.execute(TABLE_WITH_DEFERRED_FOREIGN_KEY)
    assert_succeeded(project.run("upgrade", LIFTLOCK_LOCK_TIMEOUT="1000", **ALL_TABLES_LARGE))
    children = "SELECT count(*) FROM child JOIN item ON item.id = child.item"
    assert rows(project.database, children) == [1]


def test_long_step_is_refused_while_a_deferred_constraint_is_violated(
    item_project: ProjectFactory,
) -> None:
    """The refusal names the constraint, and nothing is left."""
    child = executes("INSERT INTO child VALUES (5000)")
    parent = executes("INSERT INTO item VALUES (5000)")
    project = item_project(f"{child}\n{BUILDS_INDEX}\n{parent}")
    with connected(project.database) as session:
        session.execute(TABLE_WITH_DEFERRED_FOREIGN_KEY)
    done = project.run("upgrade", **ALL_TABLES_LARGE)
    assert_refused(done, "LL-DEFERRED-CONSTRAINT", mentions="child_item_fkey")
    assert "finished steps are committed" not in done.stderr
    assert rows(project.database, "SELECT count(*) FROM child") == [0]
    assert rows(project.database, UNFINISHED) == [0]
