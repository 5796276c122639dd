"""Collects the facts that an operation is planned with."""

from __future__ import annotations

import functools
import sys
from dataclasses import replace

from sqlalchemy.exc import DBAPIError

from liftlock.execution.connection import ProjectConnection
from liftlock.model.operation import (
    BackfillDetails,
    ColumnDetails,
    ConstraintDetails,
    EnumDetails,
    IndexDetails,
    Operation,
)
from liftlock.model.table import DryRun, Facts, Table
from liftlock.planning.column_type import replacement_name
from liftlock.planning.plan import NEEDS_DRY_RUN
from liftlock.postgres import catalog
from liftlock.postgres.dry_run import DryRunFailed, EmptyCopy, raise_if_outer
from liftlock.postgres.queries import CATALOG, QUERIES
from liftlock.postgres.sqlstates import ASSIGNS_GENERATED, sqlstate
from liftlock.sql import parse, quote_name

_LARGE_NEW_TABLE_BYTES = 1_000_000
"""A table that the run created and filled takes time from this size on, also while unused."""
_INDEX_CONSTRAINTS = frozenset({"create_unique_constraint", "create_primary_key"})
_NEEDS_COPY_WHEN_PARTITIONED = _INDEX_CONSTRAINTS | {"create_index"}


class FactCollector:
    """Reads tables from the catalog, and knows which of them are new.

    Parameters:
        connection: the project's connection, which sees its own uncommitted changes.
        small_table_bytes: the size up to which a table is small.
        allowed: codes that the operator allows.
    """

    def __init__(
        self, connection: ProjectConnection, small_table_bytes: int, allowed: frozenset[str]
    ) -> None:
        self._connection = connection
        self._small_table_bytes = small_table_bytes
        self._allowed = allowed
        self._created_by_run: dict[int, str] = {}
        self._created_by_revision: set[int] = set()
        self._planned: dict[str, bool] = {}

    def begin_attempt(self) -> None:
        """Begin another revision, or another attempt at one."""
        self._created_by_revision = set()
        self._planned = dict.fromkeys(self._planned, False)

    def note_created(self, relation: str) -> None:
        """Note that the revision created a table."""
        table = catalog.table(self._connection.rows, relation)
        if table is not None:
            self._created_by_revision.add(table.oid)
            self._created_by_run[table.oid] = table.name

    def note_planned(self, relation: str) -> None:
        """Note that a revision that is only planned would create a table."""
        self._planned[relation] = True

    def creates_table(self, operation: Operation) -> bool:
        """Return whether an operation will create a table.

        CREATE TABLE IF NOT EXISTS doesn't where the table exists.
        """
        if operation.kind != "create_table":
            return False
        optional = parse(operation.sql).if_not_exists
        return not (optional and catalog.table(self._connection.rows, operation.relation))

    def facts(self, operation: Operation, *, plain: bool = False) -> Facts:
        """Collect the facts for an operation.

        Parameters:
            operation: the operation.
            plain: plan the plain form: nothing may be committed, so every table counts as small.
        """
        small = sys.maxsize if plain else self._small_table_bytes
        tables = self._tables(operation)
        return Facts(
            small_table_bytes=small,
            tables=tables,
            dry_run=self._dry_run(operation, tables.get(operation.relation), small),
            allowed=self._allowed,
            labels=self._labels(operation),
            server=self._server_version,
        )

    @functools.cached_property
    def _server_version(self) -> int:
        (backend,) = self._connection.rows(QUERIES["backend"])
        return int(backend["version"])

    def _tables(self, operation: Operation) -> dict[str, Table]:
        """Return the tables of an operation, by their SQL text in it; missing ones are left out."""
        found = {
            relation: self._table(relation)
            for relation in (operation.relation, *operation.others)
            if relation
        }
        if operation.kind == "drop_index" and isinstance(operation.details, IndexDetails):
            found[operation.relation] = self._table_of_index(operation.details.relation)
        return {relation: table for relation, table in found.items() if table is not None}

    def _table_of_index(self, index: str) -> Table | None:
        rows = self._connection.rows(CATALOG["table_of_index"], {"relation": index})
        return self._table(rows[0]["relation"]) if rows else None

    def _table(self, relation: str) -> Table | None:
        if relation in self._planned:
            return Table(
                oid=0,
                name=relation,
                kind="r",
                bytes=0,
                rows=0,
                created_by_run=True,
                created_by_revision=self._planned[relation],
            )
        table = catalog.table(self._connection.rows, relation)
        if table is None:
            return None
        return replace(
            table,
            created_by_run=self._is_new(table),
            created_by_revision=table.oid in self._created_by_revision,
        )

    def _is_new(self, table: Table) -> bool:
        """Return whether the run created a table that nothing else uses yet.

        Under another name it may be in use: the revision renamed it to take another one's place.
        """
        same_name = self._created_by_run.get(table.oid) == table.name
        return same_name and table.bytes < max(self._small_table_bytes, _LARGE_NEW_TABLE_BYTES)

    def _labels(self, operation: Operation) -> tuple[str, ...] | None:
        """Return the labels of the enum that an operation creates, if it exists already."""
        if not isinstance(operation.details, EnumDetails):
            return None
        rows = self._connection.rows(CATALOG["labels"], {"type": operation.details.relation})
        return tuple(row["label"] for row in rows) or None

    def _dry_run(self, operation: Operation, table: Table | None, small: int) -> DryRun | None:
        """Run an operation on an empty copy of its table, where only PostgreSQL knows its effect.

        Without the right to create temporary tables nothing is known.
        """
        if table is None or table.created_by_run or table.bytes < small:
            return None
        if not _needs_dry_run(operation, table):
            return None
        with self._connection.dry_run():
            try:
                copy = EmptyCopy(self._connection.rows, self._connection.send, operation.relation)
            except DBAPIError as error:
                raise_if_outer(error)
                return None
            try:
                return _run_on(copy, operation)
            except DryRunFailed:
                return DryRun()  # the statement itself will fail too, with PostgreSQL's message


