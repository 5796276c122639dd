"""A real database that is only looked at: in read-only transactions, each query bounded."""

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

_SECONDS = 5
_SAMPLE_SECONDS = 1.0


def bounded(address: Address) -> Address:
    """The same database, for a session that can't write, and whose queries end."""
    bounds = (
        f"-c default_transaction_read_only=on -c statement_timeout={_SECONDS}s -c lock_timeout=1s"
    )
    return Address(
        host=address.host,
        port=address.port,
        user=address.user,
        password=address.password,
        dbname=address.dbname,
        options={
            **address.options,
            "options": f"{address.options.get('options', '')} {bounds}".strip(),
        },
    )


class RowReader:
    """A session that can't write.

    Parameters:
        address: of the database, or of a replica.

    Raises:
        LiftlockError: it can't be used.
    """

    def __init__(self, address: Address) -> None:
        verdict = probe(address, writable=False)
        if verdict is not None:
            raise verdict.error()
        try:
            self.session = connect(bounded(address), "check", settle=False)
        except psycopg.OperationalError as error:
            raise SettingsError(
                "LL-DATA-SERVER-UNUSABLE",
                f"{address!r}: {error}",
                now="Give the address of the server itself.",
            ) from error

    def close(self) -> None:
        """Let go of the session."""
        self.session.close()

    def met(self, address: Address) -> Address:
        """The address of the server that answered, whatever its name, or the first of several, leads to later."""
        info = self.session.info
        there = {"hostaddr": info.hostaddr} if info.hostaddr else {}
        return Address(
            host=info.host,
            port=str(info.port),
            user=address.user,
            password=address.password,
            dbname=address.dbname,
            options={**address.options, **there},
        )

    def look(self, question: RowQuery) -> tuple[str, bool]:
        """The rows that are asked for, one a line; or why it couldn't look. And whether it could."""
        if self.session.info.server_version < question.since:
            return f"it takes PostgreSQL {question.since // 10000}", False
        try:
            refers = self._relation(question.refers) if question.refers else None
            rows = execute(
                self.session, *statement(question, self._relation(question.table), refers)
            ).fetchall()
        except (psycopg.Error, ValueError) as error:
            return str(error).strip().splitlines()[0], False
        return "\n".join(
            ", ".join(f"{name}={value}" for name, value in row.items()) for row in rows
        ), True

    def _relation(self, name: str) -> Relation:
        for row in query(self.session, "relation", relation=name):
            return Relation(
                row["name"], frozenset(row["columns"]), tuple(row["key"]), row["partitioned"]
            )
        message = f"table {name} does not exist"
        raise ValueError(message)

    def sizes(self, tables: Sequence[str]) -> tuple[dict[str, Size], str]:
        """How large tables are, and how much is written to them; those that aren't there are left out. And why it couldn't look."""
        try:
            return self._sizes(tables), ""
        except psycopg.Error as error:
            return {}, str(error).strip().splitlines()[0]

    def _sizes(self, tables: Sequence[str]) -> dict[str, Size]:
        before = {row["name"]: row for row in query(self.session, "sizes", names=list(tables))}
        if not before:
            return {}
        time.sleep(_SAMPLE_SECONDS)
        after = {row["name"]: row for row in query(self.session, "sizes", names=list(tables))}
        return {
            name: Size(
                row["bytes"], max(row["rows"], 0), _rate(row["writes"], after[name]["writes"])
            )
            for name, row in before.items()
            if name in after
        }


def _rate(before: int | None, after: int | None) -> float | None:
    return (
        max(after - before, 0) / _SAMPLE_SECONDS
        if before is not None and after is not None
        else None
    )
