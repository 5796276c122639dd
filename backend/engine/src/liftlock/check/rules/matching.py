"""Functions with which rules find the statement that caused an effect."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from liftlock.check.rules.rule import Match
from liftlock.model.lock import LockMode
from liftlock.model.operation import ColumnDetails, ConstraintDetails
from liftlock.shadow.observed import ObservedStatement
from liftlock.shadow.result import RevisionResult, RunResult
from liftlock.sql import mentions, parse

TABLE_CHANGE_LOCKS = frozenset(LockMode) - {
    LockMode.ACCESS_SHARE,
    LockMode.ROW_SHARE,
    LockMode.ROW_EXCLUSIVE,
}
"""Lock modes of statements that change a table's definition, and not only its rows."""
RAW_KINDS = frozenset({"execute", "connection"})
"""Kinds of operations that are SQL text of the revision's own."""


def run_of(result: RevisionResult, way: str) -> RunResult:
    """Return the run that a rule judges: the one by plain Alembic, or the one by liftlock."""
    return result.alembic if way == "plain" else result.liftlock


def match_at(what: str, statement: ObservedStatement | None) -> Match:
    """Return a match at a statement, with the codes that the revision allows there."""
    if statement is None:
        return Match(what)
    return Match(what, statement.line, statement.operation.allowed)


def is_truncate(statement: ObservedStatement) -> bool:
    """Tell whether a statement is TRUNCATE.

    TRUNCATE gives its table a new file, which the server reports as it reports a table rewrite,
    but it takes no longer for a large table than for a small one.
    """
    return parse(statement.sql).is_truncate


def column_of(statement: ObservedStatement) -> str:
    """Return the column that a statement's operation is about; empty where it is about none."""
    details = statement.operation.details
    return details.name if isinstance(details, ColumnDetails) else ""


def adds_required_column(statement: ObservedStatement) -> bool:
    """Tell whether a statement adds a NOT NULL column without a value for existing rows.

    It succeeds on the shadow only because tables are empty there.
    """
    details = statement.operation.details
    if statement.kind != "add_column" or not isinstance(details, ColumnDetails):
        return False
    return details.not_null and not details.default and not details.special


def find_statement(
    result: RevisionResult, kinds: Collection[str], table: int, columns: tuple[str, ...], name: str
) -> ObservedStatement | None:
    """Return the statement that caused a change of the schema; None where none is likely.

    An operation of Alembic names its table and columns. SQL text doesn't, so the most likely
    statement is taken: one that has locked the table and mentions the name, else one that has
    locked the table, else one that mentions the name.

    Parameters:
        result: the revision, as it ran on a shadow.
        kinds: kinds of operations that cause such a change.
        table: OID of the table.
        columns: columns of the table; empty where the change is one of the table itself.
        name: name of the constraint, column or table that changed.
    """
    for statement in result.statements:
        if _is_operation_on(statement, kinds, table, columns, name):
            return statement
    return next(_raw_statements_on(result, table, name), None)


def _is_operation_on(
    statement: ObservedStatement,
    kinds: Collection[str],
    table: int,
    columns: tuple[str, ...],
    name: str,
) -> bool:
    if statement.kind not in kinds or statement.own != table:
        return False
    details = statement.operation.details
    if not columns:
        return True
    if isinstance(details, ConstraintDetails):
        return details.name == name or details.columns == columns
    return isinstance(details, ColumnDetails) and columns == (details.name,)


def _raw_statements_on(
    result: RevisionResult, table: int, name: str
) -> Iterator[ObservedStatement]:
    """Yield the SQL texts that may have changed a table or a name, the most likely first."""
    raw = [
        statement
        for statement in result.statements
        if statement.kind in RAW_KINDS and not statement.work.updates
    ]
    holding = [statement for statement in raw if _locks(statement, table, newly=False)]
    yield from (statement for statement in holding if mentions(statement.sql, name))
    yield from (statement for statement in holding if _locks(statement, table, newly=True))
    yield from (statement for statement in raw if mentions(statement.sql, name))


def _locks(statement: ObservedStatement, table: int, *, newly: bool) -> bool:
    """Tell whether a statement holds (or has newly taken) a lock for changing a table."""
    locks = statement.taken if newly else statement.held
    return any(lock.oid == table and lock.mode in TABLE_CHANGE_LOCKS for lock in locks)
