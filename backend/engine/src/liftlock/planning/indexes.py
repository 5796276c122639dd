"""Recipes for CREATE INDEX and DROP INDEX.

CREATE INDEX::

    plain:  CREATE INDEX ix ON t (a)                   SHARE: blocks writes during the build
    online: CREATE INDEX CONCURRENTLY ix ON t (a)      SHARE UPDATE EXCLUSIVE, twice the time

    crash:  An invalid index of this name. Writes may already maintain it and, if it is unique,
            enforce it. The next run drops it with DROP INDEX CONCURRENTLY and builds it again.

DROP INDEX::

    plain:  DROP INDEX ix                              ACCESS EXCLUSIVE: blocks reads and writes
    online: DROP INDEX CONCURRENTLY ix                 SHARE UPDATE EXCLUSIVE

    crash:  An invalid index of this name. The next run drops it again.

Both CONCURRENTLY forms can't run in a transaction, and neither works for a partitioned table, whose
index is built on each partition (``partitions``):
https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY
"""

from __future__ import annotations

from liftlock.model.lock import LockMode
from liftlock.model.operation import IndexDetails, Operation
from liftlock.model.step import Pace, Step, StepKind
from liftlock.model.table import Facts, Table
from liftlock.planning.partitions import PartitionedIndex
from liftlock.planning.steps import build_index
from liftlock.planning.unchanged import is_small_or_new, phase_of_operation, table_of
from liftlock.sql import index_definition, parse, rewrite


def create_index(operation: Operation, facts: Facts) -> list[Step] | None:
    """Plan CREATE INDEX as a concurrent build."""
    table = table_of(operation, facts)
    index = operation.details
    if table is None or not isinstance(index, IndexDetails):
        return None
    concurrently = parse(operation.sql).is_concurrent
    if is_small_or_new(table, facts) and not concurrently:
        return None
    if table.kind == "p":
        # PostgreSQL refuses CONCURRENTLY for a partitioned table. Its own error is the clearest.
        return None if concurrently else _create_partitioned_index(operation, index, table, facts)
    existing = table.index(index.name)
    if index.optional and existing is not None and existing.valid:
        return []
    # IF NOT EXISTS is withheld: PostgreSQL would accept an invalid index of this name and skip the
    # build. The catalog has been read instead.
    sql = rewrite.create_index_concurrently(rewrite.without_if_not_exists(operation.sql))
    return [build_index(sql, index.relation, operation.relation)]


def drop_index(operation: Operation, facts: Facts) -> list[Step] | None:
    """Plan DROP INDEX as DROP INDEX CONCURRENTLY.

    An index that belongs to a constraint is left to PostgreSQL's error: neither form drops it.
    """
    table = table_of(operation, facts)
    index = operation.details
    if table is None or table.kind != "r" or not isinstance(index, IndexDetails):
        return None
    if is_small_or_new(table, facts) and not parse(operation.sql).is_concurrent:
        return None
    existing = table.index(index.name)
    if existing is None or existing.constraint:
        return None
    step = Step(
        name="drop",
        sql=rewrite.drop_index_concurrently(operation.sql),
        pace=Pace.ONLINE,
        lock=LockMode.SHARE_UPDATE_EXCLUSIVE,
        phase=phase_of_operation(operation, facts),
        kind=StepKind.CONCURRENT,
        repair=f"DROP INDEX CONCURRENTLY IF EXISTS {index.relation}",
        index=index.relation,
    )
    return [step]


def _create_partitioned_index(
    operation: Operation, index: IndexDetails, table: Table, facts: Facts
) -> list[Step] | None:
    if facts.dry_run is None or not facts.dry_run.index_columns:
        return None
    if index.optional and table.index(index.name) is not None:
        return None
    partitioned = PartitionedIndex(
        relation=operation.relation,
        name=index.name,
        unique=index.unique,
        definition=index_definition(operation.sql),
        columns=facts.dry_run.index_columns,
        present=facts.dry_run.present,
    )
    return list(partitioned.steps(table.partitions))
