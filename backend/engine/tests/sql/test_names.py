"""Names in SQL text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.sql import mentions, parse, quote_name, roles_created, split_name, unqualified


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("visit", ("visit",)),
        ("App.Visit", ("app", "visit")),
        ('"App"."Visit"', ("App", "Visit")),
        ('app."a.b"', ("app", "a.b")),
        ('"a""b.c"."d"', ('a"b.c', "d")),
        ("Été.x", ("Été", "x")),
        (' app . "Visit" ', ("app", "Visit")),
        ('U&"d\\0061t"', ("dat",)),
    ],
)
def test_split_name(text: str, parts: tuple[str, ...]) -> None:
    """Unquoted parts are folded as PostgreSQL folds them: ASCII letters only."""
    assert split_name(text) == parts


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("visit", "visit"),
        ("app.Visit", "Visit"),
        ('app."Visit"', "Visit"),
        ('"a.b"', "a.b"),
        ('"a.b"."c""d"', 'c"d'),
        ("a.b.c", "c"),
    ],
)
def test_unqualified(text: str, name: str) -> None:
    """The last part, whose letters keep their case."""
    assert unqualified(text) == name


NAMES = st.text(st.characters(exclude_characters="\0\n", exclude_categories=["Cs"]), min_size=1)


@given(NAMES, NAMES)
def test_quoted_names_are_read_again(schema: str, name: str) -> None:
    """With any characters, and by PostgreSQL's parser alike."""
    text = f"{quote_name(schema)}.{quote_name(name)}"
    assert split_name(text) == (schema, name)
    assert unqualified(text) == name
    short = [part for part in (schema, name) if len(part.encode()) < 64]
    if len(short) == 2:
        (table,) = parse(f"DROP TABLE {text}").removed
        assert (table.schema, table.name) == (schema, name)


@given(NAMES, NAMES)
def test_unqualified_has_the_results_of_before(schema: str, name: str) -> None:
    """Names of columns and tables that are stored by older versions are found again."""
    before = r'^.*\.(?=[^."]+$|"(?:[^"]|"")*"$)'
    for text in (quote_name(name), f"{quote_name(schema)}.{quote_name(name)}"):
        bare = re.sub(before, "", text).removeprefix('"').removesuffix('"').replace('""', '"')
        assert unqualified(text) == bare


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        ("ALTER TABLE app.visit ADD a int", "visit"),
        ("ALTER TABLE APP.VISIT ADD a int", "app"),
        ("SELECT visit.a FROM b AS visit", "visit"),
        ('DROP TABLE "Visit"', "Visit"),
        ('DROP TABLE "visit"', "visit"),
        ("CREATE TABLE t (a int GENERATED ALWAYS AS (visit) VIRTUAL)", "visit"),
        ("DROP INDEX visit; SELECT 1", "visit"),
        ("DO $$ BEGIN ALTER TABLE visit DROP a; END $$", "visit"),
        ("SELECT 1; DO LANGUAGE plpgsql 'BEGIN EXECUTE ''DROP TABLE visit''; END'", "visit"),
        ("DO $$ BEGIN EXECUTE format('DROP TABLE %I', 'visit'); END $$", "visit"),
        ('DROP TABLE "a ""b"" c"', 'a "b" c'),
        ("DROP TABLE t$1", "t$1"),
    ],
)
def test_mentioned_names(sql: str, name: str) -> None:
    """As PostgreSQL reads them, quoted or not."""
    assert mentions(sql, name)


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        ("SELECT 'visit'", "visit"),
        ("SELECT 1 -- visit", "visit"),
        ("SELECT /* /* visit */ visit */ 1", "visit"),
        ("DROP TABLE visits", "visit"),
        ("DROP TABLE Visit", "Visit"),
        ('DROP TABLE "Visit"', "visit"),
        ('DROP TABLE "my visit"', "visit"),
        ("SELECT $$ visit $$", "visit"),
        ("CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$ DROP TABLE visit $$", "visit"),
        ("SELECT %(visit)s", "visit"),
        ("DO $$ BEGIN PERFORM 1; -- visit\nEND $$", "visit"),
    ],
)
def test_names_that_are_not_mentioned(sql: str, name: str) -> None:
    """Strings, comments and longer names don't count."""
    assert not mentions(sql, name)


@pytest.mark.parametrize(
    ("sql", "roles"),
    [
        ("CREATE ROLE app", ("app",)),
        ('create user "Joe" LOGIN; CREATE GROUP G', ("Joe", "g")),
        ("CREATE USER MAPPING FOR a SERVER s", ()),
        ("ALTER ROLE app LOGIN", ()),
        ("SELECT 'CREATE ROLE app'", ()),
        ("-- CREATE ROLE app\nCREATE ROLE b", ("b",)),
        (
            """DO $$ BEGIN
                IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'app') THEN
                    CREATE ROLE app;
                END IF;
                EXECUTE 'CREATE ROLE "B"';
            END $$""",
            ("app", "B"),
        ),
        ("CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'CREATE ROLE app'", ()),
        ("CREATE ROLE a b c", ("a",)),
    ],
)
def test_roles_created(sql: str, roles: tuple[str, ...]) -> None:
    """Also by the code of DO."""
    assert roles_created(sql) == roles
