"""The plain form of each operation: what it locks, and whether the old release survives it.

Locks are those of https://www.postgresql.org/docs/current/sql-altertable.html and the pages of the
other statements.
"""

from __future__ import annotations

from dataclasses import dataclass

from liftlock.model.facts import Facts, Table
from liftlock.model.lock import LockMode
from liftlock.model.operation import Operation, quoted
from liftlock.model.step import Means, Pace, Phase, Step


@dataclass(frozen=True, slots=True)
class Form:
    """How an operation's plain form behaves on a table that others use."""

    lock: LockMode | None
    phase: Phase = Phase.EXPAND


_STRONG = Form(LockMode.ACCESS_EXCLUSIVE)
_BREAKING = Form(LockMode.ACCESS_EXCLUSIVE, Phase.CONTRACT)
_DATA = Form(LockMode.ROW_EXCLUSIVE)
_FORMS = {
    "create_table": Form(None),
    "create_type": Form(None),
    "create_sequence": Form(None),
    "add_column": _STRONG,
    "create_index": Form(LockMode.SHARE),
    "create_foreign_key": Form(LockMode.SHARE_ROW_EXCLUSIVE),
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
    "drop_type": Form(None, Phase.CONTRACT),
    "drop_constraint": _STRONG,
    "drop_index": _STRONG,
    "comment": Form(LockMode.SHARE_UPDATE_EXCLUSIVE),
    "backfill": _DATA,
    "bulk_insert": _DATA,
    "insert": _DATA,
    "update": _DATA,
    "delete": _DATA,
    "execute": Form(None),
}


def form(operation: Operation) -> Form:
    """The plain form of an operation."""
    return _FORMS.get(operation.kind, _FORMS["execute"])


def phase(operation: Operation, facts: Facts) -> Phase:
    """The phase of an operation: what is done to a table of the revision's own breaks nobody."""
    table = subject(operation, facts)
    return Phase.EXPAND if table is not None and table.newborn else form(operation).phase


def subject(operation: Operation, facts: Facts) -> Table | None:
    """The table that an operation is about, as the catalog has it."""
    return facts.tables.get(operation.relation)


def plain(operation: Operation, facts: Facts) -> Step:
    """The operation just as it is, as one brief step.

    Nothing waits for the locks of a table that is new. The tables it locks are locked beforehand, the
    one that is referred to first: an application that writes a parent before its child can't then
    deadlock with it.
    """
    table = subject(operation, facts)
    lock = None if table is not None and table.new else form(operation).lock
    others = [one for one in operation.others if _used(one, facts)]
    if others:
        lock = lock or LockMode.SHARE_ROW_EXCLUSIVE
    own = [operation.relation] if others and _used(operation.relation, facts) else []
    referring = operation.kind in {"create_table", "create_foreign_key"}
    return Step(
        part="plain",
        sql=operation.sql,
        pace=Pace.BRIEF,
        lock=lock,
        phase=phase(operation, facts),
        means=Means.PLAIN,
        tables=tuple(dict.fromkeys([*others, *own])) if referring else (),
    )


def _used(relation: str, facts: Facts) -> bool:
    table = facts.tables.get(relation)
    return table is not None and not table.new


def is_brief(table: Table | None, facts: Facts) -> bool:
    """Whether whatever scans or rewrites a table is brief: it isn't there, is new, or is small."""
    return table is None or table.new or table.bytes < facts.small


def has_key(table: Table) -> bool:
    """Whether a unique index without nulls tells its rows apart, at any time, and no other table's rows count as its own."""
    required = {column.name for column in table.columns if column.not_null}
    keys = (one for one in table.indexes if one.unique and one.plain and one.valid and one.immediate)
    return not table.heirs and any(required.issuperset(one.columns) for one in keys)


def sample(table: Table, alias: str = "") -> str:
    """What is shown of a row that breaks a constraint: its primary key, else where it is; never its other values."""
    key = next((one.columns for one in table.constraints if one.type == "p"), ())
    prefix = f"{alias}." if alias else ""
    return ", ".join(prefix + quoted(name) for name in key) or f"CAST({prefix}ctid AS text) AS ctid"
