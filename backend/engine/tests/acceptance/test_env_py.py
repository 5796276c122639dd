"""Projects whose env.py has transactions, settings, tenants or locks of its own."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from helpers import (
    ALL_TABLES_LARGE,
    Project,
    assert_failed,
    assert_succeeded,
    at,
    connected,
    ended,
    make_project,
    rows,
    until,
)

from liftlock.settings import Address

BEGINS_IMPLICITLY = """
from alembic import context
from sqlalchemy import create_engine, text
engine = create_engine(context.config.get_main_option("sqlalchemy.url"))
with engine.connect() as connection:
    connection.execute(text("SET search_path TO public"))
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""


@pytest.mark.every_major
def test_upgrade_is_committed_when_env_py_begins_a_transaction_implicitly(project: Project) -> None:
    """A statement before configure() makes plain Alembic roll everything back and exit 0.

    Liftlock commits.
    """
    project.env(BEGINS_IMPLICITLY)
    project.revision("r1", None, "op.execute('CREATE TABLE t (a int)')")
    assert_succeeded(project.run("upgrade", "head", program="alembic"))
    assert rows(project.database, "SELECT to_regclass('t')::text") == [None], (
        "plain Alembic has rolled back"
    )
    assert_succeeded(project.run("upgrade"))
    assert rows(project.database, "SELECT to_regclass('t')::text") == ["t"]


OWN_TRANSACTION = """
from alembic import context
from sqlalchemy import create_engine
engine = create_engine(context.config.get_main_option("sqlalchemy.url"))
with engine.begin() as connection:
    context.configure(connection=connection)
    context.run_migrations()
    {end}
"""
BEGINS_AND_COMMITS = """
from alembic import context
from sqlalchemy import create_engine
connection = create_engine(context.config.get_main_option("sqlalchemy.url")).connect()
transaction = connection.begin()
try:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
    transaction.commit()
except:
    transaction.rollback()
    raise
finally:
    connection.close()
"""
NESTED_CONTEXT_MANAGERS = """
from alembic import context
from sqlalchemy import create_engine
with create_engine(context.config.get_main_option("sqlalchemy.url")).connect() as connection:
    context.configure(connection=connection)
    with connection.begin():
        with context.begin_transaction():
            context.run_migrations()
"""


@pytest.mark.every_major
@pytest.mark.parametrize(
    "env",
    [OWN_TRANSACTION.format(end=""), BEGINS_AND_COMMITS, NESTED_CONTEXT_MANAGERS],
    ids=["context manager", "begin and commit", "nested context managers"],
)
def test_transaction_of_env_py_encloses_all_revisions(project: Project, env: str) -> None:
    """If env.py begins a transaction, an error rolls back all revisions of the run."""
    project.env(env)
    project.revision("r1", None, "op.execute('CREATE TABLE t (a int)')")
    project.revision("r2", "r1", "op.execute('SELECT 1/0')")
    assert_failed(project.run("upgrade"), "LL-STEP-FAILED", 5)
    assert rows(project.database, "SELECT to_regclass('t')::text") == [None]
    (project.versions / "r2.py").unlink()
    assert_succeeded(project.run("upgrade"))
    assert rows(project.database, "SELECT version_num FROM alembic_version") == ["r1"]


SET_LOCAL = """
import time
from alembic import context
from sqlalchemy import create_engine
with create_engine(context.config.get_main_option("sqlalchemy.url")).connect() as connection:
    for tenant in ("red", "blue"):
        context.configure(connection=connection, version_table_schema=tenant)
        with context.begin_transaction():
            context.execute(f"SET LOCAL search_path TO {tenant}")
            context.execute("SET LOCAL ROLE painter")
            context.run_migrations()
    assert connection.exec_driver_sql("SHOW search_path").scalar() == '"$user", public'
    sessions = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND backend_type = 'client backend'"
    )
    for attempt in range(200):  # a closed session is listed for some milliseconds more
        if connection.exec_driver_sql(sessions).scalar() == 1:
            break
        connection.rollback()
        time.sleep(0.05)
    else:
        raise AssertionError("a tenant's session is still open")
"""


