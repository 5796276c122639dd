"""The plain form of each operation: what it locks, and whether the old release survives it.

Locks are those of https://www.postgresql.org/docs/current/sql-altertable.html and the pages of the
other statements.
"""

from __future__ import annotations

from dataclasses import dataclass

from liftlock.model.lock import LockMode
from liftlock.model.operation import Operation, quote_name
from liftlock.model.step import Pace, Phase, Step, StepKind
from liftlock.model.table import Facts, Table


@dataclass(frozen=True, slots=True)
class DefaultForm:
    """How an operation's plain form behaves on a table that others use."""

    lock: LockMode | None
    phase: Phase = Phase.EXPAND


_STRONG = DefaultForm(LockMode.ACCESS_EXCLUSIVE)
_BREAKING = DefaultForm(LockMode.ACCESS_EXCLUSIVE, Phase.CONTRACT)
_DATA = DefaultForm(LockMode.ROW_EXCLUSIVE)
_FORMS = {
    "create_table": DefaultForm(None),
    "create_type": DefaultForm(None),
    "create_sequence": DefaultForm(None),
    "add_column": _STRONG,
    "create_index": DefaultForm(LockMode.SHARE),
    "create_foreign_key": DefaultForm(LockMode.SHARE_ROW_EXCLUSIVE),
    "create_check_constraint": _STRONG,
    "create_unique_constraint": _STRONG,
    "create_primary_key": _STRONG,
    "create_exclude_constraint": _STRONG,
    "alter_default": _STRONG,
    "alter_identity": _STRONG,
    "alter_computed": _STRONG,
    "alter_nullable": _BREAKING,
    "drop_not_null": _STRONG,
    "alter_type": _BREAKING,
    "rename_column": _BREAKING,
    "rename_table": _BREAKING,
    "drop_column": _BREAKING,
    "drop_table": _BREAKING,
    "drop_type": DefaultForm(None, Phase.CONTRACT),
    "drop_constraint": _STRONG,
    "drop_index": _STRONG,
    "comment": DefaultForm(LockMode.SHARE_UPDATE_EXCLUSIVE),
    "backfill": _DATA,
    "bulk_insert": _DATA,
    "insert": _DATA,
    "update": _DATA,
    "delete": _DATA,
    "execute": DefaultForm(None),
}


def default_form(operation: Operation) -> DefaultForm:
    """The plain form of an operation."""
    return _FORMS.get(operation.kind, _FORMS["execute"])


def phase(operation: Operation, facts: Facts) -> Phase:
    """The phase of an operation: what is done to a table of the revision's own breaks nobody."""
    table = table_of(operation, facts)
    return (
        Phase.EXPAND
        if table is not None and table.created_by_revision
        else default_form(operation).phase
    )


def table_of(operation: Operation, facts: Facts) -> Table | None:
    """The table that an operation is about, as the catalog has it."""
    return facts.tables.get(operation.relation)


def unchanged(operation: Operation, facts: Facts) -> Step:
    """The operation just as it is, as one brief step.

    Nothing waits for the locks of a table that is new. The tables it locks are locked beforehand, the
    one that is referred to first: an application that writes a parent before its child can't then
    deadlock with it.
    """
    table = table_of(operation, facts)
    lock = None if table is not None and table.created_by_run else default_form(operation).lock
    others = [one for one in operation.others if _used(one, facts)]
    if others:
        lock = lock or LockMode.SHARE_ROW_EXCLUSIVE
    own = [operation.relation] if others and _used(operation.relation, facts) else []
    referring = operation.kind in {"create_table", "create_foreign_key"}
    return Step(
        name="plain",
        sql=operation.sql,
        pace=Pace.BRIEF,
        lock=lock,
        phase=phase(operation, facts),
        kind=StepKind.PLAIN,
        tables=tuple(dict.fromkeys([*others, *own])) if referring else (),
    )


def _used(relation: str, facts: Facts) -> bool:
    table = facts.tables.get(relation)
    return table is not None and not table.created_by_run


def is_small_or_new(table: Table | None, facts: Facts) -> bool:
    """Whether whatever scans or rewrites a table is brief: it isn't there, is new, or is small."""
    return table is None or table.created_by_run or table.bytes < facts.small_table_bytes


def has_key(table: Table) -> bool:
    """Whether a unique index without nulls tells its rows apart, at any time, and no other table's rows count as its own."""
    required = {column.name for column in table.columns if column.not_null}
    keys = (
        one
        for one in table.indexes
        if one.unique and one.columns_only and one.valid and one.immediate
    )
    return not table.has_children and any(required.issuperset(one.columns) for one in keys)


def row_identifier(table: Table, alias: str = "") -> str:
    """What is shown of a row that breaks a constraint: its primary key, else where it is; never its other values."""
    key = next((one.columns for one in table.constraints if one.type == "p"), ())
    prefix = f"{alias}." if alias else ""
    return (
        ", ".join(prefix + quote_name(name) for name in key)
        or f"CAST({prefix}ctid AS text) AS ctid"
    )
