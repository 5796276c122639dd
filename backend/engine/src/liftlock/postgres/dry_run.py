"""Dry runs of statements on an empty temporary copy of their table, to see what PostgreSQL does.

An empty table is rewritten exactly when a full one would be, and so are its indexes. The copy has
the defaults, constraints, indexes and generated columns of the table, but no triggers, foreign keys
and privileges:
https://www.postgresql.org/docs/current/sql-createtable.html#SQL-CREATETABLE-PARMS-LIKE
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from liftlock.model.operation import BackfillDetails
from liftlock.model.replacement import (
    DependentConstraint,
    DependentIndex,
    DependentSequence,
    ReplacementColumn,
)
from liftlock.model.table import DryRun
from liftlock.planning.column_type import column_state
from liftlock.postgres.catalog import Execute, Send, with_tuples
from liftlock.postgres.queries import CATALOG
from liftlock.postgres.sqlstates import is_statement_error
from liftlock.sql import quote_name

_COPY = "liftlock_rehearsal"
"""The name of the temporary table; the query ``copy_indexes`` contains it too."""

_DEPENDENTS = {
    "indexes": DependentIndex,
    "checks": DependentConstraint,
    "keys": DependentConstraint,
    "sequences": DependentSequence,
}


class DryRunFailed(Exception):
    """The statement failed on the empty copy; on the table it would fail for the same reason."""


def raise_if_outer(error: Exception) -> None:
    """Raise an error again if the statement didn't cause it, such as a refused lock."""
    if not is_statement_error(error):
        raise error


