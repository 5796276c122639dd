"""Tests of schemas: reading the catalog's JSON, and what makes two constraints the same."""

from __future__ import annotations

import pytest

from liftlock.shadow.schema import Check, ForeignKey, SchemaColumn, Unique, holds_all, schema_from

FOUND = {
    "tables": [[1, "item"]],
    "views": ["names"],
    "columns": [[1, 1, "item", "id", "integer", True, False, False]],
    "keys": [
        [
            2,
            {
                "table": "item",
                "table_oid": 1,
                "name": "fk",
                "columns": ["a", "b"],
                "refers": "other",
                "refers_columns": ["x", "y"],
                "indexed": False,
            },
        ]
    ],
    "uniques": [
        [3, {"table": "item", "table_oid": 1, "name": "u", "columns": ["a"], "primary": True}]
    ],
    "checks": [[4, {"table": "item", "table_oid": 1, "name": "c", "columns": []}]],
    "triggers": [["tr", 1]],
    "unproven": [["item", "c"]],
    "broken": [["item", "ix"]],
}


def test_schema_is_read_from_json() -> None:
    """Lists become tuples, and objects are found by their OIDs."""
    schema = schema_from(FOUND)
    assert schema.tables == {1: "item"}
    assert schema.views == {"names"}
    assert schema.columns == {(1, 1): SchemaColumn("item", "id", "integer", not_null=True)}
    assert schema.keys[2].columns == ("a", "b")
    assert schema.keys[2].refers_columns == ("x", "y")
    assert schema.uniques[3].primary
    assert schema.checks[4].columns == ()
    assert schema.triggers == {("tr", 1)}
    assert schema.unproven == {("item", "c")}
    assert schema.broken == {("item", "ix")}


def test_constraint_keeps_its_condition_under_another_name() -> None:
    """Except a check: its expression isn't compared, so the name stands for it."""
    unique = {"table": "t", "table_oid": 1, "columns": ("a",), "primary": False}
    assert Unique(name="u", **unique).demand == Unique(name="v", **unique).demand
    check = {"table": "t", "table_oid": 1, "columns": ("a",)}
    assert Check(name="c", **check).demand != Check(name="d", **check).demand
    key = {"table": "t", "table_oid": 1, "columns": ("a",), "refers": "o", "indexed": True}
    referring = ForeignKey(name="k", refers_columns=("x",), **key)
    assert referring.demand == ForeignKey(name="l", refers_columns=("x",), **key).demand
    assert referring.demand != ForeignKey(name="k", refers_columns=("y",), **key).demand


@pytest.mark.parametrize(
    ("old", "new", "holds"),
    [
        ("integer", "bigint", True),
        ("bigint", "integer", False),
        ("smallint", "numeric", True),
        ("real", "double precision", True),
        ("text", "integer", False),
        ("timestamp without time zone", "timestamp with time zone", True),
    ],
)
def test_types_that_hold_all_values_of_another(old: str, new: str, *, holds: bool) -> None:
    """Only types that are known to."""
    assert holds_all(old, new) is holds
