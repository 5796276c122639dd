"""Sequences of operations, drawn by chance, and a runner that is killed while it works on long ones."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import Project, at, connected, make_project, rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from online.operations import SEED
from online.storms import child, expected, killer, nothing_is_left, state

from liftlock.settings import Address

_numbers = itertools.count(1)
# None depends on another, so that any order is a plausible history.
POOL = [
    """op.create_index("ix_a", "Person", ["email"])""",
    """op.create_index("ix_b", "Person", [sa.text("lower(email)"), "age"], unique=True)""",
    """op.create_unique_constraint(None, "Person", ["code"])""",
    """op.create_check_constraint(None, "Person", "code > 0")""",
    """op.create_foreign_key(None, "Person", "country", ["country"], ["code"])""",
    """op.alter_column("Person", "age", nullable=False)""",
    """op.alter_column("Person", "country", type_=sa.String(90))""",
    """op.alter_column("Person", "Nick name", new_column_name="nick", comment="short")""",
    """op.alter_column("Person", "country", server_default="Ax", nullable=False)""",
    """op.add_column("Person", sa.Column("token", sa.Uuid, server_default=sa.text("gen_random_uuid()"), nullable=False))""",
    """op.add_column("Person", sa.Column("born", sa.Date, sa.CheckConstraint("born > '1900-01-01'"), index=True))""",
    """op.add_column("visit", sa.Column("place", sa.String(2), sa.ForeignKey("country.code"), server_default="Bx"))""",
    """op.drop_index("ix_person_age")""",
    """op.drop_column("Person", "created")""",
    """op.execute("UPDATE visit SET what = upper(what)")""",
    """op.get_bind().execute(sa.text("UPDATE visit SET at = at + interval '1 day' WHERE person_id < 100"))""",
    (
        """op.create_table("letter", sa.Column("id", sa.Integer, primary_key=True), """
        """sa.Column("to_id", sa.Integer, sa.ForeignKey("Person.id")))"""
    ),
    """op.add_column("Person", sa.Column("draw", sa.Integer, sa.Identity(always=True)))""",
    """op.create_primary_key(None, "visit", ["person_id", "at"])""",
    """op.alter_column("Person", "code", type_=sa.BigInteger())""",
    """op.alter_column("Person", "id", type_=sa.BigInteger())""",
    """op.alter_column("visit", "person_id", type_=sa.BigInteger())""",
    """op.alter_column("Person", "age", type_=sa.Text(), server_default="0")""",
    """op.create_index("ix_reading", "reading", ["value", sa.text("lower(country)")])""",
    """op.create_unique_constraint(None, "reading", ["at", "sensor", "country"])""",
    """op.add_column("reading", sa.Column("token", sa.Uuid, server_default=sa.text("gen_random_uuid()")))""",
    (
        """with op.batch_alter_table("visit") as batch:\n"""
        """    batch.alter_column("what", nullable=False)\n    batch.drop_constraint("visit_person_id_fkey")"""
    ),
    """assert op.get_bind().execute(sa.text("SELECT count(*) FROM visit")).scalar() == 300""",
]


@pytest.fixture
def copies(server: Address, template: str, tmp_path: Path) -> Callable[[], Project]:
    """Makes projects on copies of the seeded database; the server goes with the session."""

    def make() -> Project:
        name = f"drawn_{os.getpid()}_{next(_numbers)}"
        with connected(server) as session:
            session.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        (tmp_path / name).mkdir()
        project = make_project(tmp_path / name, at(server, name))
        project.revision("r0", None, SEED)
        return project

    return make


@pytest.mark.storms
@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(drawn=st.data())
def test_any_sequence_makes_alembics_schema(
    copies: Callable[[], Project], drawn: st.DataObject
) -> None:
    """In one revision or several, killed now and then: the catalog and the rows are those of plain Alembic."""
    chosen = drawn.draw(st.lists(st.sampled_from(POOL), min_size=2, max_size=8, unique=True))
    cut = drawn.draw(st.integers(1, len(chosen)))
    kills = drawn.draw(st.lists(st.integers(4, 25), max_size=3))
    plain, ours = copies(), copies()
    for project in (plain, ours):
        project.revision("r1", "r0", "\n".join(chosen[:cut]))
        project.revision("r2", "r1", "\n".join(chosen[cut:]) or "pass")
    moved = any("type_=" in one for one in chosen)
    wanted = expected(plain, "upgrade", "head", moved=moved)
    for number in kills:
        assert child(ours, "upgrade", killer(number, before=bool(number % 2))) in (
            -signal.SIGKILL,
            0,
        )
    assert child(ours, "upgrade") == 0
    assert state(ours.database, moved=moved) == wanted
    nothing_is_left(ours.database)


LONG = {
    "index": """op.create_index("ix_long", "long", [sa.text("md5(note)"), "a"], unique=True)""",
    "proof": """op.create_check_constraint("ck_long", "long", "md5(md5(note)) <> 'x'")""",
    "backfill": """op.add_column("long", sa.Column("token", sa.Uuid, server_default=sa.text("gen_random_uuid()"), nullable=False))""",
    "twin": """op.alter_column("long", "a", type_=sa.BigInteger())""",
    "update": """op.execute("UPDATE long SET b = a")""",
}


@pytest.mark.storms
@pytest.mark.parametrize("ended", ["killed", "terminated"])
@pytest.mark.parametrize("name", LONG)
def test_ended_inside_a_long_step(project: Project, name: str, ended: str) -> None:
    """By SIGKILL of the runner or the end of its session, at any time: the next run goes on, and does nothing twice."""
    project.revision(
        "r0",
        None,
        """op.execute("CREATE TABLE long AS SELECT i AS a, 0 AS b, 'n' || i AS note FROM generate_series(1, 150000) AS i")\n"""
        """op.execute("CREATE INDEX ix_long_a ON long (a)")""",
    )
    assert project.run("upgrade").returncode == 0
    project.revision("r1", "r0", LONG[name])
    chance = random.Random(len(name) + len(ended))
    for _ in range(3):
        running = project.start("upgrade", LIFTLOCK_SMALL_TABLE="0")
        _let_it_work(running, project.database, chance.random())
        if ended == "killed":
            running.kill()
        else:
            with connected(project.database) as session:
                session.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                    " AND application_name LIKE 'liftlock%'"
                )
        running.communicate(timeout=60)
    done = project.run("upgrade", LIFTLOCK_SMALL_TABLE="0")
    assert done.returncode == 0, done.stderr
    assert rows(project.database, "SELECT count(*) FROM pg_index WHERE NOT indisvalid") == [0]
    assert rows(project.database, "SELECT count(*) FROM pg_constraint WHERE NOT convalidated") == [
        0
    ]
    if name == "update":
        assert rows(project.database, "SELECT count(*) FROM long WHERE b = a") == [150000]
    if name == "backfill":
        assert rows(project.database, "SELECT count(*), count(DISTINCT token) FROM long") == [
            (150000, 150000)
        ]
    if name == "twin":
        assert rows(
            project.database, "SELECT count(DISTINCT a), sum(a), max(pg_typeof(a)::text) FROM long"
        ) == [(150000, 11250075000, "bigint")]
    nothing_is_left(project.database)


def _let_it_work(running: subprocess.Popen[str], address: Address, seconds: float) -> None:
    """Wait until a statement of the runner on the table is at work, and then a little."""
    end = time.monotonic() + 20
    busy = """SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'liftlock upgrade%'
        AND state = 'active' AND query ~ 'long' AND pid <> pg_backend_pid()"""
    while running.poll() is None and time.monotonic() < end and rows(address, busy) == [0]:
        time.sleep(0.01)
    time.sleep(seconds * 0.3)