class EmptyCopy:
    """An empty temporary copy of a table, created at once in the caller's transaction.

    The caller sets a savepoint before and rolls back to it afterwards. One copy serves one
    dry run, because each method changes the copy.

    Parameters:
        execute: runs a statement with named parameters.
        send: runs a statement exactly as it is written.
        relation: the table as SQL text.
    """

    def __init__(self, execute: Execute, send: Send, relation: str) -> None:
        self._execute = execute
        self._send = send
        self._relation = relation
        self._table_name = relation.rpartition(".")[2]
        send(f"CREATE TEMPORARY TABLE {_COPY} (LIKE {relation} INCLUDING ALL)")
        rows = execute(f"SELECT CAST('pg_temp.{_COPY}'::regclass AS bigint) AS oid", {})
        self._oid = int(rows[0]["oid"])

    def alter_table(self, sql: str) -> DryRun:
        """Run an ALTER TABLE; see whether PostgreSQL rewrites the table or rebuilds its indexes.

        Parameters:
            sql: the statement; it begins with ALTER TABLE and the relation.

        Raises:
            DryRunFailed: the statement fails.
        """
        files_before = self._files()
        checks_before = self._check_columns()
        # The copy gets the table's own name, since expressions may qualify columns with it.
        self._send(f"ALTER TABLE pg_temp.{_COPY} RENAME TO {self._table_name}")
        try:
            self._send(self._alter_copy(sql))
        except Exception as error:
            raise_if_outer(error)
            raise DryRunFailed from error
        self._send(f"ALTER TABLE pg_temp.{self._table_name} RENAME TO {_COPY}")
        files_after = self._files()
        new_checks = {
            oid: columns
            for oid, columns in self._check_columns().items()
            if oid not in checks_before
        }
        # A rewritten table has a new file. An index is rebuilt if one of the old files is gone;
        # a further file belongs to an index that the statement creates.
        return DryRun(
            rewrites=not files_after["table"] <= files_before["table"],
            rebuilds=not files_before["indexes"] <= files_after["indexes"],
            check_columns=tuple(new_checks.values()),
        )

    def add_column(self, sql: str, name: str, type_: str) -> DryRun:
        """Run an ADD COLUMN; if it rewrites the table, see whether the type alone causes that.

        A volatile default is the other cause. Only that one can be replaced by a backfill.

        Parameters:
            sql: the statement, as for ``alter_table``.
            name: the column's name as SQL text.
            type_: the column's type as SQL text.

        Raises:
            DryRunFailed: the statement fails.
        """
        result = self.alter_table(sql)
        if not result.rewrites:
            return result
        self._send(f"ALTER TABLE pg_temp.{_COPY} DROP COLUMN {name}")
        without_default = f"ALTER TABLE {self._relation} ADD COLUMN {name} {type_} DEFAULT NULL"
        return replace(result, type_rewrites=self.alter_table(without_default).rewrites)

    def alter_type(self, sql: str, name: str, replacement: str) -> DryRun:
        """Run an ALTER COLUMN TYPE; find what a column that replaces this one would need.

        Parameters:
            sql: the statement, as for ``alter_table``.
            name: the column's name, not quoted.
            replacement: the name of the column that would replace it, not quoted.

        Raises:
            DryRunFailed: the statement fails.
        """
        # LIKE names the copied indexes after the copy. Named after the OIDs of the originals, each
        # can be assigned to its original when PostgreSQL has adapted its definition to the type.
        renames = {"relation": self._relation, "copy": self._oid}
        for row in self._execute(CATALOG["match_indexes"], renames):
            self._send(row["sql"])
        result = self.alter_table(sql)
        name_in_copy = name
        if result.rewrites or result.rebuilds:
            # PostgreSQL then writes the name of the replacement in every definition it returns.
            name_in_copy = replacement
            self._send(
                f"ALTER TABLE pg_temp.{_COPY}"
                f" RENAME COLUMN {quote_name(name)} TO {quote_name(replacement)}"
            )
        wanted = {
            "relation": self._relation,
            "copy": self._oid,
            "name": name,
            "replacement": name_in_copy,
        }
        facts = json.loads(self._execute(CATALOG["replacement_column"], wanted)[0]["facts"])
        facts |= self._send(column_state(self._relation, name))[0]
        return replace(result, replacement=_replacement_column(facts))

    def update(self, details: BackfillDetails) -> None:
        """Run a backfill's UPDATE; it fails if it assigns the columns by which rows are found.

        These columns are replaced by generated columns. An UPDATE that assigns one fails with
        SQLSTATE 428C9 before any row is read, so also on an empty table:
        https://www.postgresql.org/docs/current/ddl-generated-columns.html

        Parameters:
            details: the backfill's.
        """
        wanted = {"relation": self._relation, "keys": not details.where}
        locating_columns = self._execute(CATALOG["locating_columns"], wanted)
        # From here on the copy hides the table, as temporary tables come first in the search path.
        self._send(f"ALTER TABLE pg_temp.{_COPY} RENAME TO {self._table_name}")
        for column in locating_columns:
            name, type_ = quote_name(column["name"]), column["type"]
            self._send(
                f"ALTER TABLE pg_temp.{self._table_name} DROP COLUMN {name} CASCADE,"
                f" ADD COLUMN {name} {type_} GENERATED ALWAYS AS (CAST(NULL AS {type_})) STORED"
            )
        condition = details.where or "true"
        self._send(f"UPDATE pg_temp.{self._table_name} SET {details.values} WHERE {condition}")

    def create_index(self, sql: str, *, constraint: bool = False) -> DryRun:
        """Run a CREATE INDEX; find the names of its columns and the partitions that have its like.

        PostgreSQL attaches an index of a partition instead of building one if its definition is
        the same.

        Parameters:
            sql: the statement.
            constraint: whether the index is for a constraint; then only indexes of constraints
                are accepted.

        Raises:
            DryRunFailed: the statement fails.
        """
        created = self._create_index(sql)
        wanted = {"index": created["name"], "relation": self._relation}
        rows = self._execute(CATALOG["index_definitions"], wanted)
        shape = next(row["shape"] for row in rows if row["name"] == created["name"])
        present = {}
        for row in reversed(rows):  # the oldest index of a partition wins, as in PostgreSQL
            suitable = row["free"] and (row["constrained"] or not constraint)
            if row["shape"] == shape and suitable and row["name"] != created["name"]:
                present[row["relation"]] = row["name"]
        return DryRun(index_columns=tuple(json.loads(created["columns"])), present=present)

    def defines_index(self, sql: str, index: str) -> bool:
        """Return whether a CREATE INDEX defines an index exactly as an existing one.

        Parameters:
            sql: the statement.
            index: the existing index, as SQL text.

        Raises:
            DryRunFailed: the statement fails.
        """
        created = self._create_index(sql)
        return self._definition(created["name"]) == self._definition(index)

    def _definition(self, index: str) -> list[tuple[str, str]]:
        rows = self._execute(CATALOG["index_definitions"], {"index": index, "relation": ""})
        return [(row["shape"], row["details"]) for row in rows]

    def _create_index(self, sql: str) -> Mapping[str, Any]:
        """Create the index of a statement on the copy, not concurrently and without its name."""
        oids_before = {row["oid"] for row in self._execute(CATALOG["copy_indexes"], {})}
        head, on, rest = sql.partition(f" ON {self._relation} ")
        if not on:
            message = f"not a CREATE INDEX on {self._relation}: {sql}"
            raise ValueError(message)
        unique = "UNIQUE " if head.split()[1] == "UNIQUE" else ""
        try:
            self._send(f"CREATE {unique}INDEX ON pg_temp.{_COPY} {rest}")
        except Exception as error:
            raise_if_outer(error)
            raise DryRunFailed from error
        indexes = self._execute(CATALOG["copy_indexes"], {})
        return next(index for index in indexes if index["oid"] not in oids_before)

    def _alter_copy(self, sql: str) -> str:
        """Return an ALTER TABLE with the copy, which has the table's name now, as its table."""
        head, relation, rest = sql.partition(self._relation)
        if not relation or head.split() != ["ALTER", "TABLE"]:
            message = f"not an ALTER TABLE of {self._relation}: {sql}"
            raise ValueError(message)
        return f"{head}pg_temp.{self._table_name}{rest}"

    def _files(self) -> dict[str, set[int]]:
        """Return the file numbers of the copy and of its indexes."""
        files: dict[str, set[int]] = {"table": set(), "indexes": set()}
        for row in self._execute(CATALOG["copy_files"], {"oid": self._oid}):
            files["table" if row["own"] else "indexes"].add(row["file"])
        return files

    def _check_columns(self) -> dict[int, tuple[str, ...]]:
        """Return the columns of each check constraint of the copy, by the constraint's OID."""
        rows = self._execute(CATALOG["copy_checks"], {"oid": self._oid})
        return {row["oid"]: tuple(json.loads(row["columns"])) for row in rows}


def _replacement_column(facts: dict[str, Any]) -> ReplacementColumn:
    for name, dependent in _DEPENDENTS.items():
        facts[name] = tuple(dependent(**with_tuples(row)) for row in facts[name])
    return ReplacementColumn(**with_tuples(facts))
