from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from liftlock.model.operation import BackfillDetails
from liftlock.postgres.dry_run import DryRunFailed, EmptyCopy
from liftlock.postgres.session import Session, connect, execute
from liftlock.settings import Address


@pytest.fixture
def session(database: Address) -> Iterator[Session]:
    """A transaction with a table, which is rolled back."""
    with connect(database, "test") as session:
        session.execute("BEGIN")
        session.execute(
            "CREATE TABLE item (id integer PRIMARY KEY, size integer CHECK (item.size > 0),"
            " name varchar(10))"
        )
        session.execute("CREATE INDEX by_name ON item (name)")
        yield session
        session.execute("ROLLBACK")


def copy_of(session: Session, relation: str = "public.item") -> EmptyCopy:
    """Return an empty copy of a table."""

    def rows(statement: str, parameters: Mapping[str, object]) -> list[dict[str, Any]]:
        return execute(session, statement, parameters).fetchall()

    def send(statement: str) -> list[dict[str, Any]]:
        cursor = session.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []

    return EmptyCopy(rows, send, relation)


@pytest.mark.parametrize(
    ("action", "rewrites", "rebuilds"),
    [
        ("ALTER COLUMN name TYPE varchar(20)", False, False),
        ("ALTER COLUMN name TYPE varchar(5)", True, True),
        ("ALTER COLUMN size TYPE bigint", True, True),
        ("ADD COLUMN note text", False, False),
        ("ALTER COLUMN name SET STATISTICS 10", False, False),
        ('ALTER COLUMN name TYPE varchar(10) COLLATE "C"', False, True),
    ],
)
def test_rewrites_and_rebuilt_indexes_are_seen(
    session: Session, action: str, *, rewrites: bool, rebuilds: bool
) -> None:
    """An empty table is rewritten exactly when a full one would be."""
    result = copy_of(session).alter_table(f"ALTER TABLE public.item {action}")
    assert (result.rewrites, result.rebuilds) == (rewrites, rebuilds)


def test_the_columns_of_new_check_constraints_are_seen(session: Session) -> None:
    """PostgreSQL finds them in the expression, which may name the table."""
    sql = "ALTER TABLE public.item ADD CHECK (item.size < item.id)"
    assert copy_of(session).alter_table(sql).check_columns == (("id", "size"),)


def test_a_failing_statement_is_reported(session: Session) -> None:
    """It would fail on the table for the same reason."""
    with pytest.raises(DryRunFailed):
        copy_of(session).alter_table("ALTER TABLE public.item DROP COLUMN missing")


@pytest.mark.parametrize(
    ("default", "rewrites", "type_rewrites"),
    [("", False, False), (" DEFAULT 1", False, False), (" DEFAULT random()", True, False)],
)
def test_a_volatile_default_rewrites_but_its_type_does_not(
    session: Session, default: str, *, rewrites: bool, type_rewrites: bool
) -> None:
    """So the column can be added without the default and filled in batches."""
    sql = f"ALTER TABLE public.item ADD COLUMN n float{default}"
    result = copy_of(session).add_column(sql, "n", "float")
    assert (result.rewrites, result.type_rewrites) == (rewrites, type_rewrites)


def test_the_type_of_a_new_column_may_rewrite_the_table(session: Session) -> None:
    """A domain with a check constraint does, as the default NULL is checked for each row."""
    session.execute("CREATE DOMAIN positive AS integer CHECK (VALUE > 0)")
    sql = "ALTER TABLE public.item ADD COLUMN n positive DEFAULT random() * 9 + 1"
    result = copy_of(session).add_column(sql, "n", "positive")
    assert (result.rewrites, result.type_rewrites) == (True, True)


def test_the_replacement_of_a_column_is_described_in_its_new_type(session: Session) -> None:
    """PostgreSQL writes the definitions of what depends on it."""
    sql = "ALTER TABLE public.item ALTER COLUMN size TYPE bigint"
    replacement = copy_of(session).alter_type(sql, "size", "liftlock_size").replacement
    assert replacement is not None
    assert replacement.type == "bigint"
    assert [check.definition for check in replacement.checks] == ["CHECK ((liftlock_size > 0))"]


@pytest.mark.parametrize(
    ("values", "where", "fails"),
    [
        ("size = 1", "", False),
        ("id = id + 1", "", True),
        ("id = id + 1", "size IS NULL", False),
    ],
)
def test_an_update_of_the_columns_that_locate_rows_fails(
    session: Session, values: str, where: str, *, fails: bool
) -> None:
    """Columns of a unique key count if each row must be updated once."""
    details = BackfillDetails(values=values, where=where)
    copy = copy_of(session)
    if fails:
        with pytest.raises(Exception, match="generated column"):
            copy.update(details)
    else:
        copy.update(details)


@pytest.mark.parametrize(
    ("sql", "defines"),
    [
        ("CREATE INDEX CONCURRENTLY by_name ON public.item (name)", True),
        ("CREATE INDEX by_name ON public.item (name DESC)", False),
        ("CREATE INDEX by_name ON public.item (size)", False),
        ("CREATE UNIQUE INDEX by_name ON public.item (name)", False),
        ("CREATE INDEX by_name ON public.item (name) WHERE size > 1", False),
    ],
)
def test_an_index_is_compared_with_its_definition(
    session: Session, sql: str, *, defines: bool
) -> None:
    """Columns, order, uniqueness and predicate."""
    assert copy_of(session).defines_index(sql, "public.by_name") is defines


def test_indexes_of_partitions_with_the_same_definition_are_found(session: Session) -> None:
    """PostgreSQL attaches these instead of building new ones. It doesn't compare the sort order."""
    session.execute("CREATE TABLE event (id integer, at date) PARTITION BY RANGE (at)")
    for year in (2022, 2023, 2024):
        session.execute(
            f"CREATE TABLE event_{year} PARTITION OF event"
            f" FOR VALUES FROM ('{year}-01-01') TO ('{year + 1}-01-01')"
        )
    session.execute("CREATE INDEX event_2023_id ON event_2023 (id)")
    session.execute("CREATE INDEX event_2022_id ON event_2022 (id DESC)")
    session.execute("CREATE INDEX event_2024_id ON event_2024 (id) WHERE id > 0")
    result = copy_of(session, "event").create_index("CREATE INDEX by_id ON event (id)")
    assert result.index_columns == ("id",)
    assert result.present == {"event_2022": "event_2022_id", "event_2023": "event_2023_id"}


@pytest.mark.parametrize("sql", ["CREATE INDEX ON other (id)", "CREATE INDEX ON public.items (a)"])
def test_a_statement_on_another_table_is_a_programming_error(session: Session, sql: str) -> None:
    """It isn't run on the copy."""
    with pytest.raises(ValueError, match="not a CREATE INDEX on"):
        copy_of(session).create_index(sql)