@pytest.mark.every_major
def test_set_local_in_env_py_applies_to_all_transactions_of_the_run(project: Project) -> None:
    """SET LOCAL of search_path and role applies to every transaction, for each of two tenants."""
    project.env(SET_LOCAL)
    with connected(project.database) as session:
        session.execute(
            "CREATE ROLE painter; CREATE SCHEMA red AUTHORIZATION painter; CREATE SCHEMA"
            " blue AUTHORIZATION painter"
        )
        session.execute(f"GRANT CREATE ON DATABASE {project.database.dbname} TO painter")
    project.revision(
        "r1",
        None,
        (
            "op.create_table('t', sa.Column('a', sa.Integer))\n"
            "with op.get_context().autocommit_block(): op.execute('SELECT 1')"
        ),
    )
    project.revision(
        "r2",
        "r1",
        "op.create_table('u', sa.Column('a', sa.Integer))\nop.create_index('i', 't', ['a'])",
    )
    assert_succeeded(project.run("upgrade"))
    found = (
        "SELECT schemaname || '.' || tablename FROM pg_tables WHERE tableowner = 'painter' AND"
        " tablename IN ('t', 'u') ORDER BY 1"
    )
    assert rows(project.database, found) == ["blue.t", "blue.u", "red.t", "red.u"]


RUNS_STATEMENTS_AFTERWARDS = """
from alembic import context
from sqlalchemy import create_engine
with create_engine(context.config.get_main_option("sqlalchemy.url")).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
        context.execute("CREATE TABLE IF NOT EXISTS afterwards (a integer)")
"""


@pytest.mark.every_major
def test_statements_of_env_py_after_the_revisions_are_committed(project: Project) -> None:
    """env.py may run statements after run_migrations(); they are committed, as with Alembic."""
    project.env(RUNS_STATEMENTS_AFTERWARDS)
    project.revision("r1", None, "op.execute('CREATE TABLE t (a int)')")
    for _ in range(2):
        assert_succeeded(project.run("upgrade"))
        assert rows(
            project.database, "SELECT to_regclass('t')::text, to_regclass('afterwards')::text"
        ) == [("t", "afterwards")]


OWN_SETTINGS = """
from alembic import context
from sqlalchemy import create_engine, text
with create_engine(context.config.get_main_option("sqlalchemy.url")).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.execute("SET LOCAL shop.tenant = 'red'")
        connection.execute(text("SELECT set_config(:name, 'blue', true)"), {"name": "shop.region"})
        context.execute("SET LOCAL SESSION AUTHORIZATION owner_of_the_shop")
        context.run_migrations()
"""


@pytest.mark.every_major
def test_custom_settings_and_session_authorization_apply_to_the_run(project: Project) -> None:
    """Settings that env.py makes apply to all revisions.

    Custom settings, as row-level security policies read them, and SESSION AUTHORIZATION.
    """
    project.env(OWN_SETTINGS)
    with connected(project.database) as session:
        session.execute("CREATE ROLE owner_of_the_shop")
        session.execute(
            f"ALTER DATABASE {project.database.dbname} OWNER TO owner_of_the_shop; ALTER"
            " SCHEMA public OWNER TO owner_of_the_shop"
        )
    seen = (
        "CREATE TABLE {} AS SELECT current_setting('shop.tenant') || ' ' ||"
        " current_setting('shop.region') AS a"
    )
    project.revision("r1", None, f'op.execute("{seen.format("t")}")')
    project.revision("r2", "r1", f'op.execute("{seen.format("u")}")')
    assert_succeeded(project.run("upgrade"))
    assert rows(project.database, "SELECT a FROM t UNION ALL SELECT a FROM u") == [
        "red blue",
        "red blue",
    ]
    owned = (
        "SELECT tablename FROM pg_tables WHERE tableowner = 'owner_of_the_shop' AND tablename"
        " IN ('t', 'u') ORDER BY 1"
    )
    assert rows(project.database, owned) == ["t", "u"]


TENANTS_IN_ONE_TRANSACTION = """
from alembic import context
from sqlalchemy import create_engine, text
with create_engine(context.config.get_main_option("sqlalchemy.url")).begin() as connection:
    for tenant in ("red", "blue"):
        connection.execute(text(f"SET search_path TO {tenant}"))
        context.configure(connection=connection, version_table_schema=tenant)
        with context.begin_transaction():
            context.run_migrations()
"""


