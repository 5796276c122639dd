"""Finds the facts that an operation is planned with."""

from __future__ import annotations

import functools
import sys
from dataclasses import replace

from liftlock.execution.connection import ProjectConnection
from liftlock.execution.database_errors import ASSIGNS_GENERATED, sqlstate
from liftlock.model.operation import (
    BackfillDetails,
    ColumnDetails,
    ConstraintDetails,
    EnumDetails,
    IndexDetails,
    Operation,
    quote_name,
)
from liftlock.model.table import DryRun, Facts, Table
from liftlock.planning.column_type import replacement_name
from liftlock.planning.plan import NEEDS_REHEARSAL
from liftlock.postgres import catalog
from liftlock.postgres.dry_run import DryRunFailed, EmptyCopy
from liftlock.postgres.queries import CATALOG

_FILLED = 1_000_000
"""Bytes from which on a table that the run made is one that takes time, though nobody else uses it."""


class FactCollector:
    """Looks at tables, and knows which of them are new.

    Parameters:
        working: the connection that does the work, which sees its own changes.
        small: bytes up to which a table is small.
        allowed: codes that the operator allows.
        run: the tables that this run made, and their names then; it is added to.
    """

    def __init__(
        self, working: ProjectConnection, small: int, allowed: frozenset[str], run: dict[int, str]
    ) -> None:
        self._working = working
        self._small = small
        self._allowed = allowed
        self._run = run
        self._revision: set[int] = set()
        self._announced: dict[str, bool] = {}

    def begin(self) -> None:
        """Another revision, or another attempt at it."""
        self._revision, self._announced = set(), dict.fromkeys(self._announced, False)

    def made(self, relation: str) -> None:
        """A table was created."""
        table = catalog.table(self._working.rows, relation)
        if table is not None:
            self._revision.add(table.oid)
            self._run[table.oid] = table.name

    def makes(self, operation: Operation) -> bool:
        """Whether an operation is about to make a table; one that only would, if there were none, doesn't where there is one."""
        optional = operation.sql.startswith("CREATE TABLE IF NOT EXISTS")
        return operation.kind == "create_table" and not (
            optional and catalog.table(self._working.rows, operation.relation)
        )

    def announced(self, relation: str) -> None:
        """A table would be created, by a revision that is only looked at."""
        self._announced[relation] = True

    def facts(self, operation: Operation, *, bound: bool = False) -> Facts:
        """The facts for an operation.

        Parameters:
            operation: what the revision asked for.
            bound: nothing may be committed, so only plain forms will do.
        """
        small = sys.maxsize if bound else self._small
        tables = {
            name: self._table(name) for name in (operation.relation, *operation.others) if name
        }
        if operation.kind == "drop_index" and isinstance(operation.details, IndexDetails):
            found = self._working.rows(
                CATALOG["table_of_index"], {"relation": operation.details.relation}
            )
            tables[operation.relation] = self._table(found[0]["relation"]) if found else None
        known = {name: table for name, table in tables.items() if table is not None}
        rehearsal = self._rehearsal(operation, known.get(operation.relation), small)
        return Facts(small, known, rehearsal, self._allowed, self._labels(operation), self._server)

    @functools.cached_property
    def _server(self) -> int:
        return int(
            self._working.rows("SELECT current_setting('server_version_num') AS version")[0][
                "version"
            ]
        )

    def _labels(self, operation: Operation) -> tuple[str, ...] | None:
        if not isinstance(operation.details, EnumDetails):
            return None
        found = self._working.rows(CATALOG["labels"], {"type": operation.details.relation})
        return tuple(row["label"] for row in found) or None

    def _table(self, relation: str) -> Table | None:
        if relation in self._announced:
            return Table(
                oid=0,
                name=relation,
                kind="r",
                bytes=0,
                rows=0,
                created_by_run=True,
                created_by_revision=self._announced[relation],
            )
        table = catalog.table(self._working.rows, relation)
        if table is None:
            return None
        new = self._run.get(table.oid) == table.name and table.bytes < max(
            self._small, _FILLED
        )  # by another name it may be in use
        return replace(table, created_by_run=new, created_by_revision=table.oid in self._revision)

    def _rehearsal(self, operation: Operation, table: Table | None, small: int) -> DryRun | None:
        if table is None or table.created_by_run or table.bytes < small:
            return None
        of_partitions = table.kind == "p" and operation.kind in {
            "create_index",
            "create_unique_constraint",
            "create_primary_key",
        }
        if operation.kind not in NEEDS_REHEARSAL and not of_partitions:
            return None
        with self._working.undone():
            try:
                copy = EmptyCopy(self._working.rows, self._working.send, operation.relation)
            except Exception:
                return None
            try:
                return self._rehearsed(operation, copy)
            except DryRunFailed:
                return DryRun()  # it will fail on the table itself as well, and say why

    def _rehearsed(self, operation: Operation, copy: EmptyCopy) -> DryRun:
        relation, sql = operation.relation, operation.sql
        if isinstance(operation.details, ColumnDetails) and operation.details.key is not None:
            sql = f"ALTER TABLE {relation} ADD COLUMN {operation.details.written}"  # no temporary table may refer to another
        if operation.kind == "create_index":
            return copy.create_index(sql)
        if isinstance(operation.details, ConstraintDetails) and operation.kind in {
            "create_unique_constraint",
            "create_primary_key",
        }:
            listed = ", ".join(quote_name(name) for name in operation.details.columns)
            sql = f"CREATE UNIQUE INDEX ON {relation} ({listed}){operation.details.index}"
            return copy.create_index(sql, constraint=True)
        if operation.kind == "alter_type" and isinstance(operation.details, ColumnDetails):
            return copy.alter_type(sql, operation.details.name, replacement_name(operation))
        if operation.kind == "add_column" and isinstance(operation.details, ColumnDetails):
            name = quote_name(operation.details.name)
            return copy.add_column(sql, name, operation.details.type)
        if isinstance(operation.details, BackfillDetails):
            return self._moves(copy, operation.details)
        return copy.alter_table(sql)

    def _moves(self, copy: EmptyCopy, parts: BackfillDetails) -> DryRun:
        try:
            copy.update(parts)
        except Exception as error:
            return DryRun(moves_rows=sqlstate(error) in ASSIGNS_GENERATED)
        return DryRun()
