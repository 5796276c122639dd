"""A read-only session to a real database, in which every query has a time limit."""

from __future__ import annotations

import time
from collections.abc import Sequence

import psycopg

from liftlock.broker.row_queries import Relation, RowQuery, statement
from liftlock.broker.table_size import Size
from liftlock.errors import SettingsError
from liftlock.postgres.probe import probe
from liftlock.postgres.session import connect, execute, query
from liftlock.settings import Address

_STATEMENT_SECONDS = 5
_SAMPLE_SECONDS = 1.0
"""The time over which the write load of tables is measured."""


def bounded(address: Address) -> Address:
    """Return the address with startup options: read only, a statement and a lock timeout."""
    limits = (
        "-c default_transaction_read_only=on"
        f" -c statement_timeout={_STATEMENT_SECONDS}s"
        " -c lock_timeout=1s"
    )
    startup = f"{address.options.get('options', '')} {limits}".strip()
    return _with_options(address, options=startup)


class RowReader:
    """A read-only session to a real database.

    Parameters:
        address: the database, or a replica of it.

    Raises:
        LiftlockError: the database can't be used.
    """

    def __init__(self, address: Address) -> None:
        problem = probe(address, writable=False)
        if problem is not None:
            raise problem.error()
        try:
            self.session = connect(bounded(address), "check", settle=False)
        except psycopg.OperationalError as error:
            raise _unusable(address, error) from error

    def close(self) -> None:
        """Close the session."""
        self.session.close()

    def server_address(self, address: Address) -> Address:
        """Return the address of the server that this session is connected to.

        Its host name could resolve to another server later; and of several hosts, libpq would try
        the first one again.
        """
        info = self.session.info
        numeric = {"hostaddr": info.hostaddr} if info.hostaddr else {}
        connected = Address(
            host=info.host,
            port=str(info.port),
            user=address.user,
            password=address.password,
            dbname=address.dbname,
            options=address.options,
        )
        return _with_options(connected, **numeric)

    def find_rows(self, row_query: RowQuery) -> tuple[str, bool]:
        """Run a query for rows.

        Returns:
            The rows, one a line, and True; or the reason why the query can't be run, and False.
        """
        if self.session.info.server_version < row_query.since:
            return f"this needs PostgreSQL {row_query.since // 10000} or newer", False
        try:
            table = self._relation(row_query.table)
            refers = self._relation(row_query.refers) if row_query.refers else None
            sql, parameters = statement(row_query, table, refers)
            rows = execute(self.session, sql, parameters).fetchall()
        except (psycopg.Error, ValueError) as error:
            return _first_line(error), False
        lines = [", ".join(f"{name}={value}" for name, value in row.items()) for row in rows]
        return "\n".join(lines), True

    def table_sizes(self, tables: Sequence[str]) -> tuple[dict[str, Size], str]:
        """Measure the size and the write load of tables.

        Parameters:
            tables: the tables as SQL text; those that don't exist are left out.

        Returns:
            The sizes by table, and an empty text; or no sizes, and the reason.
        """
        try:
            return self._table_sizes(tables), ""
        except psycopg.Error as error:
            return {}, _first_line(error)

    def _relation(self, name: str) -> Relation:
        rows = query(self.session, "relation", relation=name)
        if not rows:
            message = f"table {name} does not exist"
            raise ValueError(message)
        row = rows[0]
        return Relation(
            row["name"], frozenset(row["columns"]), tuple(row["key"]), row["partitioned"]
        )

    def _table_sizes(self, tables: Sequence[str]) -> dict[str, Size]:
        before = query(self.session, "sizes", names=list(tables))
        if not before:
            return {}
        time.sleep(_SAMPLE_SECONDS)
        after = query(self.session, "sizes", names=list(tables))
        writes = {row["name"]: row["writes"] for row in after}
        return {
            row["name"]: Size(
                bytes=row["bytes"],
                rows=max(row["rows"], 0),
                writes=_rate(row["writes"], writes[row["name"]]),
            )
            for row in before
            if row["name"] in writes
        }


def _with_options(address: Address, **options: str) -> Address:
    return Address(
        host=address.host,
        port=address.port,
        user=address.user,
        password=address.password,
        dbname=address.dbname,
        options={**address.options, **options},
    )


def _rate(before: int | None, after: int | None) -> float | None:
    """Return the difference of two counters a second; None on a standby, which has none."""
    if before is None or after is None:
        return None
    return max(after - before, 0) / _SAMPLE_SECONDS


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def _unusable(address: Address, error: psycopg.OperationalError) -> SettingsError:
    return SettingsError(
        "LL-DATA-SERVER-UNUSABLE",
        f"{address!r} refuses a session that is read only and limited in time: {error}",
        why="`liftlock check` passes these limits as startup options, which most poolers refuse.",
        now="Give the address of the PostgreSQL server itself, not of a pooler.",
    )
