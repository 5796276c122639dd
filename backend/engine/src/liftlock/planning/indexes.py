"""Recipes for indexes.

CREATE INDEX CONCURRENTLY lets writes go on, and an interrupted one leaves an invalid index behind:
https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY
"""

from __future__ import annotations

import re

from liftlock.model.lock import LockMode
from liftlock.model.operation import IndexDetails, Operation
from liftlock.model.step import Pace, Step, StepKind
from liftlock.model.table import Facts, Table
from liftlock.planning.default import is_small_or_new, phase, table_of
from liftlock.planning.partitions import PartitionedIndex
from liftlock.planning.steps import build_index

_CREATE = re.compile(r"\s*CREATE (UNIQUE )?INDEX (CONCURRENTLY )?")
_DROP = re.compile(r"\s*DROP INDEX (CONCURRENTLY )?")


def create_index(operation: Operation, facts: Facts) -> list[Step] | None:
    """Build it concurrently."""
    table, parts = table_of(operation, facts), operation.details
    written = _CREATE.match(operation.sql)
    concurrently = bool(written and written[2])
    if (
        not isinstance(parts, IndexDetails)
        or table is None
        or (is_small_or_new(table, facts) and not concurrently)
    ):
        return None
    if table.kind == "p":
        return None if concurrently else _of_partitions(operation, parts, table, facts)
    present = table.index(parts.name)
    if parts.optional and present is not None and present.valid:
        return []
    sql = _CREATE.sub(
        lambda found: f"CREATE {found[1] or ''}INDEX CONCURRENTLY ", operation.sql, count=1
    )
    return [build_index(sql.replace(" IF NOT EXISTS ", " ", 1), parts.relation, operation.relation)]


def _of_partitions(
    operation: Operation, parts: IndexDetails, table: Table, facts: Facts
) -> list[Step] | None:
    columns = facts.dry_run.index_columns if facts.dry_run else ()
    if not facts.dry_run or not columns or (parts.optional and table.index(parts.name) is not None):
        return None
    rest = operation.sql.partition(f" ON {operation.relation} ")[2]
    return list(
        PartitionedIndex(
            operation.relation, parts.name, parts.unique, rest, columns, facts.dry_run.present
        ).steps(table.partitions)
    )


def drop_index(operation: Operation, facts: Facts) -> list[Step] | None:
    """Drop it concurrently, unless a constraint owns it: PostgreSQL refuses that in either form."""
    table, parts = table_of(operation, facts), operation.details
    written = _DROP.match(operation.sql)
    concurrently = bool(written and written[1])
    if (
        not isinstance(parts, IndexDetails)
        or table is None
        or table.kind != "r"
        or (is_small_or_new(table, facts) and not concurrently)
    ):
        return None
    present = table.index(parts.name)
    if present is None or present.constraint:
        return None
    return [
        Step(
            name="drop",
            sql=_DROP.sub("DROP INDEX CONCURRENTLY ", operation.sql, count=1),
            pace=Pace.ONLINE,
            lock=LockMode.SHARE_UPDATE_EXCLUSIVE,
            phase=phase(operation, facts),
            kind=StepKind.CONCURRENT,
            repair=f"DROP INDEX CONCURRENTLY IF EXISTS {parts.relation}",
            index=parts.relation,
        )
    ]
