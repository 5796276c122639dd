"""Raw statements that leave something half made when they are interrupted."""

from __future__ import annotations

import signal
import threading
import time
from dataclasses import dataclass

import psycopg
import pytest
from acceptance.support.databases import (
    assert_nothing_is_left,
    database_state,
    state_by_plain_alembic,
)
from acceptance.support.kill_points import Progress, at_each_new_commit, kill_this_process
from acceptance.support.processes import run_liftlock
from helpers import (
    ALL_TABLES_LARGE,
    Project,
    ProjectFactory,
    assert_failed,
    assert_succeeded,
    connected,
    ended,
    in_transaction,
    killed,
    rows,
    until,
)

pytestmark = [pytest.mark.every_major, pytest.mark.kills]
INVALID_INDEXES = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"
PENDING_DETACHES = (
    "SELECT count(*) FROM pg_inherits AS h WHERE to_jsonb(h) ->> 'inhdetachpending' = 'true'"
)


@dataclass(frozen=True)
class Statement:
    """A statement that can be interrupted midway.

    Parameters:
        sql: the statement.
        blocked_by: a statement whose transaction blocks it midway.
        half_made: a query that counts the objects that are half made.
        since: the first major version of PostgreSQL that has it.
    """

    sql: str
    blocked_by: str
    half_made: str
    since: int = 13


STATEMENTS = {
    "create index if not exists": Statement(
        "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS ix_note ON visit (person_id)",
        "UPDATE visit SET what = 'x'",
        INVALID_INDEXES,
    ),
    "create index": Statement(
        "CREATE INDEX CONCURRENTLY ix_note ON visit (what)",
        "UPDATE visit SET what = 'x'",
        INVALID_INDEXES,
    ),
    "drop index": Statement(
        "DROP INDEX CONCURRENTLY ix_person_age",
        'UPDATE "Person" SET age = 1 WHERE id = 1',
        INVALID_INDEXES,
    ),
    "reindex": Statement(
        'REINDEX TABLE CONCURRENTLY "Person"',
        'UPDATE "Person" SET age = 1 WHERE id = 1',
        INVALID_INDEXES,
    ),
    "detach partition": Statement(
        "ALTER TABLE flat DETACH PARTITION flat_2020 CONCURRENTLY",
        "SELECT count(*) FROM flat",
        PENDING_DETACHES,
        since=14,
    ),
}
PARTITIONED_TABLE = """op.execute('''
CREATE TABLE flat (at date NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE flat_2020 PARTITION OF flat FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
INSERT INTO flat VALUES ('2020-02-02');
''')"""


def in_autocommit_block(sql: str, function: str = "op.execute") -> str:
    """Return the body of a revision that sends a statement within an autocommit block."""
    return f"with op.get_context().autocommit_block():\n    {function}({sql!r})"


def kill_upgrade_when_half_made(project: Project, half_made: str) -> None:
    """Start an upgrade, and kill it as soon as the query counts a half-made object."""
    running = project.start("upgrade")
    until(lambda: rows(project.database, half_made) != [0], 30, "it is half made", running=running)
    killed(running)


@pytest.mark.parametrize("function", ["op.execute", "op.get_bind().exec_driver_sql"])
@pytest.mark.parametrize("name", STATEMENTS)
def test_half_made_object_is_finished_by_the_next_run(
    case_project: ProjectFactory, name: str, function: str
) -> None:
    """The run is killed within a CONCURRENTLY statement; the next ends with Alembic's schema."""
    statement = STATEMENTS[name]
    plain = case_project("drop_index")
    ours = case_project("drop_index")
    with connected(ours.database) as session:
        if session.info.server_version // 10000 < statement.since:
            pytest.skip("this major version has no such statement")
    for project in (plain, ours):
        project.revision("r1", "r0", PARTITIONED_TABLE)
    assert run_liftlock(ours, "upgrade") == 0
    for project in (plain, ours):
        project.revision("r2", "r1", in_autocommit_block(statement.sql, function))
    expected = state_by_plain_alembic(plain, "upgrade", "head")
    with in_transaction(ours.database) as blocker:
        blocker.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        blocker.execute(statement.blocked_by)
        kill_upgrade_when_half_made(ours, statement.half_made)
        blocker.rollback()
    assert run_liftlock(ours, "upgrade") == 0
    assert rows(ours.database, statement.half_made) == [0]
    assert database_state(ours.database) == expected
    assert_nothing_is_left(ours.database)


