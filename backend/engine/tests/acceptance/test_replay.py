"""Resumed revisions: their queries get the recorded results, and nothing runs twice."""

from __future__ import annotations

from uuid import uuid4

import pytest
from acceptance.support.processes import run_liftlock
from acceptance.support.raw_sql import (
    BUILDS_INDEX,
    BUILDS_INDEX_CONCURRENTLY,
    FAILS,
    UNRECORDED_WRITES,
    assert_not_resumable,
    count_items,
    has_valid_index,
    interrupt_and_resume,
)
from helpers import (
    ALL_TABLES_LARGE,
    PairFactory,
    ProjectFactory,
    assert_failed,
    assert_succeeded,
    connected,
    rows,
)

pytestmark = [pytest.mark.every_major, pytest.mark.kills]


@pytest.mark.parametrize("way", ["op.execute({!r})", "op.get_bind().execute(sa.text({!r}))"])
def test_set_search_path_applies_after_resumption(item_project: ProjectFactory, way: str) -> None:
    """A setting made before the interruption applies to the statements after it."""
    setting = way.format("SET search_path TO mine, public")
    project = item_project(
        f"{setting}\n{BUILDS_INDEX}\n{FAILS}\nop.add_column('item', sa.Column('x', sa.Integer))"
    )
    with connected(project.database) as session:
        session.execute("CREATE SCHEMA mine CREATE TABLE item (id integer, size integer)")
        session.execute("INSERT INTO mine.item VALUES (1, 1)")
    assert_failed(project.run("upgrade", **ALL_TABLES_LARGE), "LL-STEP-FAILED", 5)
    with connected(project.database) as session:
        session.execute("INSERT INTO mine.item VALUES (-1, -1)")
    assert_succeeded(project.run("upgrade", **ALL_TABLES_LARGE))
    changed_tables = (
        "SELECT attrelid::regclass::text FROM pg_attribute"
        " WHERE attname = 'x' AND attrelid::regclass::text LIKE '%item'"
    )
    assert rows(project.database, changed_tables) == ["mine.item"]


def test_called_procedure_returns_its_recorded_result(item_project: ProjectFactory) -> None:
    """CALL over the connection returns its result, and is not called again after resumption."""
    body = "assert op.get_bind().execute(sa.text('CALL count_up(0)')).scalar() == 1"
    project = item_project(f"{body}\n{BUILDS_INDEX}\n{FAILS}")
    with connected(project.database) as session:
        session.execute("CREATE SEQUENCE calls")
        session.execute(
            "CREATE PROCEDURE count_up(INOUT n bigint) LANGUAGE plpgsql"
            " AS 'BEGIN n := nextval(''calls''); END'"
        )
    interrupt_and_resume(project)
    assert rows(project.database, "SELECT last_value FROM calls") == [1]


@pytest.mark.parametrize("way", ["cursor()", "driver_connection", "dbapi_connection.cursor()"])
def test_statements_on_the_driver_connection_run_once(
    item_project: ProjectFactory, way: str
) -> None:
    """The driver's connection bypasses SQLAlchemy's events.

    The rest of the revision is one transaction.
    """
    insert = f"op.get_bind().connection.{way}.execute(\"INSERT INTO item VALUES (-7, 'x', 7)\")"
    project = item_project(
        f"op.add_column('item', sa.Column('x', sa.Integer))\n{insert}\n{BUILDS_INDEX}\n{FAILS}"
    )
    with connected(project.database) as session:
        session.execute("ALTER TABLE item DROP CONSTRAINT item_pkey")
    interrupt_and_resume(project)
    assert count_items(project, -7) == 1


@pytest.mark.parametrize(("columns", "recorded"), [("repeat('x', 1000), i", False), ("i", True)])
def test_results_above_8_mb_are_not_recorded(
    item_project: ProjectFactory, columns: str, *, recorded: bool
) -> None:
    """A revision that reads more than 8 MB is one transaction from there on."""
    query = f"SELECT {columns} FROM generate_series(1, 9000) AS i"
    reads = f'op.get_bind().execute(sa.text("{query}")).fetchall()'
    project = item_project(f"{reads}\n{BUILDS_INDEX}\n{FAILS}")
    assert_failed(project.run("upgrade", **ALL_TABLES_LARGE), "LL-STEP-FAILED", 5)
    committed = "SELECT to_regclass('ix_size') IS NOT NULL, count(*) > 0 FROM liftlock.answers"
    assert rows(project.database, committed) == [(recorded, recorded)]