def _needs_dry_run(operation: Operation, table: Table) -> bool:
    partitioned = table.kind == "p" and operation.kind in _NEEDS_COPY_WHEN_PARTITIONED
    return partitioned or operation.kind in NEEDS_DRY_RUN


def _run_on(copy: EmptyCopy, operation: Operation) -> DryRun:
    details = operation.details
    if operation.kind == "create_index":
        return copy.create_index(operation.sql)
    if isinstance(details, ConstraintDetails) and operation.kind in _INDEX_CONSTRAINTS:
        columns = ", ".join(quote_name(name) for name in details.columns)
        index = f"CREATE UNIQUE INDEX ON {operation.relation} ({columns}){details.index}"
        return copy.create_index(index, constraint=True)
    if isinstance(details, ColumnDetails):
        return _run_column(copy, operation, details)
    if isinstance(details, BackfillDetails):
        return _run_backfill(copy, details)
    return copy.alter_table(operation.sql)


def _run_column(copy: EmptyCopy, operation: Operation, column: ColumnDetails) -> DryRun:
    statement = operation.sql
    if column.key is not None:
        # a temporary table can't have a foreign key to a permanent one
        statement = f"ALTER TABLE {operation.relation} ADD COLUMN {column.written}"
    if operation.kind == "alter_type":
        return copy.alter_type(statement, column.name, replacement_name(operation))
    if operation.kind == "add_column":
        return copy.add_column(statement, quote_name(column.name), column.type)
    return copy.alter_table(statement)


def _run_backfill(copy: EmptyCopy, details: BackfillDetails) -> DryRun:
    try:
        copy.update(details)
    except DBAPIError as error:  # the table itself will report any other error
        raise_if_outer(error)
        return DryRun(moves_rows=sqlstate(error) in ASSIGNS_GENERATED)
    return DryRun()
