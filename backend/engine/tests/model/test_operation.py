"""Operations, their fingerprints, and names and words of SQL text."""

from __future__ import annotations

import pytest

from liftlock.model.operation import (
    ColumnDetails,
    ConstraintDetails,
    Operation,
    digest,
)
from liftlock.sql import mask_literals, quote_name, unqualified


def test_shape_ignores_literals_and_white_space() -> None:
    """A random default differs between two attempts, the shape doesn't."""
    first = Operation("execute", None, "UPDATE t SET a = 'x''y', b = 1.5")
    second = Operation("execute", None, "UPDATE  t SET a = 'z', b = 22")
    assert first.shape == second.shape
    assert first.fingerprint != second.fingerprint


def test_shape_contains_the_kind() -> None:
    """Two kinds of operation never share a ledger row."""
    assert Operation("insert", "t", "x").shape != Operation("bulk_insert", "t", "x").shape


def test_evidence_contains_the_parameters() -> None:
    """Without parameters it is the fingerprint of the statement."""
    plain = Operation("insert", "t", "INSERT INTO t VALUES (:a)")
    one, two = (Operation("insert", "t", plain.sql, rows=1, values=value) for value in "12")
    assert plain.evidence == plain.fingerprint
    assert len({plain.evidence, one.evidence, two.evidence}) == 3
    assert one.asks == (plain.fingerprint, "1")


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (ColumnDetails("a", "integer"), '"a" integer'),
        (ColumnDetails("a b", "text", "'x'"), "\"a b\" text DEFAULT 'x'"),
        (ColumnDetails("a", "integer", "0", not_null=True), '"a" integer DEFAULT 0 NOT NULL'),
        (ColumnDetails("a", "integer", checks=(ConstraintDetails("c"),)), '"a" integer'),
    ],
)
def test_column_definition_without_constraints(column: ColumnDetails, expected: str) -> None:
    """NOT NULL belongs to the definition; checks and keys are separate steps."""
    assert column.written == expected


def test_quoted_names() -> None:
    """A quote in a name is doubled."""
    assert quote_name('a"b') == '"a""b"'
    assert unqualified('"my schema"."a""b"') == 'a"b'
    assert unqualified("app.person") == "person"
    assert unqualified("person") == "person"


def test_masked_literals() -> None:
    """Strings and numbers are masked, digits in names aren't."""
    assert mask_literals("SELECT 'it''s', 12, col1 FROM t2") == "SELECT ?, ?, col1 FROM t2"


def test_digest_ignores_white_space() -> None:
    """The digest has sixteen hexadecimal digits."""
    assert digest("a  b\n") == digest("a b")
    assert len(digest("")) == 16
