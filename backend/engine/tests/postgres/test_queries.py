from __future__ import annotations

import re

import pytest

from liftlock.postgres.queries import CATALOG, LEDGER, QUERIES

STATEMENTS = {**QUERIES, **LEDGER, **CATALOG}
PARAMETER = re.compile(r"(?<![:\\\w]):\w+")


def test_names_are_unique_across_files() -> None:
    """A name identifies one statement, not one in each file."""
    assert len(STATEMENTS) == len(QUERIES) + len(LEDGER) + len(CATALOG)


@pytest.mark.parametrize("name", STATEMENTS)
def test_each_statement_begins_with_its_description(name: str) -> None:
    """One sentence or more, as a comment."""
    description, statement = split_description(STATEMENTS[name])
    assert re.match(r"[A-Z][a-z]+ ", description), description
    assert description.endswith("."), description
    assert not statement.endswith(";")


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_description_contains_nothing_that_looks_like_a_parameter(name: str) -> None:
    """A colon before a word would be taken for one, and a semicolon for the end of a statement."""
    description, _ = split_description(STATEMENTS[name])
    assert not PARAMETER.search(description), description
    assert "%" not in description
    assert not re.search(r";$", description, re.MULTILINE)


@pytest.mark.parametrize("name", STATEMENTS)
def test_tables_of_the_catalog_are_qualified(name: str) -> None:
    """A table of that name in the search path must not be read instead."""
    _, statement = split_description(STATEMENTS[name])
    assert not re.search(r"(?<![\w.'])pg_(class|attribute|index|constraint|locks)\b", statement)
    assert not re.search(r"\b(FROM|JOIN) pg_(?!catalog\.|partition_tree)", statement), statement


def split_description(text: str) -> tuple[str, str]:
    """Return the comment at the beginning of a statement as one text, and the statement."""
    comment = re.match(r"(-- .*\n)+", text)
    assert comment, text
    lines = comment[0].splitlines()
    return " ".join(line.removeprefix("-- ") for line in lines), text[comment.end() :].strip()
