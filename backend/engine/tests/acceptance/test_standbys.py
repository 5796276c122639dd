"""Standbys whose long queries keep them from replaying a strong lock."""

from __future__ import annotations

import time
from pathlib import Path

import psycopg
import pytest
from helpers import PASSWORD, at, connected, make_project, rows, standby_of

from liftlock.postgres.standbys import beside
from liftlock.settings import Address
from liftlock.shadow import embedded


def test_long_queries_on_a_standby_are_named(tmp_path: Path) -> None:
    """Before a strong lock; one that doesn't answer is named too, and the run goes on."""
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
            end = time.monotonic() + 30
            while True:
                try:
                    assert rows(standby, "SELECT count(*) FROM item") == [0]
                    break
                except psycopg.Error:
                    assert time.monotonic() < end
                    time.sleep(0.1)
            with connected(at(standby, "postgres"), application_name="the report") as reader:
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM item")
                time.sleep(1.5)
                done = project.run(
                    "upgrade",
                    LIFTLOCK_SMALL_TABLE="0",
                    LIFTLOCK_STANDBYS=f"127.0.0.1:{standby.port}, 127.0.0.1:1",
                )
                reader.execute("ROLLBACK")
    assert done.returncode == 0, done.stderr
    assert (
        f"standby postgres@127.0.0.1:{standby.port}/postgres: reads of a table that is changed may wait there, up to 30s"
        in done.stderr
    )
    assert "'the report', idle in transaction" in done.stderr
    assert "standby postgres@127.0.0.1:1/postgres can't be asked: " in done.stderr


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
def test_how_they_are_named(named: str, host: str, port: str) -> None:
    """With a port or without; what leads to the primary's own host isn't taken over."""
    primary = Address(
        host="primary",
        port="6000",
        user="u",
        password=PASSWORD,
        dbname="d",
        options={"sslmode": "require", "hostaddr": "10.0.0.1"},
    )
    found = beside(primary, named)
    assert (found.host, found.port, found.options) == (host, port, {"sslmode": "require"})
