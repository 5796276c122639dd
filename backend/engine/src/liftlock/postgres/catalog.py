"""Reads facts from the catalog, through whatever connection does the work, so that it sees its own changes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from liftlock.model.facts import Column, Constraint, Index, Rehearsal, Table
from liftlock.postgres.sql import CATALOG

Execute = Callable[[str, Mapping[str, object]], Sequence[Mapping[str, Any]]]
"""Runs a statement with named parameters on whatever connection it belongs to."""

Send = Callable[[str], object]
"""Runs a statement just as it is written."""

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
    return Table(**found)


def empty_copy(execute: Execute, send: Send, relation: str) -> int:
    """An empty temporary copy of a table, with all that stands on it; its identity."""
    send(f"CREATE TEMPORARY TABLE {_COPY} (LIKE {relation} INCLUDING ALL)")
    return int(execute(f"SELECT CAST('pg_temp.{_COPY}'::regclass AS bigint) AS oid", {})[0]["oid"])


def rehearse(execute: Execute, send: Send, relation: str, sql: str, copy: int) -> Rehearsal:
    """Run an ALTER TABLE on the empty copy of its table, and see what PostgreSQL does.

    The caller undoes it by a savepoint. An empty table is rewritten just as a full one is; so are its indexes:
    https://www.postgresql.org/docs/current/sql-createtable.html#SQL-CREATETABLE-PARMS-LIKE

    Parameters:
        execute: runs statements.
        send: runs a statement just as it is.
        relation: the table as SQL text.
        sql: the statement; it begins with ALTER TABLE and the relation.
        copy: what ``empty_copy`` returned.
    """
    files, checks = _files(execute, copy), _checks(execute, copy)
    send(_aimed(sql, relation, f"pg_temp.{_COPY}"))
    after = _files(execute, copy)
    new = {key: value for key, value in _checks(execute, copy).items() if key not in checks}
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
