"""Code in messages."""

from __future__ import annotations

import ast

import pytest

from liftlock.planning.alembic_code import (
    write_call,
    write_check,
    write_execute,
    write_not_valid_key,
)

CALLS = [
    (write_execute("SELECT 1"), 'op.execute("SELECT 1")'),
    (write_execute('SELECT "a"'), "op.execute('SELECT \"a\"')"),
    (write_execute("SELECT 'a', \"b\""), "op.execute('SELECT \\'a\\', \"b\"')"),
    (
        write_call("alter_column", '"Person"', "age", nullable=False),
        'op.alter_column("Person", "age", nullable=False)',
    ),
    (
        write_call("backfill", "app.person", set="a = 1", where="a IS NULL"),
        'op.backfill("person", set="a = 1", where="a IS NULL", schema="app")',
    ),
    (write_check("t", "a > 0"), 'op.create_check_constraint(None, "t", "a > 0")'),
    (
        write_not_valid_key("fk", "t", ("a", "b"), "app.o", ("id", "no")),
        (
            'op.create_foreign_key("fk", "t", "o", ["a", "b"], ["id", "no"], '
            'referent_schema="app", postgresql_not_valid=True)'
        ),
    ),
]


@pytest.mark.parametrize(("written", "expected"), CALLS)
def test_call_of_an_operation(written: str, expected: str) -> None:
    """The code is valid Python, with the schema as a keyword."""
    assert written == expected
    ast.parse(written)
