"""Data checks: questions about existing rows that would make a revision fail or lose values."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from liftlock.broker.row_queries import RowQuery, RowsWanted
from liftlock.check.finding import Finding
from liftlock.check.rules import rows_not_checked, rows_violate
from liftlock.check.rules.matching import RAW_KINDS
from liftlock.model.lock import LockMode
from liftlock.model.operation import ColumnDetails
from liftlock.shadow.observed import ObservedStatement
from liftlock.shadow.result import RevisionResult
from liftlock.shadow.schema import ForeignKey, Schema, SchemaConstraint, holds_all
from liftlock.sql import parse


@dataclass(frozen=True, slots=True)
class DataCheck:
    """A question about the rows of one table.

    Parameters:
        what: the fact asked for; it completes the sentence "rows of TABLE …".
        table: the table as SQL text.
        table_oid: OID of the table on the shadow.
        question: the query for such rows; None where no query can be asked.
        unseen: the reason why no query can be asked.
    """

    what: str
    table: str
    table_oid: int
    question: RowQuery | None = None
    unseen: str = ""

    @property
    def asks_for_type(self) -> bool:
        """Tell whether the question is for values that a new type doesn't hold."""
        return self.question is not None and self.question.rows is RowsWanted.UNFIT


def data_checks(result: RevisionResult) -> Iterator[DataCheck]:
    """Yield what to ask a database about the tables that a revision changes."""
    yield from _columns(result)
    before, after = result.before, result.after
    yield from _expressions(before, after)
    known = {constraint.demand for constraint in (*before.uniques.values(), *before.keys.values())}
    for _, unique in sorted(after.uniques.items()):
        if unique.demand not in known and _has_columns(before, unique.table_oid, unique.columns):
            yield _duplicates(unique)
    for _, key in sorted(after.keys.items()):
        if key.demand not in known and _has_columns(before, key.table_oid, key.columns):
            yield _orphans(before, key)


def _duplicates(unique: SchemaConstraint) -> DataCheck:
    what = f"have the same {', '.join(unique.columns)}, which are to be unique"
    question = RowQuery(RowsWanted.SAME, unique.table, unique.columns)
    return DataCheck(what, unique.table, unique.table_oid, question)


def _orphans(before: Schema, key: ForeignKey) -> DataCheck:
    what = f"refer to nothing in {key.refers}, by {', '.join(key.columns)}"
    check = DataCheck(what, key.table, key.table_oid)
    if key.refers not in before.tables.values():
        return replace(check, unseen="the revision creates that table itself")
    columns = key.refers_columns
    question = RowQuery(RowsWanted.ORPHANED, key.table, key.columns, key.refers, columns)
    return replace(check, question=question)


def _columns(result: RevisionResult) -> Iterator[DataCheck]:
    """Yield the questions about columns that become NOT NULL or change their type."""
    for (table, number), new in sorted(result.after.columns.items()):
        old = result.before.columns.get((table, number))
        if old is None or new.inherited:
            continue
        null = RowQuery(RowsWanted.NULL, old.table, (old.name,))
        if new.not_null and not old.not_null:
            what = f"have no {old.name}, which is to be not null"
            yield DataCheck(what, old.table, table, null)
        if new.type == old.type or holds_all(old.type, new.type):
            continue
        check = DataCheck(f"have a value of {old.name} that is no {new.type}", old.table, table)
        if _converts(result, table, old.name):
            unseen = "the revision computes the new value by an expression of its own"
            yield replace(check, unseen=unseen)
        else:
            yield replace(check, question=replace(null, rows=RowsWanted.UNFIT, type=new.type))


def _converts(result: RevisionResult, table: int, column: str) -> bool:
    """Tell whether a revision computes the values of a column's new type by USING."""
    return any(
        _converts_by_operation(statement, table, column) or _converts_by_sql(statement, table)
        for statement in result.statements
    )


def _converts_by_operation(statement: ObservedStatement, table: int, column: str) -> bool:
    details = statement.operation.details
    if statement.own != table or not isinstance(details, ColumnDetails):
        return False
    return details.name == column and bool(details.using)


def _converts_by_sql(statement: ObservedStatement, table: int) -> bool:
    locks_table = any(lock.oid == table for lock in statement.held)
    is_raw = statement.kind in RAW_KINDS
    return is_raw and locks_table and parse(statement.sql).changes_column_type_with_using


def _expressions(before: Schema, after: Schema) -> Iterator[DataCheck]:
    """Yield the new constraints with expressions of the revision.

    The database isn't asked about them, because an expression may call any function.
    """
    known = {check.demand for check in before.checks.values()}
    unseen = "the revision's own expression isn't sent there"
    for _, check in sorted(after.checks.items()):
        existed = check.table_oid in before.tables and (
            not check.columns or _has_columns(before, check.table_oid, check.columns)
        )
        if existed and check.demand not in known:
            what = f"don't satisfy {check.name}"
            yield DataCheck(what, check.table, check.table_oid, unseen=unseen)


def _has_columns(schema: Schema, table: int, columns: Collection[str]) -> bool:
    """Tell whether a table has all of these columns."""
    names = {column.name for (oid, _), column in schema.columns.items() if oid == table}
    return names.issuperset(columns)


def unchecked_findings(result: RevisionResult) -> Iterator[Finding]:
    """Yield one finding for all that the empty tables of the shadow can't show of a revision.

    A change of type is left out where the server doesn't rewrite the table: it then knows that
    the new type holds every value.
    """
    rewritten = {name for statement in result.statements for name in statement.work.rewrites}
    questions = [
        f"whether rows of {check.table} {check.what}"
        for check in data_checks(result)
        if not check.asks_for_type or check.table in rewritten
    ]
    if questions:
        yield _placed(rows_not_checked.not_looked_for(questions), result)


def finding_of_answer(
    result: RevisionResult, check: DataCheck, answer: str, *, seen: bool
) -> Finding:
    """Return the answer of a real database as a finding.

    Parameters:
        result: the revision.
        check: the question.
        answer: the rows; or the reason why they couldn't be queried.
        seen: whether they were queried.
    """
    if not seen:
        question = f"whether rows of {check.table} {check.what}"
        return _placed(rows_not_checked.not_answered(question, answer), result)
    what = f"rows of {check.table} {check.what}:\n{answer}"
    corrected = any(_changes_rows(statement, check.table_oid) for statement in result.statements)
    return _placed(rows_violate.finding(what, corrected=corrected), result)


def _placed(finding: Finding, result: RevisionResult) -> Finding:
    return replace(finding, revision=result.revision.id, path=result.path)


def _changes_rows(statement: ObservedStatement, table: int) -> bool:
    """Tell whether a statement changes existing rows of a table."""
    locks = (lock for lock in statement.taken if lock.oid == table)
    locks_rows = any(lock.mode is LockMode.ROW_EXCLUSIVE for lock in locks)
    return locks_rows and statement.kind != "bulk_insert"
