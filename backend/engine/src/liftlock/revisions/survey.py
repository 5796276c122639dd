"""Finds the facts that an operation is planned with."""

from __future__ import annotations

import functools
import sys
from dataclasses import replace

from liftlock.model.facts import Facts, Rehearsal, Table
from liftlock.model.operation import BackfillParts, ColumnParts, ConstraintParts, EnumParts, IndexParts, Operation, quoted
from liftlock.planning.plan import NEEDS_REHEARSAL
from liftlock.planning.twins import twin_name
from liftlock.postgres import catalog
from liftlock.postgres.sql import CATALOG
from liftlock.revisions.failures import ASSIGNS_GENERATED, sqlstate
from liftlock.revisions.working import Working

_FILLED = 1_000_000
"""Bytes from which on a table that the run made is one that takes time, though nobody else uses it."""


class Survey:
    """Looks at tables, and knows which of them are new.

    Parameters:
        working: the connection that does the work, which sees its own changes.
        small: bytes up to which a table is small.
        allowed: codes that the operator allows.
        run: the tables that this run made, and their names then; it is added to.
    """

    def __init__(self, working: Working, small: int, allowed: frozenset[str], run: dict[int, str]) -> None:
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
        return operation.kind == "create_table" and not (optional and catalog.table(self._working.rows, operation.relation))

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
        tables = {name: self._table(name) for name in (operation.relation, *operation.others) if name}
        if operation.kind == "drop_index" and isinstance(operation.parts, IndexParts):
            found = self._working.rows(CATALOG["table_of_index"], {"relation": operation.parts.relation})
            tables[operation.relation] = self._table(found[0]["relation"]) if found else None
        known = {name: table for name, table in tables.items() if table is not None}
        rehearsal = self._rehearsal(operation, known.get(operation.relation), small)
        return Facts(small, known, rehearsal, self._allowed, self._labels(operation), self._server)

    @functools.cached_property
    def _server(self) -> int:
        return int(self._working.rows("SELECT current_setting('server_version_num') AS version")[0]["version"])

    def _labels(self, operation: Operation) -> tuple[str, ...] | None:
        if not isinstance(operation.parts, EnumParts):
            return None
        found = self._working.rows(CATALOG["labels"], {"type": operation.parts.relation})
        return tuple(row["label"] for row in found) or None

    def _table(self, relation: str) -> Table | None:
        if relation in self._announced:
            return Table(oid=0, name=relation, kind="r", bytes=0, rows=0, new=True, newborn=self._announced[relation])
        table = catalog.table(self._working.rows, relation)
        if table is None:
            return None
        new = self._run.get(table.oid) == table.name and table.bytes < max(self._small, _FILLED)  # by another name it may be in use
        return replace(table, new=new, newborn=table.oid in self._revision)

    def _rehearsal(self, operation: Operation, table: Table | None, small: int) -> Rehearsal | None:
        if table is None or table.new or table.bytes < small:
            return None
        of_partitions = table.kind == "p" and operation.kind in {"create_index", "create_unique_constraint", "create_primary_key"}
        if operation.kind not in NEEDS_REHEARSAL and not of_partitions:
            return None
        with self._working.undone():
            try:
                copy = catalog.empty_copy(self._working.rows, self._working.send, operation.relation)
            except Exception:  # noqa: BLE001 - without the right to make temporary tables, nothing is known
                return None
            try:
                return self._rehearsed(operation, copy)
            except catalog.Unrehearsable:
                return Rehearsal()  # it will fail on the table itself as well, and say why

    def _rehearsed(self, operation: Operation, copy: int) -> Rehearsal:
        working, relation, sql = self._working, operation.relation, operation.sql
        if isinstance(operation.parts, ColumnParts) and operation.parts.key is not None:
            sql = f"ALTER TABLE {relation} ADD COLUMN {operation.parts.written}"  # no temporary table may refer to another
        if operation.kind == "create_index":
            return catalog.rehearse_index(working.rows, working.send, relation, sql)
        if isinstance(operation.parts, ConstraintParts) and operation.kind in {"create_unique_constraint", "create_primary_key"}:
            listed = ", ".join(quoted(name) for name in operation.parts.columns)
            sql = f"CREATE UNIQUE INDEX ON {relation} ({listed}){operation.parts.index}"
            return catalog.rehearse_index(working.rows, working.send, relation, sql, constraint=True)
        if operation.kind == "alter_type" and isinstance(operation.parts, ColumnParts):
            column = (operation.parts.name, twin_name(operation))
            return catalog.rehearse_type(working.rows, working.send, relation, sql, copy, column)
        if operation.kind == "add_column" and isinstance(operation.parts, ColumnParts):
            column = (quoted(operation.parts.name), operation.parts.type)
            return catalog.rehearse_column(working.rows, working.send, relation, sql, copy, column)
        if isinstance(operation.parts, BackfillParts):
            return self._moves(relation, operation.parts)
        return catalog.rehearse(working.rows, working.send, relation, sql, copy)

    def _moves(self, relation: str, parts: BackfillParts) -> Rehearsal:
        try:
            catalog.rehearse_update(self._working.rows, self._working.send, relation, parts)
        except Exception as error:  # noqa: BLE001 - any other will come again on the table itself, and say why
            return Rehearsal(moves=sqlstate(error) in ASSIGNS_GENERATED)
        return Rehearsal()
