"""Names that PostgreSQL chooses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.planning.naming import automatic_name, in_schema_of, quote_literal

NAMES = st.text(min_size=1, max_size=70).map(lambda text: text.replace("\0", "-"))


@pytest.mark.parametrize(
    ("table", "columns", "label", "taken", "expected"),
    [
        ("t", ["a"], "fkey", (), "t_a_fkey"),
        ("t", ["a", "b"], "key", (), "t_a_b_key"),
        ("t", [], "pkey", (), "t_pkey"),
        ("t", ["a"], "check", {"t_a_check"}, "t_a_check1"),
        ("t", ["a"], "check", {"t_a_check", "t_a_check1"}, "t_a_check2"),
        ("t" * 63, ["a"], "key", (), "t" * 57 + "_a_key"),
        ("t" * 40, ["a" * 40], "key", (), "t" * 29 + "_" + "a" * 29 + "_key"),
        ("ü" * 31, [], "pkey", (), "ü" * 29 + "_pkey"),
    ],
)
def test_automatic_name(
    table: str, columns: list[str], label: str, taken: set[str], expected: str
) -> None:
    """The longer part is shortened first, to whole characters; a number avoids a clash."""
    assert automatic_name(table, columns, label, taken) == expected


@given(table=NAMES, columns=st.lists(NAMES, min_size=1, max_size=5))
def test_automatic_name_has_at_most_63_bytes(table: str, columns: list[str]) -> None:
    """The label is never shortened."""
    name = automatic_name(table, columns, "key")
    assert len(name.encode()) <= 63
    assert name.endswith("_key")


def test_name_in_the_schema_of_another_relation() -> None:
    """Without a schema, the search path decides for both."""
    assert in_schema_of("app.person", "ix") == 'app."ix"'
    assert in_schema_of("person", 'i"x') == '"i""x"'


def test_quoted_literal() -> None:
    """A quote is doubled."""
    assert quote_literal("it's") == "'it''s'"


def test_literals_are_independent_of_standard_conforming_strings() -> None:
    """A backslash in a plain literal means different things; in one with E it doesn't."""
    assert quote_literal("it's") == "'it''s'"
    assert quote_literal("a\\b'c") == "E'a\\\\b''c'"
