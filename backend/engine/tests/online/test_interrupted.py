"""Statements that a revision writes itself and that leave something half made when they are interrupted."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import psycopg
import pytest
from helpers import Project, connected, rows
from online.storms import at_each_boundary, child, expected, kill, nothing_is_left, state

pytestmark = pytest.mark.storms


@dataclass(frozen=True)
class Written:
    """A statement; what keeps it from its end; and how it looks half done."""

    sql: str
    holder: str
    half: str
    since: int = 13


INVALID = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"
WRITTEN = {
    "build": Written(
        "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS ix_note ON visit (person_id)",
        "UPDATE visit SET what = 'x'",
        INVALID,
    ),
    "build by name": Written(
        "CREATE INDEX CONCURRENTLY ix_note ON visit (what)", "UPDATE visit SET what = 'x'", INVALID
    ),
    "drop": Written(
        "DROP INDEX CONCURRENTLY ix_person_age", 'UPDATE "Person" SET age = 1 WHERE id = 1', INVALID
    ),
    "rebuild": Written(
        'REINDEX TABLE CONCURRENTLY "Person"', 'UPDATE "Person" SET age = 1 WHERE id = 1', INVALID
    ),
    "detach": Written(
        "ALTER TABLE flat DETACH PARTITION flat_2020 CONCURRENTLY",
        "SELECT count(*) FROM flat",
        "SELECT count(*) FROM pg_inherits AS h WHERE to_jsonb(h) ->> 'inhdetachpending' = 'true'",
        since=14,
    ),
}
FLAT = """op.execute('''
CREATE TABLE flat (at date NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE flat_2020 PARTITION OF flat FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
INSERT INTO flat VALUES ('2020-02-02');
''')"""


@pytest.mark.parametrize("over", ["op.execute", "op.get_bind().exec_driver_sql"])
@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_half_made_is_made_whole(
    fresh: Callable[[str], Project], name: str, over: str
) -> None:
    """Killed in its midst: the next run ends with plain Alembic's schema."""
    one = WRITTEN[name]
    plain, ours = fresh("drop_index"), fresh("drop_index")
    if (
        rows(ours.database, "SELECT current_setting('server_version_num')::int / 10000 AS major")[0]
        < one.since
    ):
        pytest.skip("this major has no such statement")
    for project in (plain, ours):
        project.revision("r1", "r0", FLAT)
    assert child(ours, "upgrade") == 0
    for project in (plain, ours):
        project.revision(
            "r2", "r1", f"with op.get_context().autocommit_block():\n    {over}({one.sql!r})"
        )
    wanted = expected(plain, "upgrade", "head")
    with psycopg.connect(**ours.database.keywords()) as holder:  # type: ignore[arg-type]
        holder.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        holder.execute(one.holder)
        running, end = ours.start("upgrade"), time.monotonic() + 30
        while rows(ours.database, one.half) == [0]:
            assert running.poll() is None, running.communicate()
            assert time.monotonic() < end
            time.sleep(0.02)
        running.kill()
        running.communicate()
        holder.rollback()
    assert child(ours, "upgrade") == 0
    assert rows(ours.database, one.half) == [0]
    assert state(ours.database) == wanted
    nothing_is_left(ours.database)


def test_one_that_fails_by_itself_is_not_taken_for_done(fresh: Callable[[str], Project]) -> None:
    """An index of that name is there already: each run says so."""
    project = fresh("drop_index")
    body = 'with op.get_context().autocommit_block():\n    op.execute("CREATE INDEX CONCURRENTLY ix_person_age ON visit (what)")'
    project.revision("r1", "r0", body)
    assert [child(project, "upgrade") for _ in range(3)] == [5, 5, 5]


HALF = (
    "DO $$ BEGIN COMMIT; CREATE TABLE stage (i integer); COMMIT;"
    " IF NOT EXISTS (SELECT FROM country WHERE code = 'Zz') THEN RAISE EXCEPTION 'not yet'; END IF;"
    " INSERT INTO stage VALUES (1); COMMIT; END $$"
)


