"""Calls of Alembic's operations, as code to paste from a message into a revision."""

from __future__ import annotations

from liftlock.sql import unqualified


def write_execute(sql: str) -> str:
    """Return a call of ``op.execute``."""
    return f"op.execute({_literal(sql)})"


def write_call(name: str, relation: str, *arguments: object, **keywords: object) -> str:
    """Return a call of an operation on a table, such as ``op.alter_column("person", "age", …)``.

    Parameters:
        name: the operation's name.
        relation: the table as SQL text; its schema becomes a keyword.
        arguments: the arguments that follow the table.
        keywords: the keywords.
    """
    written = [_literal(value) for value in (unqualified(relation), *arguments)]
    schema = _schema_of(relation)
    if schema:
        keywords["schema"] = schema
    written += [f"{keyword}={_literal(value)}" for keyword, value in keywords.items()]
    return f"op.{name}({', '.join(written)})"


def write_check(relation: str, condition: str) -> str:
    """Return a call of ``op.create_check_constraint`` without a name.

    Parameters:
        relation: the table as SQL text.
        condition: the check's condition.
    """
    call = write_call("create_check_constraint", relation, condition)
    return call.replace("(", "(None, ", 1)


def write_not_valid_key(
    name: str, relation: str, columns: tuple[str, ...], refers: str, refers_columns: tuple[str, ...]
) -> str:
    """Return a call of ``op.create_foreign_key`` for a key that isn't validated.

    Parameters:
        name: the key's name.
        relation: the referencing table as SQL text.
        columns: its columns.
        refers: the referenced table as SQL text.
        refers_columns: its columns.
    """
    values = (name, unqualified(relation), unqualified(refers), columns, refers_columns)
    written = [_literal(value) for value in values]
    for keyword, table in (("source_schema", relation), ("referent_schema", refers)):
        schema = _schema_of(table)
        if schema:
            written.append(f"{keyword}={_literal(schema)}")
    return f"op.create_foreign_key({', '.join(written)}, postgresql_not_valid=True)"


def _schema_of(relation: str) -> str:
    schema, _, _ = relation.rpartition(".")
    return unqualified(schema)


def _literal(value: object) -> str:
    """Return a value as Python code, with double quotes where possible."""
    if isinstance(value, tuple | list):
        return f"[{', '.join(_literal(item) for item in value)}]"
    if isinstance(value, str) and not set(value) & set('"\\\n'):
        return f'"{value}"'
    return repr(value)
