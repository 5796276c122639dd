"""Tests of the queries for rows of a real database: one JSON round trip, quoting, and names."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from liftlock.broker.row_queries import Relation, RowQuery, RowsWanted, statement

NULLS = RowQuery(RowsWanted.NULL, "t", ("a",))
DUPLICATES = RowQuery(RowsWanted.SAME, "t", ("a", "b"))
ORPHANS = RowQuery(RowsWanted.ORPHANED, "t", ('a"b', "c:d"), "other", ("x", "y"))
UNFIT = RowQuery(RowsWanted.UNFIT, "t", ("a",), type="integer")

T = Relation("s.t", frozenset({"id", "a", "b"}), ("id",), partitioned=False)
QUOTED = Relation('s."t:x"', frozenset({'a"b', "c:d", "id"}), ("id",), partitioned=False)
OTHER = Relation("s.other", frozenset({"x", "y"}), (), partitioned=True)


@pytest.mark.parametrize("query", [NULLS, DUPLICATES, ORPHANS, UNFIT])
def test_query_survives_json(query: RowQuery) -> None:
    """The broker reads what its client wrote."""
    assert RowQuery.from_dict(json.loads(json.dumps(asdict(query)))) == query


SQL = {
    NULLS: """
        SELECT t."id" FROM s.t AS t WHERE t."a" IS NULL LIMIT 5
    """,
    DUPLICATES: """
        SELECT CAST(min(t.ctid) AS text) AS first, count(*) AS times FROM ONLY s.t AS t
        WHERE t."a" IS NOT NULL AND t."b" IS NOT NULL
        GROUP BY t."a", t."b" HAVING count(*) > 1 LIMIT 5
    """,
    UNFIT: """
        SELECT t."id" FROM s.t AS t
        WHERE t."a" IS NOT NULL
        AND NOT pg_catalog.pg_input_is_valid(CAST(t."a" AS pg_catalog.text), :type) LIMIT 5
    """,
    replace(ORPHANS, columns=("a", "b")): """
        SELECT t."id" FROM ONLY s.t AS t
        WHERE t."a" IS NOT NULL AND t."b" IS NOT NULL
        AND NOT EXISTS (SELECT FROM s.other AS r WHERE r."x" = t."a" AND r."y" = t."b") LIMIT 5
    """,
}


@pytest.mark.parametrize("query", SQL)
def test_sql_of_each_query(query: RowQuery) -> None:
    """Only the key of the rows is selected; partitions count as rows, inherited rows don't."""
    assert statement(query, T, OTHER)[0] == " ".join(SQL[query].split())


def test_rows_without_primary_key_are_identified_by_ctid() -> None:
    """A table without a primary key has no other name for its rows."""
    sql, _ = statement(NULLS, replace(T, key=()))
    assert sql.startswith("SELECT CAST(t.ctid AS text) AS ctid FROM")


def test_type_is_a_parameter() -> None:
    """The type of a request never becomes a part of the SQL text."""
    assert statement(UNFIT, T)[1] == {"type": "integer"}
    assert statement(NULLS, T)[1] == {}


def test_names_are_quoted_and_colons_escaped() -> None:
    """A colon in a name isn't read as the beginning of a parameter."""
    sql, _ = statement(ORPHANS, QUOTED, OTHER)
    assert 't."a""b" IS NOT NULL AND t."c\\:d" IS NOT NULL' in sql
    assert 'FROM ONLY s."t\\:x" AS t' in sql
    assert "FROM s.other AS r" in sql


@pytest.mark.parametrize(
    "names", [(), ("json_agg",), ("id; DROP TABLE t",), ('a"b', "nowhere"), ("id",) * 33]
)
def test_unknown_columns_are_refused(names: tuple[str, ...]) -> None:
    """PostgreSQL reads `t.name` as `name(t)` if the table has no such column."""
    for query in (replace(ORPHANS, columns=names), replace(ORPHANS, refers_columns=names)):
        with pytest.raises(ValueError, match="has no columns"):
            statement(query, QUOTED, OTHER)


def test_orphans_need_a_referred_table() -> None:
    """A request without that table is refused."""
    with pytest.raises(ValueError, match="other"):
        statement(ORPHANS, QUOTED)


@pytest.mark.parametrize(
    ("query", "version"), [(NULLS, 0), (DUPLICATES, 0), (ORPHANS, 0), (UNFIT, 160000)]
)
def test_first_server_version_of_a_query(query: RowQuery, version: int) -> None:
    """Only `pg_input_is_valid` needs a new server."""
    assert query.since == version
