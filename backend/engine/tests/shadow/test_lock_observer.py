"""Tests of observed statements against a table of how PostgreSQL behaves: locks and work."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import psycopg
import pytest
from helpers import at, connected
from psycopg.rows import dict_row

from liftlock.model.lock import LockMode
from liftlock.settings import Address
from liftlock.shadow.lock_observer import LockObserver
from liftlock.shadow.observed import ObservedStatement

SCHEMA = """
CREATE TABLE o (id integer PRIMARY KEY);
CREATE TABLE t (
    id integer PRIMARY KEY,
    a integer,
    b integer NOT NULL DEFAULT 0,
    v varchar(20),
    x text,
    n numeric(8, 2),
    at timestamp,
    ip cidr,
    j json,
    fixed char(5),
    tz timestamptz,
    proven integer CHECK (proven IS NOT NULL),
    o_id integer CONSTRAINT t_o REFERENCES o
);
CREATE INDEX ix_x ON t (x);
CREATE INDEX ix_a ON t (a);
CREATE UNIQUE INDEX ux_a ON t (a);
CREATE UNIQUE INDEX ux_b ON t (b);
CREATE TABLE child (o_id integer REFERENCES o);
CREATE DOMAIN natural_number AS integer CHECK (value >= 0);
CREATE DOMAIN anything AS integer;
CREATE TYPE mood AS ENUM ('sad');
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();
CREATE TABLE p (at date NOT NULL, i integer) PARTITION BY RANGE (at);
CREATE TABLE p20 PARTITION OF p FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE p21 (at date NOT NULL, i integer);
CREATE TABLE p22 (at date NOT NULL, i integer, CHECK (at >= '2022-01-01' AND at < '2023-01-01'));
"""
AX, SX, S, SUX, RX, ROS = (
    LockMode.ACCESS_EXCLUSIVE,
    LockMode.SHARE_ROW_EXCLUSIVE,
    LockMode.SHARE,
    LockMode.SHARE_UPDATE_EXCLUSIVE,
    LockMode.ROW_EXCLUSIVE,
    LockMode.ROW_SHARE,
)
AS = LockMode.ACCESS_SHARE
TABLES = ("t", "o", "p", "p20", "p21", "p22", "child")


@dataclass(frozen=True)
class Row:
    """A statement, and what PostgreSQL does for it.

    Parameters:
        sql: the statement.
        locks: the strongest lock on each relation.
        rewrites: the table that is rewritten.
        scans: the table that is scanned.
        builds: the table of which an index is built.
        validates: the foreign key that is validated.
        since, until: the majors of PostgreSQL that behave like this.
        before: a statement that is run before it.
        alone: whether it runs in autocommit.
    """

    sql: str
    locks: dict[str, LockMode]
    rewrites: str = ""
    scans: str = ""
    builds: str = ""
    validates: str = ""
    since: int = 13
    until: int = 99
    before: str = ""
    alone: bool = False

    def __str__(self) -> str:
        """Return the name of the test."""
        return f"{self.before} {self.sql}".strip()


T = {"t": AX}
FK = {"t": SX, "o": SX}
ADD, ALTER = "ALTER TABLE t ADD COLUMN c", "ALTER TABLE t ALTER COLUMN"
ROWS = [
    Row(f"{ADD} integer", T),
    Row(f"{ADD} integer DEFAULT 7", T),
    Row(f"{ADD} integer DEFAULT 7 NOT NULL", T),
    Row(f"{ADD} timestamptz DEFAULT now()", T),
    Row(f"{ADD} timestamptz DEFAULT clock_timestamp()", T, rewrites="t"),
    Row(f"{ADD} float DEFAULT random()", T, rewrites="t"),
    Row(f"{ADD} uuid DEFAULT gen_random_uuid()", T, rewrites="t"),
    Row(f"{ADD} serial", T, rewrites="t"),
    Row(f"{ADD} integer GENERATED ALWAYS AS IDENTITY", T, rewrites="t"),
    Row(f"{ADD} integer GENERATED ALWAYS AS (b * 2) STORED", T, rewrites="t"),
    Row(f"{ADD} natural_number", T, rewrites="t"),
    Row(f"{ADD} anything", T),
    Row(f"{ADD} integer GENERATED ALWAYS AS (b * 2) VIRTUAL", T, since=18),
    Row(f"{ADD} integer CHECK (c > 0)", T, scans="t"),
    Row(f"{ADD} integer DEFAULT 7 CHECK (c > 0)", T, scans="t"),
    Row(f"{ADD} integer NOT NULL", T, scans="t"),
    Row(f"{ADD} integer REFERENCES o", {"t": AX, "o": SX}),
    Row(f"{ADD} integer DEFAULT 7 REFERENCES o", {"t": AX, "o": SX}, validates="t_c_fkey"),
    Row(f"{ADD} integer UNIQUE", T, builds="t"),
    Row("ALTER TABLE t DROP COLUMN n", T),
    Row("ALTER TABLE t DROP COLUMN x", {"t": AX, "ix_x": AX}),
    Row(f"{ALTER} a SET DEFAULT 8", T),
    Row(f"{ALTER} b DROP DEFAULT", T),
    Row(f"{ALTER} b DROP NOT NULL", T),
    Row(f"{ALTER} x SET STORAGE EXTERNAL", T),
    Row("ALTER TABLE t REPLICA IDENTITY FULL", T),
    Row("ALTER TABLE t ENABLE ROW LEVEL SECURITY", T),
    Row("ALTER TABLE t RENAME COLUMN a TO z", T),
    Row("ALTER TABLE t RENAME TO z", T),
    Row("ALTER TABLE t RENAME CONSTRAINT t_o TO t_z", T),
    Row(f"{ALTER} a SET NOT NULL", T, scans="t"),
    Row(f"{ALTER} proven SET NOT NULL", T),
    Row(f"{ALTER} proven SET NOT NULL, DROP CONSTRAINT t_proven_check", T, scans="t"),
    Row(
        f"ALTER TABLE t VALIDATE CONSTRAINT k, {ALTER[14:]} a SET NOT NULL",
        T,
        scans="t",
        before="ALTER TABLE t ADD CONSTRAINT k CHECK (a IS NOT NULL) NOT VALID",
    ),
    Row("ALTER TABLE t ADD CHECK (a > 0)", T, scans="t"),
    Row("ALTER TABLE t ADD CHECK (a > 0) NOT VALID", T),
    Row(
        "ALTER TABLE t VALIDATE CONSTRAINT k",
        {"t": SUX},
        scans="t",
        before="ALTER TABLE t ADD CONSTRAINT k CHECK (a > 0) NOT VALID",
    ),
    Row("ALTER TABLE t ADD CONSTRAINT k NOT NULL a NOT VALID", T, since=18),
    Row(
        "ALTER TABLE t VALIDATE CONSTRAINT k",
        {"t": SUX},
        scans="t",
        since=18,
        before="ALTER TABLE t ADD CONSTRAINT k NOT NULL a NOT VALID",
    ),
    Row("ALTER TABLE t ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES o", FK, validates="k"),
    Row("ALTER TABLE t ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES o NOT VALID", FK),
    Row(
        "ALTER TABLE t VALIDATE CONSTRAINT k",
        {"t": SUX, "o": ROS},
        validates="k",
        before="ALTER TABLE t ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES o NOT VALID",
    ),
    Row("ALTER TABLE t ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES o NOT ENFORCED", FK, since=18),
    Row("ALTER TABLE t DROP CONSTRAINT t_o", {"t": AX, "o": AX}),
    Row("DROP TABLE child", {"child": AX, "o": AX}),
    Row("CREATE TABLE n (o_id integer REFERENCES o)", {"o": SX}),
    Row("CREATE TABLE n (LIKE t)", {"t": AS}),
    Row("CREATE VIEW w AS SELECT a FROM t", {"t": AS}),
    Row("ALTER TABLE t ADD UNIQUE (v)", T, builds="t"),
    Row(
        "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (b)",
        {"t": AX, "t_pkey": AX},
        builds="t",
    ),
    Row("ALTER TABLE t ADD CONSTRAINT u UNIQUE USING INDEX ux_b", {"t": AX, "ux_b": SUX}),
    Row(
        "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY USING INDEX ux_a",
        {"t": AX, "t_pkey": AX},
        scans="t",
    ),
    Row("ALTER TABLE t ADD EXCLUDE (a WITH =)", T, builds="t"),
    Row("CREATE INDEX ON t (v)", {"t": S}, builds="t"),
    Row("CREATE INDEX IF NOT EXISTS ix_a ON t (v)", {"t": S}),
    Row("DROP INDEX ix_a", {"t": AX, "ix_a": AX}),
    Row("REINDEX INDEX ix_a", {"t": S, "ix_a": AX}, builds="t"),
    Row("ALTER INDEX ix_a RENAME TO ix_z", {"ix_a": SUX}),
    Row(f"{ALTER} a TYPE bigint", T, rewrites="t"),
    Row(f"{ALTER} v TYPE varchar(10)", T, rewrites="t"),
    Row(f"{ALTER} x TYPE varchar(10)", T, rewrites="t"),
    Row(f"{ALTER} n TYPE numeric(8, 3)", T, rewrites="t"),
    Row(f"{ALTER} tz TYPE timestamptz(3)", T, rewrites="t"),
    Row(f"{ALTER} j TYPE jsonb", T, rewrites="t"),
    Row(f"{ALTER} fixed TYPE text", T, rewrites="t"),
    Row(f"{ALTER} x TYPE mood USING x::mood", T, rewrites="t"),
    Row(
        f"{ALTER} at TYPE timestamptz", T, rewrites="t", before="SET LOCAL TimeZone TO 'Asia/Tokyo'"
    ),
    Row(f"{ALTER} at TYPE timestamptz", T, before="SET LOCAL TimeZone TO 'UTC'"),
    Row(f"{ALTER} v TYPE varchar(40)", T),
    Row(f"{ALTER} v TYPE text", T),
    Row(f"{ALTER} x TYPE varchar", T),
    Row(f"{ALTER} n TYPE numeric(12, 2)", T),
    Row(f"{ALTER} n TYPE numeric", T),
    Row(f"{ALTER} ip TYPE inet", T),
    Row(f"{ALTER} v TYPE varchar(20)", T),
    Row(f'{ALTER} x TYPE text COLLATE "C"', T, builds="t"),
    Row(f"{ALTER} a SET STATISTICS 50", {"t": SUX}),
    Row("ALTER TABLE t SET (fillfactor = 70)", {"t": SUX}),
    Row("COMMENT ON TABLE t IS 'x'", {"t": SUX}),
    Row("ANALYZE t", {"t": SUX}),
    Row("CREATE TRIGGER t2 BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()", {"t": SX}),
    Row(
        "CREATE OR REPLACE TRIGGER tr BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()",
        {"t": SX},
        since=14,
    ),
    Row("ALTER TABLE t DISABLE TRIGGER tr", {"t": SX}),
    Row("DROP TRIGGER tr ON t", T),
    Row("DROP FUNCTION f() CASCADE", T),
    Row("ALTER TABLE t SET UNLOGGED", T, rewrites="t", before="ALTER TABLE t DROP CONSTRAINT t_o"),
    Row("CLUSTER t USING ix_a", T, rewrites="t"),
    Row("TRUNCATE t", T, rewrites="t"),
    Row(
        "ALTER TABLE p ATTACH PARTITION p21 FOR VALUES FROM ('2021-01-01') TO ('2022-01-01')",
        {"p": SUX, "p21": AX},
        scans="p21",
    ),
    Row(
        "ALTER TABLE p ATTACH PARTITION p22 FOR VALUES FROM ('2022-01-01') TO ('2023-01-01')",
        {"p": SUX, "p22": AX},
    ),
    Row(
        "CREATE TABLE p23 PARTITION OF p FOR VALUES FROM ('2023-01-01') TO ('2024-01-01')",
        {"p": AX},
    ),
    Row("ALTER TABLE p DETACH PARTITION p20", {"p": AX, "p20": SUX}, until=13),
    Row("ALTER TABLE p DETACH PARTITION p20", {"p": AX, "p20": AX}, since=14),
    Row("CREATE INDEX ON p (i)", {"p": S, "p20": S}, builds="p20"),
    Row("ALTER TABLE t ADD COLUMN IF NOT EXISTS a integer", T),
    Row("ALTER TABLE t DROP COLUMN IF EXISTS nothing", T),
    Row("ALTER TYPE mood ADD VALUE 'glad'", {}),
    Row("UPDATE t SET a = 1", {"t": RX}),
    Row("CREATE INDEX CONCURRENTLY ON t (v)", {"t": SUX}, builds="t", alone=True),
    Row("DROP INDEX CONCURRENTLY ix_a", {"t": SUX}, alone=True),
    Row("REINDEX INDEX CONCURRENTLY ix_a", {"t": SUX}, builds="t", alone=True),
    Row("ALTER TABLE p DETACH PARTITION p20 CONCURRENTLY", {"p": SUX}, since=14, alone=True),
    Row("VACUUM t", {"t": SUX}, alone=True),
    Row("VACUUM FULL t", T, rewrites="t", alone=True),
    Row("CREATE INDEX ON t (v)", {"t": S}, builds="t", alone=True),
    Row("ALTER TABLE t ALTER COLUMN a TYPE bigint", T, rewrites="t", alone=True),
    Row(
        "ALTER TABLE t ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES o",
        {"t": SX},
        validates="k",
        alone=True,
    ),
    Row("ALTER TABLE t ADD COLUMN c integer", T, alone=True),
]


class Session:
    """The observed session of a test."""

    def __init__(self, session: psycopg.Connection[dict[str, object]]) -> None:
        self._session = session
        self._messages: list[str] = []
        session.execute("SET client_min_messages = debug1")
        session.add_notice_handler(
            lambda notice: self._messages.append(notice.message_primary or "")
        )

    def rows(self, statement: str) -> list[Mapping[str, object]]:
        """Return the rows of a query."""
        return list(self._session.execute(statement.encode()).fetchall())

    def messages(self) -> list[str]:
        """Return the messages since the last call."""
        messages, self._messages = self._messages, []
        return messages


@pytest.fixture(scope="module")
def shadow(server: Address) -> Iterator[Address]:
    """A database with tables."""
    with connected(server) as session:
        session.execute("CREATE DATABASE observed")
    address = at(server, "observed")
    with connected(address) as session:
        session.execute(SCHEMA)
    yield address
    with connected(server) as session:
        session.execute("DROP DATABASE observed WITH (FORCE)")


@pytest.fixture
def observed(server: Address, shadow: Address, row: Row) -> ObservedStatement:
    """The statement of a row, observed and rolled back, or run in a copy of the database."""
    with connected(shadow) as session:
        if not row.since <= session.info.server_version // 10000 <= row.until:
            pytest.skip("not of this major")
    if not row.alone and not row.before:
        return observe(shadow, row)
    with connected(server) as session:
        session.execute("DROP DATABASE IF EXISTS alone WITH (FORCE)")
        session.execute("CREATE DATABASE alone TEMPLATE observed")
    return observe(at(server, "alone"), row)


def observe(address: Address, row: Row) -> ObservedStatement:
    """Run a statement under observation, and roll it back."""
    with psycopg.connect(
        **address.keywords(), row_factory=dict_row, autocommit=row.alone
    ) as session:  # type: ignore[arg-type]
        if row.before:
            session.execute(row.before)
            if not row.before.startswith("SET LOCAL"):
                session.commit()
        observer = LockObserver(
            address, session.info.backend_pid, "alembic_version", Session(session)
        )
        with contextlib.closing(observer):
            with observer.watching(ObservedStatement(row.sql), alone=row.alone) as seen:
                session.execute(row.sql)
            if not row.alone:
                session.rollback()
        return seen.observed


@pytest.mark.rules
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_observed_locks_and_work(observed: ObservedStatement, row: Row) -> None:
    """They are those of the table."""
    assert strongest_locks(observed, row) == row.locks
    work = {
        name: ", ".join(sorted(getattr(observed.work, name)))
        for name in ("rewrites", "scans", "builds", "validates")
    }
    expected = {name: getattr(row, name) for name in work}
    if row.rewrites:  # which builds all indexes again
        expected["builds"] = work["builds"]
    assert work == expected


def strongest_locks(observed: ObservedStatement, row: Row) -> dict[str, LockMode]:
    """Return the strongest lock on each table, and on the other relations of the row.

    In autocommit, only the first lock is sure to be observed before the statement ends.
    """
    order = list(LockMode)
    strongest: dict[str, LockMode] = {}
    for lock in sorted(observed.taken, key=lambda lock: order.index(lock.mode)):
        strongest[lock.relation] = lock.mode
    compared = set(row.locks) if row.alone else {*row.locks, *TABLES}
    return {name: mode for name, mode in strongest.items() if name in compared}


def test_table_is_long_enough() -> None:
    """At least sixty statements."""
    assert len(ROWS) >= 60
