"""The lock and the phase of each operation when it runs unchanged.

The locks are those of https://www.postgresql.org/docs/current/sql-altertable.html and of the pages
of the other statements.
"""

from __future__ import annotations

from dataclasses import dataclass

from liftlock.model.lock import LockMode
from liftlock.model.operation import Operation
from liftlock.model.step import Pace, Phase, Step, StepKind
from liftlock.model.table import Facts, Index, Table
from liftlock.sql import quote_name


@dataclass(frozen=True, slots=True)
class DefaultForm:
    """The lock and the phase of an unchanged operation on a table in use.

    Parameters:
        lock: the strongest lock on an existing table, if any.
        phase: *contract* where the old release stops working.
    """

    lock: LockMode | None
    phase: Phase = Phase.EXPAND


_NO_LOCK = DefaultForm(None)
_EXCLUSIVE = DefaultForm(LockMode.ACCESS_EXCLUSIVE)
_CONTRACT = DefaultForm(LockMode.ACCESS_EXCLUSIVE, Phase.CONTRACT)
_ROWS = DefaultForm(LockMode.ROW_EXCLUSIVE)
_FORMS = {
    "create_table": _NO_LOCK,
    "create_type": _NO_LOCK,
    "create_sequence": _NO_LOCK,
    "add_column": _EXCLUSIVE,
    "create_index": DefaultForm(LockMode.SHARE),
    "create_foreign_key": DefaultForm(LockMode.SHARE_ROW_EXCLUSIVE),
    "create_check_constraint": _EXCLUSIVE,
    "create_unique_constraint": _EXCLUSIVE,
    "create_primary_key": _EXCLUSIVE,
    "create_exclude_constraint": _EXCLUSIVE,
    "alter_default": _EXCLUSIVE,
    "alter_identity": _EXCLUSIVE,
    "alter_computed": _EXCLUSIVE,
    "alter_nullable": _CONTRACT,
    "drop_not_null": _EXCLUSIVE,
    "alter_type": _CONTRACT,
    "rename_column": _CONTRACT,
    "rename_table": _CONTRACT,
    "drop_column": _CONTRACT,
    "drop_table": _CONTRACT,
    "drop_type": DefaultForm(None, Phase.CONTRACT),
    "drop_constraint": _EXCLUSIVE,
    "drop_index": _EXCLUSIVE,
    "comment": DefaultForm(LockMode.SHARE_UPDATE_EXCLUSIVE),
    "backfill": _ROWS,
    "bulk_insert": _ROWS,
    "insert": _ROWS,
    "update": _ROWS,
    "delete": _ROWS,
    "execute": _NO_LOCK,
}


def default_form(operation: Operation) -> DefaultForm:
    """Return the lock and the phase of an unchanged operation on a table in use."""
    return _FORMS.get(operation.kind, _FORMS["execute"])


def phase_of_operation(operation: Operation, facts: Facts) -> Phase:
    """Return the phase of an operation.

    No release knows a table that the same revision created. All operations on it are *expand*.
    """
    table = table_of(operation, facts)
    if table is not None and table.created_by_revision:
        return Phase.EXPAND
    return default_form(operation).phase


def table_of(operation: Operation, facts: Facts) -> Table | None:
    """Return the table of an operation; None for a table that doesn't exist."""
    return facts.tables.get(operation.relation)


def leave_unchanged(operation: Operation, facts: Facts) -> Step:
    """Return the operation as Alembic sends it, as one brief step.

    The step has no lock for a table that this run created: no other session uses it. An operation
    that also locks other tables, such as a referenced one, locks these first. An application that
    writes parent rows before child rows locks the tables in the same order, so that the two can't
    deadlock.
    """
    table = table_of(operation, facts)
    lock = default_form(operation).lock
    if table is not None and table.created_by_run:
        lock = None
    others = [relation for relation in operation.others if _is_in_use(relation, facts)]
    if others and lock is None:
        lock = LockMode.SHARE_ROW_EXCLUSIVE
    locked_first: list[str] = []
    if others and operation.kind in {"create_table", "create_foreign_key"}:
        locked_first = others
        if _is_in_use(operation.relation, facts):
            locked_first = [*others, operation.relation]
    return Step(
        name="plain",
        sql=operation.sql,
        pace=Pace.BRIEF,
        lock=lock,
        phase=phase_of_operation(operation, facts),
        kind=StepKind.PLAIN,
        tables=tuple(dict.fromkeys(locked_first)),
    )


def is_small_or_new(table: Table | None, facts: Facts) -> bool:
    """Return true when a scan or rewrite of the table is brief or blocks no other session.

    That is a table below the size limit, one that this run created, or one that doesn't exist yet.
    """
    return table is None or table.created_by_run or table.bytes < facts.small_table_bytes


def has_key(table: Table) -> bool:
    """Return true when a unique index over NOT NULL columns identifies the table's rows.

    A deferrable, partial or expression index doesn't: two rows may share a key. Neither does an
    index of an inheritance parent, because the rows of its children may share a key with its own.
    """
    if table.has_children:
        return False
    not_null = {column.name for column in table.columns if column.not_null}
    return any(
        _forbids_duplicates(index) and not_null.issuperset(index.columns) for index in table.indexes
    )


def row_identifier(table: Table, alias: str = "") -> str:
    """Return the select list that identifies a row in a message about violated constraints.

    It is the primary key, or the row's ctid. Other values of the row are never shown.

    Parameters:
        table: the table.
        alias: the table's alias in the query.
    """
    prefix = f"{alias}." if alias else ""
    for constraint in table.constraints:
        if constraint.type == "p":
            return ", ".join(prefix + quote_name(column) for column in constraint.columns)
    return f"CAST({prefix}ctid AS text) AS ctid"


def _is_in_use(relation: str, facts: Facts) -> bool:
    """Return true for an existing table that this run didn't create."""
    table = facts.tables.get(relation)
    return table is not None and not table.created_by_run


def _forbids_duplicates(index: Index) -> bool:
    return index.unique and index.columns_only and index.valid and index.immediate
