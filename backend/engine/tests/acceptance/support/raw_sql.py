"""Revisions on the table `item` that are interrupted after their first statements, and resumed."""

from __future__ import annotations

from helpers import (
    ALL_TABLES_LARGE,
    Project,
    assert_failed,
    assert_refused,
    assert_succeeded,
    connected,
    rows,
)

ITEM_TABLE = """
CREATE TABLE item (id integer PRIMARY KEY, label text, size integer);
INSERT INTO item SELECT i, 'label ' || i, i FROM generate_series(1, 1000) AS i;
CREATE FUNCTION slow(integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql
    AS 'BEGIN PERFORM pg_sleep(0.002); RETURN 0; END';
"""
FAILS = "op.execute('SELECT 1 / (SELECT count(*) FROM item WHERE size < 0)')"
"""A statement that fails until `correct_the_rows` was called."""
BUILDS_INDEX = "op.create_index('ix_size', 'item', ['size'])"
"""An operation that commits: what precedes it is in the ledger when a later statement fails."""


def correct_the_rows(project: Project) -> None:
    """Insert the row that `FAILS` needs."""
    with connected(project.database) as session:
        session.execute("INSERT INTO item VALUES (-1, 'x', -1)")


def run_until_it_fails(project: Project) -> None:
    """Upgrade a revision that contains `FAILS`, and correct the rows."""
    assert_failed(project.run("upgrade", **ALL_TABLES_LARGE), "LL-STEP-FAILED", 5)
    correct_the_rows(project)


def interrupt_and_resume(project: Project) -> None:
    """Upgrade until `FAILS`, correct the rows, and upgrade to the end."""
    run_until_it_fails(project)
    assert_succeeded(project.run("upgrade", **ALL_TABLES_LARGE))


def assert_not_resumable(project: Project, code: str) -> None:
    """Upgrade until `FAILS`, and assert that the next run refuses to resume the revision."""
    run_until_it_fails(project)
    assert_refused(project.run("upgrade", **ALL_TABLES_LARGE), code)


def executes(*statements: str) -> str:
    """Return the body of a revision that sends each statement with `op.execute`."""
    return "\n".join(f"op.execute({statement!r})" for statement in statements)


def has_valid_index(project: Project, index: str) -> bool:
    """Return whether a valid index of this name exists."""
    valid = f"SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('{index}')"
    return rows(project.database, valid) == [True]


def has_column(project: Project, column: str) -> bool:
    """Return whether the table item has a column of this name."""
    columns = (
        f"SELECT count(*) FROM pg_attribute WHERE attname = '{column}'"
        " AND attrelid = 'item'::regclass"
    )
    return rows(project.database, columns) == [1]


def count_items(project: Project, key: int) -> int:
    """Return the number of rows with this id in the table item."""
    return int(rows(project.database, f"SELECT count(*) FROM item WHERE id = {key}")[0])


UNRECORDED_WRITES = {
    "within a savepoint": (
        "with bind.begin_nested():\n"
        "    bind.execute(sa.text(\"INSERT INTO item VALUES (-9, 'x', 9)\"))"
    ),
    "of many rows": (
        "table = sa.table('item', sa.column('id', sa.Integer), sa.column('size', sa.Integer))\n"
        "rows = [{'id': -9, 'size': 9}, {'id': -8, 'size': 8}]\n"
        "bind.execute(table.insert().returning(table.c.id), rows).all()"
    ),
    "on the driver connection": (
        "bind.connection.cursor().execute(\"INSERT INTO item VALUES (-9, 'x', 9)\")"
    ),
    "from a temporary table": executes(
        "CREATE TEMP TABLE kept AS SELECT -9 AS id", "INSERT INTO item SELECT id, 'x', 9 FROM kept"
    ),
}
"""Writes of a row with the id -9, whose results liftlock cannot record."""
BUILDS_INDEX_CONCURRENTLY = (
    "with op.get_context().autocommit_block():\n"
    "    op.execute('CREATE INDEX CONCURRENTLY ix_size ON item (size)')"
)
"""A statement that cannot run inside a transaction."""