@pytest.mark.every_major
def test_tenants_in_one_transaction_are_committed_together(project: Project) -> None:
    """env.py may migrate several tenants in one transaction.

    Each is locked, all are committed together.
    """
    project.env(TENANTS_IN_ONE_TRANSACTION)
    with connected(project.database) as session:
        session.execute("CREATE SCHEMA red; CREATE SCHEMA blue")
    project.revision("r1", None, "op.create_table('t', sa.Column('a', sa.Integer))")
    assert_succeeded(project.run("upgrade"))
    assert rows(
        project.database, "SELECT schemaname FROM pg_tables WHERE tablename = 't' ORDER BY 1"
    ) == ["blue", "red"]


@pytest.mark.every_major
@pytest.mark.parametrize("commits", ["one by one", "in two phases"])
def test_multidb_template_commits_both_databases_or_none(
    tmp_path: Path, database: Address, server: Address, commits: str
) -> None:
    """Alembic's multidb template commits both databases or none, also with two-phase commit."""
    second = at(server, f"{database.dbname}_second")
    with connected(server) as session:
        session.execute(f"CREATE DATABASE {second.dbname}")
    project = make_project(tmp_path, database, template="multidb")
    first, rest = Path(project.ini).read_text().split("\n[engine2]\n")
    Path(project.ini).write_text(
        f"{first}\n[engine2]\n{rest.replace(database.dbname, second.dbname)}"
    )
    if commits == "in two phases":
        env = project.folder / "migrations" / "env.py"
        env.write_text(env.read_text().replace("USE_TWOPHASE = False", "USE_TWOPHASE = True"))
    functions = """
def upgrade(engine_name):
    globals()[f"upgrade_{engine_name}"]()
def upgrade_engine1():
    op.execute("CREATE TABLE one (a int)")
def upgrade_engine2():
    op.execute("CREATE TABLE two (a int)")
"""
    with project.revision("r1", None, "pass").open("a") as file:
        file.write(functions)
    assert_succeeded(project.run("upgrade"))
    for address, table in ((database, "one"), (second, "two")):
        assert rows(address, "SELECT version_num FROM alembic_version") == ["r1"]
        tables = rows(address, "SELECT relname FROM pg_class WHERE relname IN ('one', 'two')")
        assert tables == [table]
    creates_three = functions.replace("CREATE TABLE one", "CREATE TABLE three")
    fails_in_second = creates_three.replace("CREATE TABLE two (a int)", "SELECT 1/0")
    with project.revision("r2", "r1", "pass").open("a") as file:
        file.write(fails_in_second)
    assert_failed(project.run("upgrade"), "LL-STEP-FAILED", 5)
    assert rows(
        database, "SELECT version_num, to_regclass('three')::text FROM alembic_version"
    ) == [("r1", None)], "the first was kept"


@pytest.mark.every_major
def test_rollback_by_env_py_is_an_error(project: Project) -> None:
    """A second session finds that env.py has rolled the run back; it is not reported as success."""
    project.env(OWN_TRANSACTION.format(end="connection.rollback()"))
    project.revision("r1", None, "op.execute('CREATE TABLE t (a int)')")
    assert_failed(project.run("upgrade"), "LL-ENV-NOT-COMMITTED", 5)


@pytest.mark.every_major
def test_version_table_of_another_name_and_schema(project: Project) -> None:
    """The version table may have another name and schema, which env.py configures."""
    env = (project.folder / "migrations" / "env.py").read_text()
    options = "connection=connection, version_table='history', version_table_schema='meta',"
    project.env(env.replace("connection=connection,", options))
    with connected(project.database) as session:
        session.execute("CREATE SCHEMA meta")
    project.revision("r1", None, "op.create_table('t', sa.Column('a', sa.Integer), schema='meta')")
    assert_succeeded(project.run("upgrade"))
    assert rows(project.database, "SELECT version_num FROM meta.history") == ["r1"]
    assert rows(project.database, "SELECT version_table FROM liftlock.revisions") == [
        "meta.history"
    ]


@pytest.mark.every_major
def test_schema_translate_map_applies_to_online_forms(project: Project) -> None:
    """Online forms use the schema that SQLAlchemy's schema_translate_map puts in.

    Other tables stay as they are.
    """
    env = (project.folder / "migrations" / "env.py").read_text()
    project.env(
        env.replace(
            "connection=connection,",
            'connection=connection.execution_options(schema_translate_map={None: "other"}),',
        )
    )
    with connected(project.database) as session:
        session.execute(
            "CREATE SCHEMA other; CREATE TABLE thing (a integer); CREATE TABLE other.thing"
            " (a integer)"
        )
    project.revision(
        "r1",
        None,
        (
            "op.create_index('ix_here', 'thing', ['a'])\n"
            "op.create_unique_constraint('uq_here', 'thing', ['a'])"
        ),
    )
    done = project.run("upgrade", **ALL_TABLES_LARGE)
    assert_succeeded(done)
    assert "env.py sets schema_translate_map" in done.stderr
    made = (
        "SELECT schemaname || '.' || indexname FROM pg_indexes WHERE tablename = 'thing' ORDER BY 1"
    )
    assert rows(project.database, made) == ["other.ix_here", "other.uq_here"]