@pytest.mark.parametrize(
    "insert",
    [
        (
            "op.bulk_insert(sa.table('item', sa.column('id'), sa.column('label')),"
            " [{'id': -%d, 'label': str(uuid.uuid4())}])"
        ),
        "op.execute(f\"INSERT INTO item VALUES (-%d, '{uuid.uuid4()}')\")",
    ],
)
def test_resumed_revision_with_new_random_values_writes_none_of_them(
    item_project: ProjectFactory, insert: str
) -> None:
    """A resumed revision is stopped before it writes other values than those committed."""
    project = item_project(f"import uuid\n{insert % 5}\n{BUILDS_INDEX}\n{FAILS}\n{insert % 6}")
    assert_not_resumable(project, "LL-VALUES-DIFFER")
    assert rows(project.database, "SELECT id FROM item WHERE id < -1") == [-5]


INSERTS_OF_RANDOM_KEY = {
    "values of a construct": "op.execute(made.insert().values(id=key))",
    "bound parameters": 'op.execute(sa.text("INSERT INTO made VALUES (:key)").bindparams(key=key))',
}


@pytest.mark.parametrize("name", INSERTS_OF_RANDOM_KEY)
def test_bound_parameters_that_changed_stop_the_resumption(
    uncommon_pair: PairFactory, name: str
) -> None:
    """Values that an interrupted run has written stay, and no others are written beside them."""
    insert = INSERTS_OF_RANDOM_KEY[name]
    _, ours = uncommon_pair(f"""
import uuid
key = str(uuid.uuid4())
made = sa.table("made", sa.column("id"))
{insert}
op.create_index("ix_v", "visit", ["person_id"])
op.add_column("country", sa.Column("x", sa.Integer))
{insert}
""")
    with connected(ours.database) as session:
        session.execute("CREATE TABLE made (id text)")
        with session.transaction():
            session.execute("SELECT FROM country")
            assert run_liftlock(ours, "upgrade", LIFTLOCK_DEADLINE="2") in {3, 4}
    assert run_liftlock(ours, "upgrade") == 3
    assert len(set(rows(ours.database, "SELECT id FROM made"))) == 1


@pytest.mark.parametrize("name", [name for name in UNRECORDED_WRITES if "temporary" not in name])
def test_unrecorded_writes_are_not_repeated(item_project: ProjectFactory, name: str) -> None:
    """A revision interrupted after unrecorded writes must be finished by hand and stamped."""
    writes = f"bind = op.get_bind()\n{UNRECORDED_WRITES[name]}"
    project = item_project(f"{writes}\n{BUILDS_INDEX_CONCURRENTLY}\n{FAILS}")
    assert_not_resumable(project, "LL-COMMITTED-UNRECORDED")
    assert count_items(project, -9) == 1
    assert_succeeded(project.run("stamp", "r1", program="alembic"))
    assert_succeeded(project.run("upgrade", **ALL_TABLES_LARGE))


@pytest.mark.parametrize("set_role", ["SET ROLE", "SET LOCAL ROLE"])
def test_ledger_is_written_by_the_login_role_after_set_role(
    item_project: ProjectFactory, set_role: str
) -> None:
    """Objects belong to the role that the revision sets, also after resumption.

    The role needs no permission on the ledger.
    """
    role = f"owner_{uuid4().hex}"
    creates_table = "op.create_table('kept', sa.Column('a', sa.Integer))"
    project = item_project(
        f"op.execute('{set_role} {role}')\n{creates_table}\n{BUILDS_INDEX}\n{FAILS}"
    )
    with connected(project.database) as session:
        session.execute(f"CREATE ROLE {role}; ALTER TABLE item OWNER TO {role}")
        session.execute(f"GRANT CREATE ON SCHEMA public TO {role}")
        session.execute(f"GRANT ALL ON alembic_version TO {role}")
    interrupt_and_resume(project)
    owner = "SELECT tableowner FROM pg_tables WHERE tablename = 'kept'"
    assert rows(project.database, owner) == [role]
    assert has_valid_index(project, "ix_size")
