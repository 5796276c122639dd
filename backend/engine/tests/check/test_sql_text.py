"""Facts about SQL text."""

from __future__ import annotations

import pytest

from liftlock.check.sql_text import converts_by_expression, mentions, removes_or_renames


@pytest.mark.parametrize(
    ("sql", "name", "expected"),
    [
        ("DROP TABLE person", "person", True),
        ('DROP TABLE "Person"', "person", True),
        ("DROP TABLE persons", "person", False),
        ("DROP TABLE my_person", "person", False),
        ("ALTER TABLE a.person DROP x", "person", True),
        ("DROP TABLE a.b", "a.b", True),
    ],
)
def test_mentions(sql: str, name: str, *, expected: bool) -> None:
    """Whole words only, in any case."""
    assert mentions(sql, name) is expected


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("ALTER TABLE t DROP COLUMN a", True),
        ("ALTER TABLE t RENAME a TO b", True),
        ("TRUNCATE t", True),
        ("COMMENT ON TABLE t IS ''", True),
        ("ALTER TABLE t ADD COLUMN a int", False),
        ("ALTER TABLE t ADD COLUMN dropped int", False),
    ],
)
def test_removes_or_renames(sql: str, *, expected: bool) -> None:
    """By keywords."""
    assert removes_or_renames(sql) is expected


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("ALTER TABLE t ALTER a TYPE int USING a::int", True),
        ("alter table t alter a type int\n using a::int", True),
        ("ALTER TABLE t ALTER a TYPE int", False),
        ("CREATE INDEX i ON t USING gin (a)", False),
    ],
)
def test_converts_by_expression(sql: str, *, expected: bool) -> None:
    """TYPE and USING, in this order."""
    assert converts_by_expression(sql) is expected
