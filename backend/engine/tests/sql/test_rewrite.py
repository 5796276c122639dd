"""Changes of a statement's text, and parts of definitions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.sql import (
    constraint_definition,
    identity_options,
    index_definition,
    is_serial,
    parse,
    rewrite,
    same_definition,
)


@pytest.mark.parametrize(
    ("plain", "concurrent"),
    [
        ("CREATE INDEX i ON t (a)", "CREATE INDEX CONCURRENTLY i ON t (a)"),
        (
            " create  unique\tindex\n i ON t (a) ",
            " create  unique\tindex CONCURRENTLY\n i ON t (a) ",
        ),
        ("CREATE INDEX ON t (a)", "CREATE INDEX CONCURRENTLY ON t (a)"),
        (
            "/* CREATE INDEX a */ CREATE INDEX IF NOT EXISTS i ON t (a)",
            "/* CREATE INDEX a */ CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a)",
        ),
        (
            'CREATE INDEX "concurrently" ON t (a)',
            'CREATE INDEX CONCURRENTLY "concurrently" ON t (a)',
        ),
        ("CREATE INDEX/* x */i ON t (a)", "CREATE INDEX CONCURRENTLY/* x */i ON t (a)"),
        ("CREATE INDEX é ON t (a) WHERE x y", "CREATE INDEX CONCURRENTLY é ON t (a) WHERE x y"),
    ],
)
def test_create_index(plain: str, concurrent: str) -> None:
    """One word is inserted or removed."""
    assert rewrite.create_index_concurrently(plain) == concurrent
    assert rewrite.create_index_concurrently(concurrent) == concurrent
    assert rewrite.without_concurrently(concurrent) == plain
    assert rewrite.without_concurrently(plain) == plain


@pytest.mark.parametrize(
    ("plain", "concurrent"),
    [
        ("DROP INDEX i", "DROP INDEX CONCURRENTLY i"),
        ("drop index if exists a.i;", "drop index CONCURRENTLY if exists a.i;"),
    ],
)
def test_drop_index(plain: str, concurrent: str) -> None:
    """As for CREATE INDEX."""
    assert rewrite.drop_index_concurrently(plain) == concurrent
    assert rewrite.drop_index_concurrently(concurrent) == concurrent
    assert rewrite.without_concurrently(concurrent) == plain


@pytest.mark.parametrize(
    "sql", ["", "DROP TABLE t", "CREATE UNIQUE", "REINDEX INDEX CONCURRENTLY i"]
)
def test_other_statements_stay(sql: str) -> None:
    """They are returned as they are."""
    assert rewrite.create_index_concurrently(sql) == sql
    assert rewrite.drop_index_concurrently(sql) == sql
    assert rewrite.without_concurrently(sql) == sql
    assert rewrite.without_if_not_exists(sql) == sql


def test_a_comment_within_the_command_stays() -> None:
    """Only the keyword goes."""
    sql = "CREATE INDEX /* a */ CONCURRENTLY -- b\n i ON t (a)"
    assert rewrite.without_concurrently(sql) == "CREATE INDEX /* a */ -- b\n i ON t (a)"


@pytest.mark.parametrize(
    ("sql", "without"),
    [
        ("CREATE INDEX IF NOT EXISTS i ON t (a)", "CREATE INDEX i ON t (a)"),
        (
            "CREATE UNIQUE INDEX CONCURRENTLY if  not exists i ON t (a)",
            "CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)",
        ),
        ("CREATE INDEX i ON t (' IF NOT EXISTS ')", "CREATE INDEX i ON t (' IF NOT EXISTS ')"),
    ],
)
def test_without_if_not_exists(sql: str, without: str) -> None:
    """An index that is left over must not pass for the new one."""
    assert rewrite.without_if_not_exists(sql) == without


@given(st.lists(st.sampled_from([" ", "\n", "/* a */", "-- b\n", "\t"]), min_size=3, max_size=3))
def test_concurrently_comes_and_goes(spaces: list[str]) -> None:
    """With any white space between the words."""
    first, second, third = spaces
    sql = f"CREATE{first}INDEX{second}i{third}ON t (a)"
    concurrent = rewrite.create_index_concurrently(sql)
    assert parse(concurrent).is_concurrent
    assert rewrite.without_concurrently(concurrent) == sql


@pytest.mark.parametrize(
    ("sql", "definition"),
    [
        ("CREATE INDEX i ON t (a)", "(a)"),
        (
            'CREATE UNIQUE INDEX i ON ONLY a."B.c" USING btree (a, b) WHERE c',
            "USING btree (a, b) WHERE c",
        ),
        ("CREATE INDEX CONCURRENTLY ON t USING gin (a)", "USING gin (a)"),
        ("CREATE INDEX i ON t", ""),
        ("DROP INDEX i", ""),
    ],
)
def test_index_definition(sql: str, definition: str) -> None:
    """The part after the table."""
    assert index_definition(sql) == definition


@pytest.mark.parametrize(
    ("text", "definition"),
    [
        ("CONSTRAINT k CHECK (a > 0)", "CHECK (a > 0)"),
        ('CONSTRAINT "a ""b"" CONSTRAINT c" UNIQUE (a)', "UNIQUE (a)"),
        ("CHECK (a > 0)", "CHECK (a > 0)"),
        ("FOREIGN KEY(a) REFERENCES t (b)", "FOREIGN KEY(a) REFERENCES t (b)"),
        ("CONSTRAINT k NOT NULL a NOT VALID", "NOT NULL a NOT VALID"),
        ("CONSTRAINT k", "CONSTRAINT k"),
        ("", ""),
    ],
)
def test_constraint_definition(text: str, definition: str) -> None:
    """Without the name that it may begin with."""
    assert constraint_definition(text) == definition


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("GENERATED BY DEFAULT AS IDENTITY", ""),
        (
            "GENERATED ALWAYS AS IDENTITY (START WITH 5 INCREMENT BY 2)",
            "START WITH 5 INCREMENT BY 2",
        ),
        ('GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME "a)" CYCLE)', 'SEQUENCE NAME "a)" CYCLE'),
        ("", ""),
    ],
)
def test_identity_options(text: str, options: str) -> None:
    """The text in the parentheses."""
    assert identity_options(text) == options


@pytest.mark.parametrize(
    "specification",
    [
        "id SERIAL NOT NULL",
        '"my id" BIGSERIAL',
        '"a""b" smallserial PRIMARY KEY',
        "id serial4",
    ],
)
def test_serial_columns(specification: str) -> None:
    """The pseudo-types are known by their names."""
    assert is_serial(specification)


@pytest.mark.parametrize(
    "specification",
    [
        "serial INTEGER",
        "id VARCHAR DEFAULT 'SERIAL'",
        'id "Serial"',
        "id app.serial",
        "id serial.domain",
        "id",
    ],
)
def test_other_columns(specification: str) -> None:
    """The word may be a name, a string, or the schema of a type."""
    assert not is_serial(specification)


def test_same_definition() -> None:
    """Spelling is no difference."""
    key = 'FOREIGN KEY("a") REFERENCES T (id)'
    assert same_definition(key, "foreign key (a)\nREFERENCES t(id) -- same")
    assert not same_definition(key, "FOREIGN KEY (b) REFERENCES t (id)")
    assert not same_definition("CHECK (a = 'B')", "CHECK (a = 'b')")
    assert not same_definition('CHECK ("A" > 0)', "CHECK (a > 0)")
