"""Changes of the schema with which the release that is still running can't work."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from liftlock.check.rules.matching import adds_required_column, column_of, find_statement
from liftlock.shadow.observed import ObservedStatement
from liftlock.shadow.result import RevisionResult
from liftlock.shadow.schema import SchemaColumn, holds_all
from liftlock.sql import quote_name, unqualified


@dataclass(frozen=True, slots=True)
class BreakingChange:
    """A change, and the statement that causes it; None where no statement is likely."""

    text: str
    statement: ObservedStatement | None


def breaking_changes(result: RevisionResult) -> Iterator[BreakingChange]:
    """Yield the breaking changes of a revision: tables, views, columns, new columns."""
    yield from _tables(result)
    yield from _views(result)
    for place, old in sorted(result.before.columns.items()):
        if place[0] in result.after.tables and not old.inherited:
            yield from _column(result, place, old)
    yield from _required_columns(result)


def _tables(result: RevisionResult) -> Iterator[BreakingChange]:
    for oid, name in sorted(result.before.tables.items()):
        new_name = result.after.tables.get(oid)
        if new_name is None:
            statement = find_statement(result, {"drop_table"}, oid, (), unqualified(name))
            yield BreakingChange(f"{name} is dropped", statement)
        elif new_name != name:
            statement = _renaming_statement(result, oid, name)
            yield BreakingChange(f"{name} is renamed to {new_name}", statement)


def _renaming_statement(result: RevisionResult, oid: int, name: str) -> ObservedStatement | None:
    """Return the statement that renamed a table or its schema.

    A statement that renames the schema mentions the schema, but none of its tables.
    """
    table = unqualified(name)
    schema = name.removesuffix(f".{quote_name(table)}").removesuffix(f".{table}")
    renames_table = find_statement(result, {"rename_table"}, oid, (), table)
    return renames_table or find_statement(result, (), oid, (), unqualified(schema))


def _views(result: RevisionResult) -> Iterator[BreakingChange]:
    for name in sorted(result.before.views - result.after.views):
        statement = find_statement(result, (), 0, (), unqualified(name))
        yield BreakingChange(f"view {name} is dropped or renamed", statement)


def _column(
    result: RevisionResult, place: tuple[int, int], old: SchemaColumn
) -> Iterator[BreakingChange]:
    """Yield the breaking changes of a column that existed before.

    Parameters:
        result: the revision, as it ran on a shadow.
        place: OID of the table, number of the column.
        old: the column as it was.
    """

    def change(text: str, kind: str) -> BreakingChange:
        return BreakingChange(text, find_statement(result, {kind}, place[0], (old.name,), old.name))

    new = result.after.columns.get(place)
    if new is None:
        yield change(f"{old.table} loses a column: {old.name}", "drop_column")
        return
    if new.name != old.name:
        text = f"{old.table} has a column renamed: {old.name} to {new.name}"
        yield change(text, "rename_column")
    if new.type != old.type and not holds_all(old.type, new.type):
        types = f"{old.name}, {old.type} to {new.type}"
        converted = change(f"{old.table} has a column of another type: {types}", "alter_type")
        # If the server doesn't rewrite the rows, the new type holds every old value.
        if converted.statement is None or converted.statement.work.rewrites:
            yield converted
    if new.not_null and not old.not_null:
        yield change(
            f"{old.table} has a column that becomes NOT NULL: {old.name}", "alter_nullable"
        )
    elif new.not_null and old.has_default and not new.has_default:
        text = f"{old.table} has a NOT NULL column without a value for new rows"
        yield change(f"{text}: {old.name} loses its default", "alter_default")


def _required_columns(result: RevisionResult) -> Iterator[BreakingChange]:
    """Yield the new NOT NULL columns for which an INSERT of the running release has no value."""
    for place, new in sorted(result.after.columns.items()):
        table = place[0]
        required = new.not_null and not new.has_default and not new.inherited
        is_new = place not in result.before.columns and table in result.before.tables
        if required and is_new and not _is_reported_as_required(result, table, new.name):
            kinds = {"alter_nullable", "add_column"}
            statement = find_statement(result, kinds, table, (new.name,), new.name)
            yield BreakingChange(f"{new.table} has a new NOT NULL column: {new.name}", statement)


def _is_reported_as_required(result: RevisionResult, table: int, name: str) -> bool:
    """Tell whether LL-NOT-NULL-WITHOUT-DEFAULT reports a column, so that it isn't said twice."""
    return any(
        adds_required_column(statement) and statement.own == table and column_of(statement) == name
        for statement in result.statements
    )
