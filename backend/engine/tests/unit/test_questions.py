"""What a real database is asked, and what is kept from the revisions."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from liftlock.broker.process import without_address
from liftlock.broker.row_queries import Relation, RowQuery, RowsWanted, statement

ASKED = RowQuery(RowsWanted.ORPHANED, "t", ('a"b', "c:d"), "other", ("x", "y"))
TABLE = Relation('s."t:x"', frozenset({'a"b', "c:d", "id"}), ("id",), partitioned=False)
OTHER = Relation("s.other", frozenset({"x", "y"}), (), partitioned=True)


@pytest.mark.parametrize("rows", RowsWanted)
def test_a_question_survives_being_written_down(rows: RowsWanted) -> None:
    """As JSON, between two processes."""
    asked = replace(ASKED, rows=rows, type="integer")
    assert RowQuery.from_dict(json.loads(json.dumps(asdict(asked)))) == asked
    sql, parameters = statement(asked, TABLE, OTHER)
    assert (sql.startswith("SELECT "), parameters) == (True, {"type": "integer"})


def test_names_are_quoted() -> None:
    """Those of columns whatever they hold; a colon is no parameter."""
    sql, _ = statement(ASKED, TABLE, OTHER)
    assert 't."a""b" IS NOT NULL AND t."c\\:d" IS NOT NULL' in sql
    assert 'FROM ONLY s."t\\:x" AS t' in sql
    assert "FROM s.other AS r" in sql


@pytest.mark.parametrize(
    "names", [(), ("json_agg",), ("id; DROP TABLE t",), ('a"b', "nowhere"), ("id",) * 33]
)
def test_what_is_no_column_is_not_asked(names: tuple[str, ...]) -> None:
    """Neither of the table nor of what it refers to: PostgreSQL takes `t.name` for `name(t)` where there is no such column."""
    for asked, table, other in (
        (replace(ASKED, columns=names), TABLE, OTHER),
        (replace(ASKED, refers_columns=names), TABLE, OTHER),
    ):
        with pytest.raises(ValueError, match="has no columns"):
            statement(asked, table, other)


@pytest.mark.parametrize(
    "given", [["--data-url", "postgresql://u:secret@h/d"], ["--data-url=postgresql://u:secret@h/d"]]
)
def test_the_address_is_taken_out_of_the_arguments(given: list[str]) -> None:
    """In both forms, wherever it stands."""
    around = ["-P", "/bin/liftlock", "-c", "a.ini", "check"], ["--chain", "-o", "json=x"]
    assert without_address([*around[0], *given, *around[1]]) == [*around[0], *around[1]]
    assert without_address([*around[0], *around[1], *given]) == [*around[0], *around[1]]
    assert without_address(["check"]) == ["check"]
