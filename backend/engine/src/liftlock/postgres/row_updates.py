"""The UPDATE statements of a backfill's batches, which pass over rows that are locked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from liftlock.postgres.ranges import Condition

_MOST_LOCKED_BYTES = 100_000
"""Bytes of the keys of locked rows that one batch may add to the cursor."""


class Database(Protocol):
    """A connection that runs statements with named parameters."""

    def rows(self, statement: str, parameters: Mapping[str, object]) -> Sequence[Mapping[str, Any]]:
        """Return the rows of a query."""

    def count(self, statement: str, parameters: Mapping[str, object]) -> int:
        """Return the number of rows that a statement changed."""


class RowsLocked(Exception):
    """Another session has rows of the batch locked, and the lock timeout is over.

    The caller's ``Database`` raises it from the driver's error, after it has rolled back.
    """


class NeverFinishes(Exception):
    """The update leaves its own condition true, so the backfill would never finish."""


@dataclass(frozen=True, slots=True)
class BackfillTask:
    """The update to run.

    Parameters:
        relation: the table as SQL text.
        values: the SET clause.
        where: the condition of the rows that still need the update, which makes it false. If it is
            empty, each row is updated once.
        table: the table or partition that is updated now, as SQL text.
        by_blocks: whether the first pass goes by blocks already.
    """

    relation: str
    values: str
    where: str
    table: str = ""
    by_blocks: bool = False

    @property
    def target(self) -> str:
        """The target of the UPDATE.

        A partition gets the table's name as its alias, since the project's SQL may qualify columns
        with that name.
        """
        if self.table == self.relation:
            return self.table
        return f"{self.table} AS {self.relation.rpartition('.')[2]}"


def update_rows_and_verify(
    database: Database, backfill: BackfillTask, condition: Condition
) -> tuple[int, int, bool]:
    """Update a range, and return the rows still satisfying the condition.

    Returns:
        The number of updated and of skipped rows, and whether any row was updated, so that the
        ranges after it need no verification.

    Raises:
        NeverFinishes: all updated rows still satisfy the condition.
    """
    update = (
        f"UPDATE {backfill.target} SET {backfill.values}"
        f" WHERE {condition.sql} AND ({backfill.where}) RETURNING ({backfill.where}) AS still"
    )
    statement = (
        f"WITH done AS ({update})"
        " SELECT count(*) AS done, count(*) FILTER (WHERE still) AS still FROM done"
    )
    try:
        counts = _rows(database, statement, condition)[0]
    except RowsLocked:
        updated, skipped = update_rows(database, backfill, condition)
        return updated, skipped, False
    updated = int(counts["done"])
    if updated and counts["still"] == updated:
        raise NeverFinishes
    return updated, 0, updated > 0


def update_rows(
    database: Database, backfill: BackfillTask, condition: Condition
) -> tuple[int, int]:
    """Update a range, without the rows that other sessions have locked.

    Returns:
        The number of updated rows, and of rows that are left to the next pass.
    """
    needed = f"{condition.sql} AND ({backfill.where or 'true'})"
    update = f"UPDATE {backfill.target} SET {backfill.values} WHERE {needed}"
    try:
        return database.count(_escape_colons(update, condition), condition.parameters), 0
    except RowsLocked:
        free = (
            f"SELECT ctid AS ll_at FROM {backfill.target} WHERE {needed}"
            " FOR NO KEY UPDATE SKIP LOCKED"
        )
        update_free = f"{update} AND ctid = ANY (ARRAY(SELECT ll_at FROM free)) RETURNING 1"
        statement = (
            f"WITH free AS MATERIALIZED ({free}), done AS ({update_free})"
            " SELECT (SELECT count(*) FROM done) AS done,"
            f" (SELECT count(*) FROM {backfill.target} WHERE {needed}) AS wanted"
        )
        counts = _rows(database, statement, condition)[0]
        updated = int(counts["done"])
        return updated, int(counts["wanted"]) - updated


def update_rows_once(
    database: Database, backfill: BackfillTask, key: str, condition: Condition
) -> tuple[int, list[tuple[str, ...]]]:
    """Update rows that no other pass will update.

    Returns:
        The number of updated rows, and the keys of the rows that other sessions have locked.

    Raises:
        Exception: rows are locked and have no key, or are too many, or a row was changed at the
            same moment. The caller tries the same range again.
    """
    update = f"UPDATE {backfill.target} SET {backfill.values} WHERE {condition.sql}"
    try:
        return database.count(_escape_colons(update, condition), condition.parameters), []
    except RowsLocked as locked:
        lock_timeout = locked.__cause__ or locked
        if not key:
            raise lock_timeout from None
        free = (
            f"SELECT ctid AS ll_at, {key} AS ll_key FROM {backfill.target}"
            f" WHERE {condition.sql} FOR NO KEY UPDATE SKIP LOCKED"
        )
        update_free = (
            f"UPDATE {backfill.target} SET {backfill.values}"
            f" WHERE ctid = ANY (ARRAY(SELECT ll_at FROM free)) AND {condition.sql} RETURNING 1"
        )
        locked_keys = (
            f"SELECT {key} FROM {backfill.target} WHERE {condition.sql}"
            " EXCEPT SELECT ll_key FROM free"
        )
        statement = (
            f"WITH free AS MATERIALIZED ({free}), done AS ({update_free})"
            " SELECT (SELECT count(*) FROM done) AS done, (SELECT count(*) FROM free) AS free,"
            f" CAST(to_jsonb(ARRAY({locked_keys})) AS text) AS locked"
        )
        found = _rows(database, statement, condition)[0]
        changed_meanwhile = found["done"] != found["free"]
        if changed_meanwhile or len(found["locked"]) > _MOST_LOCKED_BYTES:
            raise lock_timeout from None
        return int(found["done"]), [tuple(key) for key in json.loads(found["locked"])]


def _rows(database: Database, statement: str, condition: Condition) -> Sequence[Mapping[str, Any]]:
    return database.rows(_escape_colons(statement, condition), condition.parameters)


def _escape_colons(statement: str, condition: Condition) -> str:
    """Escape the colons of the project's own SQL, such as in ``'12:30'``, which begin no parameter.

    ``::`` needs no exception: an escaped colon is a colon.
    """
    first, *others = statement.split(":")
    text = first
    for part in others:
        is_parameter = any(part.startswith(name) for name in condition.parameters)
        text += (":" if is_parameter else "\\:") + part
    return text
