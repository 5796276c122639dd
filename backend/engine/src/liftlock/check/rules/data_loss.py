"""LL-DATA-LOSS: the revision deletes tables, columns or rows with their data."""

from __future__ import annotations

from collections.abc import Iterator

from liftlock.check.finding import Severity
from liftlock.check.rules.matching import find_statement, is_truncate, match_at
from liftlock.check.rules.rule import Example, Match, Rule
from liftlock.shadow.result import RevisionResult
from liftlock.sql import excerpt, parse, unqualified


def find(result: RevisionResult, _way: str) -> Iterator[Match]:
    """Yield what is dropped, truncated or deleted."""
    yield from _dropped_tables(result)
    yield from _dropped_columns(result)
    yield from _deleted_rows(result)


def _dropped_tables(result: RevisionResult) -> Iterator[Match]:
    for oid, name in sorted(result.before.tables.items()):
        if oid not in result.after.tables:
            statement = find_statement(result, {"drop_table"}, oid, (), unqualified(name))
            yield match_at(f"table {name} is dropped with all its data", statement)


def _dropped_columns(result: RevisionResult) -> Iterator[Match]:
    for place, column in sorted(result.before.columns.items()):
        table_exists = place[0] in result.after.tables
        if column.inherited or not table_exists or place in result.after.columns:
            continue
        statement = find_statement(result, {"drop_column"}, place[0], (column.name,), column.name)
        yield match_at(
            f"column {column.table}.{column.name} is dropped with all its data", statement
        )


def _deleted_rows(result: RevisionResult) -> Iterator[Match]:
    for statement in result.statements:
        if is_truncate(statement) and statement.blocked:
            yield match_at(f"all rows are deleted:\n{excerpt(statement.sql)}", statement)
        elif parse(statement.sql).kind == "DELETE" and statement.work.updates:
            yield match_at(f"rows are deleted:\n{excerpt(statement.sql)}", statement)


RULE = Rule(
    code="LL-DATA-LOSS",
    title="Deletes data that no downgrade restores",
    severity=Severity.WARNING,
    why="A downgrade can create the table or column again, but not its data.",
    now="Make sure that the data isn't needed or is kept elsewhere. Then allow it here, with the"
    " reason.",
    judge=find,
    bad=Example(
        upgrade='op.drop_column("person", "nick")',
        downgrade='op.add_column("person", sa.Column("nick", sa.Text))',
    ),
    good=Example(
        upgrade='op.alter_column("person", "nick", comment="unused since release 12")',
        downgrade='op.alter_column("person", "nick", comment=None)',
    ),
)