@pytest.mark.every_major
def test_env_py_that_opens_another_database_is_refused(project: Project) -> None:
    """Nothing runs if the environment names one database and env.py opens another."""
    project.revision("r1", None, "op.execute('CREATE TABLE t ()')")
    elsewhere = {**project.database.environ(), "POSTGRES_DB": "postgres"}
    assert_failed(project.run("upgrade", **elsewhere), "LL-ENV-OTHER-ADDRESS", 2)
    assert rows(project.database, "SELECT to_regclass('t')::text") == [None]


@pytest.mark.every_major
def test_x_arguments_reach_env_py(project: Project) -> None:
    """Arguments of -x reach env.py."""
    env = (project.folder / "migrations" / "env.py").read_text()
    project.env(
        env + "\nprint('tenant', context.get_x_argument(as_dictionary=True).get('tenant'))\n"
    )
    project.revision("r1", None, "pass")
    assert "tenant blue" in project.run("-x", "tenant=blue", "upgrade").stdout


TAKES_ADVISORY_LOCK = """
from alembic import context
from sqlalchemy import create_engine, text
with create_engine(context.config.get_main_option("sqlalchemy.url")).connect() as connection:
    connection.execute(text("SELECT pg_advisory_lock(42)"))
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""


@pytest.mark.every_major
def test_advisory_lock_of_env_py_is_waited_for(project: Project) -> None:
    """env.py may take an advisory lock of its own, and wait for it longer than the lock timeout."""
    project.env(TAKES_ADVISORY_LOCK)
    project.revision("r1", None, "op.execute('CREATE TABLE t (a int)')")
    with connected(project.database) as session:
        session.execute("SELECT pg_advisory_lock(42)")
        running = project.start("upgrade")
        waits = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND"
            " wait_event = 'advisory'"
        )
        until(lambda: rows(project.database, waits) == [1])
        time.sleep(0.5)  # longer than the lock timeout
        assert running.poll() is None
    assert_succeeded(ended(running))
    assert rows(project.database, "SELECT to_regclass('t')::text") == ["t"]


@pytest.mark.every_major
def test_autocommit_engine_of_env_py_is_made_transactional(project: Project) -> None:
    """With isolation_level AUTOCOMMIT, a step and its ledger row still share a transaction."""
    env = project.folder / "migrations" / "env.py"
    env.write_text(
        env.read_text().replace(
            "poolclass=pool.NullPool,", 'poolclass=pool.NullPool, isolation_level="AUTOCOMMIT",'
        )
    )
    project.revision(
        "r1",
        None,
        "op.create_table('t', sa.Column('a', sa.Integer))\nop.execute('INSERT INTO t VALUES (1)')",
    )
    assert_succeeded(project.run("upgrade"))
    body = (
        "op.create_check_constraint('c', 't', 'a > 0')\n"
        "op.add_column('t', sa.Column('b', sa.Integer))\n"
        "op.execute('SELECT 1 / 0')"
    )
    project.revision("r2", "r1", body)
    assert_failed(
        project.run("upgrade", **ALL_TABLES_LARGE), "LL-STEP-FAILED", 5, mentions="division by zero"
    )
    assert rows(
        project.database,
        "SELECT count(*) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'b'",
    ) == [0]
    project.revision("r2", "r1", body.replace("1 / 0", "1"))
    assert_succeeded(project.run("upgrade", **ALL_TABLES_LARGE, LIFTLOCK_ALLOW="LL-FILE-CHANGED"))
    assert rows(project.database, "SELECT convalidated FROM pg_constraint WHERE conname = 'c'") == [
        True
    ]


def test_error_in_env_py_names_its_line(project: Project) -> None:
    """An exception in env.py is reported with file and line, with exit code 2."""
    project.env("import nowhere\n")
    project.revision("good", None, "pass")
    assert_failed(project.run("upgrade"), "LL-ENV-FAILED", 2, mentions="env.py:1")
