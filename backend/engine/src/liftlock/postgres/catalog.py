"""Reads facts from the catalog, through whatever connection does the work, so that it sees its own changes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from liftlock.model.facts import Column, Constraint, Index, Rehearsal, Table
from liftlock.postgres.sql import CATALOG

Execute = Callable[[str, Mapping[str, object]], Sequence[Mapping[str, Any]]]
"""Runs a statement with named parameters on whatever connection it belongs to."""

_COPY = "liftlock_rehearsal"


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
    found["constraints"] = tuple(Constraint(**one | {"columns": tuple(one["columns"])}) for one in found["constraints"])
    found["indexes"] = tuple(Index(**one | {"columns": tuple(one["columns"])}) for one in found["indexes"])
    for name in ("relation_names", "constraint_names"):
        found[name] = frozenset(found[name])
    return Table(**found | {"inbound": tuple(found["inbound"])})


def rehearse(execute: Execute, relation: str, sql: str) -> Rehearsal:
    """Run an ALTER TABLE on an empty temporary copy of its table, and see what PostgreSQL does.

    The caller undoes it by a savepoint. An empty table is rewritten just as a full one is; so are its indexes:
    https://www.postgresql.org/docs/current/sql-createtable.html#SQL-CREATETABLE-PARMS-LIKE

    Parameters:
        execute: runs statements.
        relation: the table as SQL text.
        sql: the statement; it begins with ALTER TABLE and the relation.
    """
    copy = f"pg_temp.{_COPY}"
    execute(f"CREATE TEMPORARY TABLE {_COPY} (LIKE {relation} INCLUDING ALL)", {})
    oid = execute(f"SELECT CAST('{copy}'::regclass AS bigint) AS oid", {})[0]["oid"]
    files, checks = _files(execute, oid), _checks(execute, oid)
    execute(_aimed(sql, relation, copy), {})
    after = _files(execute, oid)
    new = {key: value for key, value in _checks(execute, oid).items() if key not in checks}
    return Rehearsal(
        rewrites=not after[True] <= files[True],
        rebuilds=not files[False] <= after[False],
        check_columns=tuple(new.values()),
    )


def _aimed(sql: str, relation: str, copy: str) -> str:
    head, found, rest = sql.partition(relation)
    assert found and head.split() == ["ALTER", "TABLE"]  # noqa: S101, PT018 - how Alembic writes it
    return f"{head}{copy}{rest}"


def _files(execute: Execute, oid: int) -> dict[bool, set[int]]:
    rows = execute(CATALOG["copy_files"], {"oid": oid})
    return {own: {row["file"] for row in rows if row["own"] is own} for own in (True, False)}


def _checks(execute: Execute, oid: int) -> dict[int, tuple[str, ...]]:
    return {row["oid"]: tuple(json.loads(row["columns"])) for row in execute(CATALOG["copy_checks"], {"oid": oid})}
