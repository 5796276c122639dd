"""Tests of the comparison of definitions, without a database."""

from __future__ import annotations

from liftlock.commands.drift import _definitions, compare_objects

TABLE = "CREATE TABLE public.item (\n    area integer\n    id integer NOT NULL\n);"
FUNCTION = "CREATE FUNCTION f() RETURNS void\n    AS $$\nBEGIN\n  PERFORM {};\nEND;\n$$;"


def test_table_has_a_definition_for_each_line() -> None:
    """Further statements about the table are definitions of their own."""
    partitioned = TABLE.replace(");", ")\nPARTITION BY RANGE (id);")
    full = "ALTER TABLE ONLY public.item REPLICA IDENTITY FULL"
    assert list(_definitions([f"{partitioned}\n{full};"])) == [
        "CREATE TABLE public.item",
        "TABLE public.item: area integer",
        "TABLE public.item: id integer NOT NULL",
        "TABLE public.item: PARTITION BY RANGE (id)",
        full,
    ]


def test_function_is_one_definition() -> None:
    """Its body has semicolons."""
    definition = FUNCTION.format(1)
    assert list(_definitions([definition])) == [definition.rstrip(";")]


def test_missing_and_extra_definitions() -> None:
    """A function with another body is missing in one form, and extra in the other."""
    wanted = [TABLE, FUNCTION.format(1)]
    found = [TABLE.replace("area integer", "area bigint"), FUNCTION.format(2)]
    differences = [(one.kind, one.what) for one in compare_objects(wanted, found)]
    assert differences == [
        ("missing", "TABLE public.item: area integer"),
        ("missing", FUNCTION.format(1).rstrip(";")),
        ("extra", "TABLE public.item: area bigint"),
        ("extra", FUNCTION.format(2).rstrip(";")),
    ]