def test_a_block_that_commits_and_fails_half_way_is_not_taken_for_done(
    fresh: Callable[[str], Project],
) -> None:
    """What it has made is there; the rest isn't, and the next run says so."""
    project = fresh("drop_index")
    project.revision(
        "r1", "r0", f"with op.get_context().autocommit_block():\n    op.execute({HALF!r})"
    )
    assert child(project, "upgrade") == 5
    with psycopg.connect(**project.database.keywords()) as session:  # type: ignore[arg-type]
        session.execute("INSERT INTO country VALUES ('Zz', 'z')")
    assert child(project, "upgrade") == 5
    assert rows(project.database, "SELECT version_num FROM alembic_version") == ["r0"]


def test_another_index_of_that_name_is_not_taken_for_the_one_that_was_begun(
    fresh: Callable[[str], Project],
) -> None:
    """Made by somebody after the build was interrupted; it is told, and when it is gone the revision is finished."""
    project = fresh("create_index")
    noted = project.folder / "noted"
    noted.touch()
    while rows(project.database, "SELECT to_regclass('ix_person_email')::text") == [None]:
        assert child(project, "upgrade", at_each_boundary(noted, kill, "before")) == -signal.SIGKILL
    with connected(project.database) as session:
        session.execute("DROP INDEX ix_person_email")
        session.execute(
            'CREATE INDEX ix_person_email ON "Person" (email, lower(email)) WHERE age % 3 = 0'
        )
    done = project.run("upgrade", LIFTLOCK_SMALL_TABLE="0")
    assert (
        done.returncode,
        "LL-INDEX-DIFFERS" in done.stderr,
        "ix_person_email" in done.stderr,
    ) == (
        5,
        True,
        True,
    ), done.stderr
    with connected(project.database) as session:
        session.execute("DROP INDEX ix_person_email")
    assert child(project, "upgrade") == 0
    assert rows(
        project.database, "SELECT pg_get_indexdef(to_regclass('ix_person_email')) ~ '% 2'"
    ) == [True]


def test_what_others_build_in_another_schema_is_left_alone(fresh: Callable[[str], Project]) -> None:
    """An index of the same name, on a table of the same name."""
    project = fresh("drop_index")
    with psycopg.connect(**project.database.keywords(), autocommit=True) as session:  # type: ignore[arg-type]
        for schema in ("s1", "s2"):
            session.execute(f"CREATE SCHEMA {schema} CREATE TABLE t (i integer)")
    body = 'with op.get_context().autocommit_block():\n    op.execute("CREATE INDEX CONCURRENTLY ix_t_i ON s1.t (i)")'
    project.revision("r1", "r0", body)
    with psycopg.connect(**project.database.keywords()) as holder:  # type: ignore[arg-type]
        holder.execute("INSERT INTO s1.t VALUES (1)")
        running, end = project.start("upgrade"), time.monotonic() + 30
        while rows(project.database, INVALID) == [0]:
            assert running.poll() is None, running.communicate()
            assert time.monotonic() < end
            time.sleep(0.02)
        running.kill()
        running.communicate()
    with psycopg.connect(**project.database.keywords()) as holder:  # type: ignore[arg-type]
        holder.execute("INSERT INTO s2.t VALUES (1)")
        failed: list[Exception] = []

        def build() -> None:
            try:
                with psycopg.connect(**project.database.keywords(), autocommit=True) as session:  # type: ignore[arg-type]
                    session.execute("CREATE INDEX CONCURRENTLY ix_t_i ON s2.t (i)")
            except psycopg.Error as error:
                failed.append(error)

        thread = threading.Thread(target=build)
        thread.start()
        while rows(project.database, f"{INVALID} AND indrelid = 's2.t'::regclass") == [0]:
            assert time.monotonic() < end
            time.sleep(0.02)
        running = project.start("upgrade")
        time.sleep(4)
        holder.rollback()
    _, errors = running.communicate(timeout=60)
    thread.join(30)
    assert (running.returncode, failed) == (0, []), errors
    valid = "SELECT indexrelid::regclass::text FROM pg_index WHERE indisvalid AND indexrelid::regclass::text LIKE '%ix_t_i' ORDER BY 1"
    assert rows(project.database, valid) == ["s1.ix_t_i", "s2.ix_t_i"]