def test_existing_index_of_the_same_name_fails_each_run(case_project: ProjectFactory) -> None:
    """A build that fails because the name is taken does not count as done."""
    project = case_project("drop_index")
    body = in_autocommit_block("CREATE INDEX CONCURRENTLY ix_person_age ON visit (what)")
    project.revision("r1", "r0", body)
    assert [run_liftlock(project, "upgrade") for _ in range(3)] == [5, 5, 5]


COMMITS_AND_FAILS = (
    "DO $$ BEGIN COMMIT; CREATE TABLE stage (i integer); COMMIT;"
    " IF NOT EXISTS (SELECT FROM country WHERE code = 'Zz') THEN RAISE EXCEPTION 'not yet'; END IF;"
    " INSERT INTO stage VALUES (1); COMMIT; END $$"
)


def test_do_block_that_commits_and_fails_is_not_taken_as_done(
    case_project: ProjectFactory,
) -> None:
    """A DO block that commits and then fails leaves a part; the next run reports that."""
    project = case_project("drop_index")
    project.revision("r1", "r0", in_autocommit_block(COMMITS_AND_FAILS))
    assert run_liftlock(project, "upgrade") == 5
    with connected(project.database) as session:
        session.execute("INSERT INTO country VALUES ('Zz', 'z')")
    assert run_liftlock(project, "upgrade") == 5
    assert rows(project.database, "SELECT version_num FROM alembic_version") == ["r0"]


def test_different_index_with_the_name_of_an_interrupted_build_is_refused(
    case_project: ProjectFactory,
) -> None:
    """An index that another session created under the name is reported.

    When it is dropped, the revision is finished.
    """
    project = case_project("create_index")
    disturb = at_each_new_commit(Progress(project.folder / "progress"), kill_this_process, "before")
    while rows(project.database, "SELECT to_regclass('ix_person_email')::text") == [None]:
        assert run_liftlock(project, "upgrade", disturb) == -signal.SIGKILL
    with connected(project.database) as session:
        session.execute("DROP INDEX ix_person_email")
        session.execute(
            'CREATE INDEX ix_person_email ON "Person" (email, lower(email)) WHERE age % 3 = 0'
        )
    done = project.run("upgrade", **ALL_TABLES_LARGE)
    assert_failed(done, "LL-INDEX-DIFFERS", 5, mentions="ix_person_email")
    with connected(project.database) as session:
        session.execute("DROP INDEX ix_person_email")
    assert run_liftlock(project, "upgrade") == 0
    has_predicate = "SELECT pg_get_indexdef(to_regclass('ix_person_email')) ~ '% 2'"
    assert rows(project.database, has_predicate) == [True]


VALID_INDEXES = """
SELECT indexrelid::regclass::text FROM pg_index
WHERE indisvalid AND indexrelid::regclass::text LIKE '%ix_t_i' ORDER BY 1
"""


def test_invalid_index_of_another_schema_is_not_dropped(case_project: ProjectFactory) -> None:
    """An index of the same name on a table of the same name in another schema is not touched."""
    project = case_project("drop_index")
    with connected(project.database) as session:
        for schema in ("s1", "s2"):
            session.execute(f"CREATE SCHEMA {schema} CREATE TABLE t (i integer)")
    body = in_autocommit_block("CREATE INDEX CONCURRENTLY ix_t_i ON s1.t (i)")
    project.revision("r1", "r0", body)
    with in_transaction(project.database) as blocker:
        blocker.execute("INSERT INTO s1.t VALUES (1)")
        kill_upgrade_when_half_made(project, INVALID_INDEXES)
    errors: list[Exception] = []

    def build_index_of_s2() -> None:
        try:
            with connected(project.database) as session:
                session.execute("CREATE INDEX CONCURRENTLY ix_t_i ON s2.t (i)")
        except psycopg.Error as error:
            errors.append(error)

    with in_transaction(project.database) as blocker:
        blocker.execute("INSERT INTO s2.t VALUES (1)")
        thread = threading.Thread(target=build_index_of_s2)
        thread.start()
        of_s2 = f"{INVALID_INDEXES} AND indrelid = 's2.t'::regclass"
        until(lambda: rows(project.database, of_s2) != [0], 30, "the index of s2 is half made")
        running = project.start("upgrade")
        time.sleep(4)
        blocker.rollback()
    assert_succeeded(ended(running))
    thread.join(30)
    assert errors == []
    assert rows(project.database, VALID_INDEXES) == ["s1.ix_t_i", "s2.ix_t_i"]
