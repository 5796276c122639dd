"""Reads facts from the catalog, through whatever connection does the work, so that it sees its own changes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from liftlock.model.operation import BackfillDetails, quote_name
from liftlock.model.replacement import (
    DependentConstraint,
    DependentIndex,
    DependentSequence,
    ReplacementColumn,
)
from liftlock.model.table import Column, Constraint, DryRun, Index, Partition, Table
from liftlock.planning.column_type import column_state
from liftlock.postgres.queries import CATALOG

Execute = Callable[[str, Mapping[str, object]], Sequence[Mapping[str, Any]]]
"""Runs a statement with named parameters on whatever connection it belongs to."""


Send = Callable[[str], Sequence[Mapping[str, Any]]]
"""Runs a statement just as it is written; its rows."""


_COPY = "liftlock_rehearsal"


class DryRunFailed(Exception):
    """A statement fails on the empty copy, so it would on the table itself, for the same reason."""


def table(execute: Execute, relation: str) -> Table | None:
    """The table of a name; None where there is none.

    Parameters:
        execute: runs statements.
        relation: the table as SQL text; the search path of the connection counts.
    """
    rows = execute(CATALOG["table"], {"relation": relation})
    if not rows:
        return None
    found = json.loads(rows[0]["facts"])
    found["columns"] = tuple(Column(**one) for one in found["columns"])
    found["constraints"] = tuple(
        Constraint(**one | {"columns": tuple(one["columns"])}) for one in found["constraints"]
    )
    found["indexes"] = tuple(
        Index(**one | {"columns": tuple(one["columns"])}) for one in found["indexes"]
    )
    taken = {
        int(schema): frozenset(names) for schema, names in found.pop("names_of_schemas").items()
    }
    found["partitions"] = tuple(
        Partition(
            **one | {"relation_names": taken[one["relation_names"]], "keys": tuple(one["keys"])}
        )
        for one in found["partitions"]
    )
    found["obstacles"] = tuple(found["obstacles"])
    for name in ("relation_names", "constraint_names"):
        found[name] = frozenset(found[name])
    return Table(**found)


def empty_copy(execute: Execute, send: Send, relation: str) -> int:
    """An empty temporary copy of a table, with all that stands on it; its identity."""
    send(f"CREATE TEMPORARY TABLE {_COPY} (LIKE {relation} INCLUDING ALL)")
    return int(execute(f"SELECT CAST('pg_temp.{_COPY}'::regclass AS bigint) AS oid", {})[0]["oid"])


def dry_run(execute: Execute, send: Send, relation: str, sql: str, copy: int) -> DryRun:
    """Run an ALTER TABLE on the empty copy of its table, and see what PostgreSQL does.

    The caller undoes it by a savepoint. An empty table is rewritten just as a full one is; so are its indexes:
    https://www.postgresql.org/docs/current/sql-createtable.html#SQL-CREATETABLE-PARMS-LIKE

    Parameters:
        execute: runs statements.
        send: runs a statement just as it is.
        relation: the table as SQL text.
        sql: the statement; it begins with ALTER TABLE and the relation.
        copy: what ``empty_copy`` returned.

    Raises:
        Unrehearsable: the statement fails.
    """
    files, checks = _files(execute, copy), _checks(execute, copy)
    name = relation.rpartition(".")[2]
    send(f"ALTER TABLE pg_temp.{_COPY} RENAME TO {name}")  # expressions may name their table
    try:
        send(_aimed(sql, relation, f"pg_temp.{name}"))
    except Exception as error:
        raise DryRunFailed from error
    send(f"ALTER TABLE pg_temp.{name} RENAME TO {_COPY}")
    after = _files(execute, copy)
    new = {key: value for key, value in _checks(execute, copy).items() if key not in checks}
    return DryRun(
        rewrites=not after[True] <= files[True],
        rebuilds=not files[False] <= after[False],
        check_columns=tuple(new.values()),
    )


def dry_run_column(
    execute: Execute, send: Send, relation: str, sql: str, copy: int, column: tuple[str, str]
) -> DryRun:
    """As ``rehearse``; and where a new column makes the table be written anew, whether its type alone does.

    Parameters:
        execute, send, relation, sql, copy: as of ``rehearse``.
        column: its name and its type, as SQL text.
    """
    found, (name, kind) = dry_run(execute, send, relation, sql, copy), column
    if not found.rewrites:
        return found
    send(f"ALTER TABLE pg_temp.{_COPY} DROP COLUMN {name}")
    alone = dry_run(
        execute,
        send,
        relation,
        f"ALTER TABLE {relation} ADD COLUMN {name} {kind} DEFAULT NULL",
        copy,
    )
    return replace(found, type_rewrites=alone.rewrites)


def dry_run_type(
    execute: Execute, send: Send, relation: str, sql: str, copy: int, column: tuple[str, str]
) -> DryRun:
    """As ``rehearse``; and where the column must be replaced by a twin, what that needs.

    Parameters:
        execute, send, relation, sql, copy: as of ``rehearse``.
        column: its name, and the twin's.
    """
    for row in execute(CATALOG["match_indexes"], {"relation": relation, "copy": copy}):
        send(row["sql"])
    found, (name, twin) = dry_run(execute, send, relation, sql, copy), column
    if found.rewrites or found.rebuilds:
        send(f"ALTER TABLE pg_temp.{_COPY} RENAME COLUMN {quote_name(name)} TO {quote_name(twin)}")
    else:
        twin = name
    rows = execute(
        CATALOG["twin"], {"relation": relation, "copy": copy, "name": name, "twin": twin}
    )
    facts = json.loads(rows[0]["facts"]) | send(column_state(relation, name))[0]
    return replace(found, replacement=_twin(facts))


def dry_run_update(execute: Execute, send: Send, relation: str, parts: BackfillDetails) -> None:
    """Run a backfill's update on the empty copy, where nobody may assign the columns by which its rows are found.

    They are generated there; who assigns one gets 428C9 before any row is looked for:
    https://www.postgresql.org/docs/current/ddl-generated-columns.html

    Parameters:
        execute, send, relation: as of ``rehearse``.
        parts: of the backfill.
    """
    name, places = (
        relation.rpartition(".")[2],
        execute(CATALOG["places"], {"relation": relation, "keys": not parts.where}),
    )
    send(
        f"ALTER TABLE pg_temp.{_COPY} RENAME TO {name}"
    )  # which hides the table itself from here on
    for row in places:
        column = f"{quote_name(row['name'])} {row['type']} GENERATED ALWAYS AS (CAST(NULL AS {row['type']})) STORED"
        send(
            f"ALTER TABLE pg_temp.{name} DROP COLUMN {quote_name(row['name'])} CASCADE, ADD COLUMN {column}"
        )
    send(f"UPDATE pg_temp.{name} SET {parts.values} WHERE {parts.where or 'true'}")


def dry_run_index(
    execute: Execute, send: Send, relation: str, sql: str, *, constraint: bool = False
) -> DryRun:
    """Make an index on the empty copy of a partitioned table: how PostgreSQL names its columns, and which partitions have one like it.

    Parameters:
        execute, send, relation: as of ``rehearse``.
        sql: the statement, CREATE INDEX.
        constraint: whether it is made for a constraint, so that only those of constraints are like it.

    Raises:
        Unrehearsable: the statement fails.
    """
    made = _index_on_copy(execute, send, relation, sql)
    rows = execute(CATALOG["index_definitions"], {"index": made["name"], "relation": relation})
    shape = next(row["shape"] for row in rows if row["name"] == made["name"])
    alike = [
        row
        for row in rows
        if row["shape"] == shape and row["free"] and (row["constrained"] or not constraint)
    ]
    present = {
        row["relation"]: row["name"] for row in reversed(alike) if row["name"] != made["name"]
    }
    return DryRun(index_columns=tuple(json.loads(made["columns"])), present=present)


def creates_index(execute: Execute, send: Send, relation: str, sql: str, index: str) -> bool:
    """Whether a statement makes an index that is there: whether both are defined alike, one of them on an empty copy.

    The caller undoes it by a savepoint.

    Parameters:
        execute, send, relation: as of ``rehearse``.
        sql: the statement, CREATE INDEX.
        index: the index as SQL text.

    Raises:
        Unrehearsable: the statement fails.
    """
    empty_copy(execute, send, relation)
    made = _index_on_copy(execute, send, relation, sql)
    found = [
        execute(CATALOG["index_definitions"], {"index": one, "relation": ""})
        for one in (made["name"], index)
    ]
    wanted, there = ([(row["shape"], row["details"]) for row in rows] for rows in found)
    return wanted == there


def _index_on_copy(execute: Execute, send: Send, relation: str, sql: str) -> Mapping[str, Any]:
    before = {row["oid"] for row in execute(CATALOG["copy_indexes"], {})}
    head, found, rest = sql.partition(f" ON {relation} ")
    assert found
    unique = "UNIQUE " if head.split()[1] == "UNIQUE" else ""
    try:
        send(f"CREATE {unique}INDEX ON pg_temp.{_COPY} {rest}")
    except Exception as error:
        raise DryRunFailed from error
    return next(row for row in execute(CATALOG["copy_indexes"], {}) if row["oid"] not in before)


def _twin(found: dict[str, Any]) -> ReplacementColumn:
    kinds = {
        "indexes": DependentIndex,
        "checks": DependentConstraint,
        "keys": DependentConstraint,
        "sequences": DependentSequence,
    }
    for name, kind in kinds.items():
        found[name] = tuple(
            kind(**{key: _frozen(value) for key, value in one.items()}) for one in found[name]
        )
    return ReplacementColumn(**{key: _frozen(value) for key, value in found.items()})


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _aimed(sql: str, relation: str, copy: str) -> str:
    head, found, rest = sql.partition(relation)
    assert found and head.split() == ["ALTER", "TABLE"]
    return f"{head}{copy}{rest}"


def _files(execute: Execute, oid: int) -> dict[bool, set[int]]:
    rows = execute(CATALOG["copy_files"], {"oid": oid})
    return {own: {row["file"] for row in rows if row["own"] is own} for own in (True, False)}


def _checks(execute: Execute, oid: int) -> dict[int, tuple[str, ...]]:
    return {
        row["oid"]: tuple(json.loads(row["columns"]))
        for row in execute(CATALOG["copy_checks"], {"oid": oid})
    }
