"""Standbys whose long queries delay the replay of a strong lock."""

from __future__ import annotations

import time
from pathlib import Path

import psycopg
import pytest
from helpers import (
    ALL_TABLES_LARGE,
    PASSWORD,
    assert_succeeded,
    at,
    connected,
    make_project,
    rows,
    standby_of,
    until,
)

from liftlock.postgres.standbys import beside
from liftlock.settings import Address
from liftlock.shadow import embedded


def test_long_query_on_a_standby_is_named(tmp_path: Path) -> None:
    """Before a strong lock; an unreachable standby is named too, and the run goes on."""
    data = tmp_path / "primary" / "data"
    with embedded.serve(data, PASSWORD) as primary:
        rules = data / "pg_hba.conf"
        rules.write_text(f"host replication all all trust\n{rules.read_text()}")
        with connected(primary) as session:
            session.execute("SELECT pg_reload_conf()")
            session.execute("CREATE TABLE item (id integer)")
        time.sleep(0.5)
        project = make_project(tmp_path, primary)
        project.revision("r1", None, 'op.add_column("item", sa.Column("size", sa.Integer))')
        with standby_of(primary, tmp_path / "standby") as standby:
            until(lambda: _has_item_table(standby), 30, "the table is replayed", pause=0.1)
            with connected(at(standby, "postgres"), application_name="the report") as reader:
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM item")
                time.sleep(1.5)
                standbys = f"127.0.0.1:{standby.port}, 127.0.0.1:1"
                done = project.run("upgrade", LIFTLOCK_STANDBYS=standbys, **ALL_TABLES_LARGE)
                reader.execute("ROLLBACK")
    assert_succeeded(done)
    named = f"standby postgres@127.0.0.1:{standby.port}/postgres: reads of a table"
    assert named in done.stderr
    assert "may wait there, up to 30s" in done.stderr
    assert "'the report', idle in transaction" in done.stderr
    assert "standby postgres@127.0.0.1:1/postgres can't be asked: " in done.stderr


def _has_item_table(standby: Address) -> bool:
    try:
        return rows(standby, "SELECT count(*) FROM item") == [0]
    except psycopg.Error:  # it is still starting up, or has not replayed the table
        return False


@pytest.mark.parametrize(
    ("named", "host", "port"),
    [
        ("replica", "replica", "6000"),
        ("replica:5433", "replica", "5433"),
        ("fd00::5", "fd00::5", "6000"),
        ("[fd00::5]:5433", "fd00::5", "5433"),
        ("[fd00::5]", "fd00::5", "6000"),
    ],
)
def test_standby_addresses_are_parsed(named: str, host: str, port: str) -> None:
    """With or without a port; options that lead to the primary's host are dropped."""
    primary = Address(
        host="primary",
        port="6000",
        user="u",
        password=PASSWORD,
        dbname="d",
        options={"sslmode": "require", "hostaddr": "10.0.0.1"},
    )
    standby = beside(primary, named)
    assert (standby.host, standby.port) == (host, port)
    assert standby.options == {"sslmode": "require"}
