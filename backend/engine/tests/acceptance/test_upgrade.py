"""Whole commands on whole projects: the schema is plain Alembic's, and what is reported is what is committed."""

from __future__ import annotations

import os
import py_compile
import time
from pathlib import Path

import pytest
from helpers import Project, at, connected, dump, make_project, rows, until, until_it_says

from liftlock.settings import Address

TRAP = """
from alembic import context
from sqlalchemy import create_engine, text
engine = create_engine(context.config.get_main_option("sqlalchemy.url"))
with engine.connect() as connection:
    connection.execute(text("SET search_path TO public"))
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
OWN_TRANSACTION = """
from alembic import context
from sqlalchemy import create_engine
engine = create_engine(context.config.get_main_option("sqlalchemy.url"))
with engine.begin() as connection:
    context.configure(connection=connection)
    context.run_migrations()
    {end}
"""
SET_LOCAL = """
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
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"
    assert connection.exec_driver_sql(sessions).scalar() == 1  # however many tenants there are
"""
LOCKS = """
from alembic import context
from sqlalchemy import create_engine, text
with create_engine(context.config.get_main_option("sqlalchemy.url")).connect() as connection:
    connection.execute(text("SELECT pg_advisory_lock(42)"))
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
BEGUN = """
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
BOTH = """
from alembic import context
from sqlalchemy import create_engine
with create_engine(context.config.get_main_option("sqlalchemy.url")).connect() as connection:
    context.configure(connection=connection)
    with connection.begin():
        with context.begin_transaction():
            context.run_migrations()
"""
AFTERWARDS = """
from alembic import context
from sqlalchemy import create_engine
with create_engine(context.config.get_main_option("sqlalchemy.url")).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
        context.execute("CREATE TABLE IF NOT EXISTS afterwards (a integer)")
"""
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
TENANTS_IN_ONE = """
from alembic import context
from sqlalchemy import create_engine, text
with create_engine(context.config.get_main_option("sqlalchemy.url")).begin() as connection:
    for tenant in ("red", "blue"):
        connection.execute(text(f"SET search_path TO {tenant}"))
        context.configure(connection=connection, version_table_schema=tenant)
        with context.begin_transaction():
            context.run_migrations()
"""
STEPS = """
SELECT operation FROM liftlock.steps JOIN liftlock.executions AS e ON e.id = execution WHERE revision = 'a1' ORDER BY position
"""
SETTINGS = """
seen = op.get_bind().execute(sa.text("SELECT name, setting FROM pg_settings")).mappings().all()
table = op.create_table("seen", sa.Column("name", sa.Text), sa.Column("setting", sa.Text))
op.bulk_insert(table, [dict(one) for one in seen])
"""


@pytest.mark.parametrize(
    ("template", "driver"),
    [("generic", "psycopg"), ("generic", "psycopg2"), ("async", "psycopg"), ("async", "asyncpg")],
)
def test_the_schema_is_plain_alembics(
    tmp_path: Path, database: Address, server: Address, template: str, driver: str
) -> None:
    """A foreign project with a stock env.py, sync and async, by any driver: up, down and up again."""
    other = f"{database.dbname}_plain"
    with connected(server) as session:
        session.execute(f"CREATE DATABASE {other}")
    plain_at = Address(
        host=server.host, port=server.port, user=server.user, password=server.password, dbname=other
    )
    for name in ("plain", "ours"):
        (tmp_path / name).mkdir()
    plain = make_project(
        tmp_path / "plain", plain_at, template=template, driver=driver, revisions="shop"
    )
    ours = make_project(
        tmp_path / "ours", database, template=template, driver=driver, revisions="shop"
    )

    assert plain.run("upgrade", "head", program="alembic").returncode == 0
    done = ours.run("upgrade")
    assert done.returncode == 0, done.stderr
    assert dump(database) == dump(plain_at)
    customers = "SELECT email, mood::text, name FROM customer ORDER BY id"
    assert rows(database, customers) == rows(plain_at, customers)

    assert ours.run("downgrade", "base").returncode == 0
    assert plain.run("downgrade", "base", program="alembic").returncode == 0
    assert dump(database) == dump(plain_at)
    assert ours.run("upgrade").returncode == 0
    assert rows(database, "SELECT revision FROM liftlock.revisions ORDER BY revision") == [
        "a1",
        "b2",
        "c3",
        "d4",
    ]
    assert ours.run("downgrade", "-1").returncode == 0
    assert rows(database, "SELECT revision FROM liftlock.revisions ORDER BY revision") == [
        "a1",
        "b2",
        "c3",
    ]
    with connected(server) as session:
        session.execute(f"DROP DATABASE {other} WITH (FORCE)")


@pytest.mark.parametrize(
    ("template", "driver"),
    [("generic", "psycopg"), ("generic", "psycopg2"), ("async", "asyncpg"), ("generic", "pg8000")],
)
def test_session_settings_reach_every_driver(
    tmp_path: Path, database: Address, template: str, driver: str
) -> None:
    """A bounded wait for locks, no other limit, whatever the database says, and a telling name; the operator may choose the bound."""
    project = make_project(tmp_path, database, template=template, driver=driver)
    named = [
        "statement_timeout",
        "idle_in_transaction_session_timeout",
        "idle_session_timeout",
        "transaction_timeout",
    ]  # 14 and 17 brought the last two
    limits = rows(database, f"SELECT name FROM pg_settings WHERE name = ANY (ARRAY{named})")
    with connected(database) as session:
        for name in limits:
            session.execute(f"ALTER DATABASE {database.dbname} SET {name} = '30s'")
    project.revision("r1", None, SETTINGS.strip())
    assert project.run("upgrade", LIFTLOCK_LOCK_TIMEOUT="250").returncode == 0
    seen = dict(rows(database, "SELECT name, setting FROM seen"))
    assert seen["lock_timeout"] == "250"
    assert {seen[name] for name in limits} == {"0"}
    assert seen["application_name"].startswith("liftlock upgrade@")


def test_each_revision_is_in_the_ledger_once_with_its_steps(shop: Project) -> None:
    """And a further run has nothing to do."""
    assert shop.run("upgrade").returncode == 0
    again = shop.run("upgrade")
    assert "nothing to do" in again.stderr
    assert rows(shop.database, "SELECT count(*) FROM liftlock.runs") == [1]
    steps = rows(
        shop.database,
        STEPS,
    )
    assert steps == ["create_type", "create_table", "comment", "create_index"]


def test_the_autobegin_trap_reports_no_success_that_was_rolled_back(project: Project) -> None:
    """A SET before configure makes plain Alembic commit nothing and exit 0; here it is committed."""
    project.env(TRAP)
    project.revision("r1", None, "op.execute('CREATE TABLE t (a int)')")
    assert project.run("upgrade", "head", program="alembic").returncode == 0
    assert rows(project.database, "SELECT to_regclass('t')::text") == [None], (
        "plain Alembic fell into the trap"
    )
    assert project.run("upgrade").returncode == 0
    assert rows(project.database, "SELECT to_regclass('t')::text") == ["t"]


@pytest.mark.parametrize(
    "env", [OWN_TRANSACTION.format(end=""), BEGUN, BOTH], ids=["with", "begun", "both"]
)
def test_a_transaction_of_the_projects_own_stays_around_everything(
    project: Project, env: str
) -> None:
    """`with engine.begin()`, or begun and committed by hand: all or nothing, as the project wants it."""
    project.env(env)
    project.revision("r1", None, "op.execute('CREATE TABLE t (a int)')")
    project.revision("r2", "r1", "op.execute('SELECT 1/0')")
    done = project.run("upgrade")
    assert done.returncode == 5
    assert rows(project.database, "SELECT to_regclass('t')::text") == [None]
    (project.versions / "r2.py").unlink()
    assert project.run("upgrade").returncode == 0
    assert rows(project.database, "SELECT version_num FROM alembic_version") == ["r1"]


def test_what_env_py_sets_for_its_transaction_holds_for_the_run(project: Project) -> None:
    """Which is committed in parts."""
    project.env(SET_LOCAL)
    with connected(project.database) as session:
        session.execute(
            "CREATE ROLE painter; CREATE SCHEMA red AUTHORIZATION painter; CREATE SCHEMA blue AUTHORIZATION painter"
        )
        session.execute(f"GRANT CREATE ON DATABASE {project.database.dbname} TO painter")
    project.revision(
        "r1",
        None,
        "op.create_table('t', sa.Column('a', sa.Integer))\nwith op.get_context().autocommit_block(): op.execute('SELECT 1')",
    )
    project.revision(
        "r2",
        "r1",
        "op.create_table('u', sa.Column('a', sa.Integer))\nop.create_index('i', 't', ['a'])",
    )
    done = project.run("upgrade")
    assert done.returncode == 0, done.stderr
    found = "SELECT schemaname || '.' || tablename FROM pg_tables WHERE tableowner = 'painter' AND tablename IN ('t', 'u') ORDER BY 1"
    assert rows(project.database, found) == ["blue.t", "blue.u", "red.t", "red.u"]


def test_what_env_py_does_after_the_run_is_committed(project: Project) -> None:
    """As by Alembic, whose transaction it is."""
    project.env(AFTERWARDS)
    project.revision("r1", None, "op.execute('CREATE TABLE t (a int)')")
    for _ in range(2):
        done = project.run("upgrade")
        assert done.returncode == 0, done.stderr
        assert rows(
            project.database, "SELECT to_regclass('t')::text, to_regclass('afterwards')::text"
        ) == [("t", "afterwards")]


def test_settings_of_the_projects_own_names_hold_for_the_run(project: Project) -> None:
    """Such as row level security reads; and so does another user's name."""
    project.env(OWN_SETTINGS)
    with connected(project.database) as session:
        session.execute("CREATE ROLE owner_of_the_shop")
        session.execute(
            f"ALTER DATABASE {project.database.dbname} OWNER TO owner_of_the_shop; ALTER SCHEMA public OWNER TO owner_of_the_shop"
        )
    seen = "CREATE TABLE {} AS SELECT current_setting('shop.tenant') || ' ' || current_setting('shop.region') AS a"
    project.revision("r1", None, f'op.execute("{seen.format("t")}")')
    project.revision("r2", "r1", f'op.execute("{seen.format("u")}")')
    done = project.run("upgrade")
    assert done.returncode == 0, done.stderr
    assert rows(project.database, "SELECT a FROM t UNION ALL SELECT a FROM u") == [
        "red blue",
        "red blue",
    ]
    owned = "SELECT tablename FROM pg_tables WHERE tableowner = 'owner_of_the_shop' AND tablename IN ('t', 'u') ORDER BY 1"
    assert rows(project.database, owned) == ["t", "u"]


def test_tenants_in_one_transaction(project: Project) -> None:
    """Of env.py's own: each is locked, and all are committed at once."""
    project.env(TENANTS_IN_ONE)
    with connected(project.database) as session:
        session.execute("CREATE SCHEMA red; CREATE SCHEMA blue")
    project.revision("r1", None, "op.create_table('t', sa.Column('a', sa.Integer))")
    done = project.run("upgrade")
    assert done.returncode == 0, done.stderr
    assert rows(
        project.database, "SELECT schemaname FROM pg_tables WHERE tablename = 't' ORDER BY 1"
    ) == ["blue", "red"]


@pytest.mark.parametrize("commits", ["one by one", "in two phases"])
def test_alembics_own_template_for_several_databases(
    tmp_path: Path, database: Address, server: Address, commits: str
) -> None:
    """All or nothing over both, each with a version table of the same name."""
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
    done = project.run("upgrade")
    assert done.returncode == 0, done.stderr
    for one, table in ((database, "one"), (second, "two")):
        assert rows(one, "SELECT version_num FROM alembic_version") == ["r1"]
        assert rows(one, "SELECT relname FROM pg_class WHERE relname IN ('one', 'two')") == [table]
    functions = functions.replace("CREATE TABLE one (a int)", "CREATE TABLE three (a int)").replace(
        "CREATE TABLE two (a int)", "SELECT 1/0"
    )
    with project.revision("r2", "r1", "pass").open("a") as file:
        file.write(functions)
    assert project.run("upgrade").returncode == 5
    assert rows(
        database, "SELECT version_num, to_regclass('three')::text FROM alembic_version"
    ) == [("r1", None)], "the first was kept"


def test_what_env_py_rolls_back_is_not_reported_as_done(project: Project) -> None:
    """A second session looks."""
    project.env(OWN_TRANSACTION.format(end="connection.rollback()"))
    project.revision("r1", None, "op.execute('CREATE TABLE t (a int)')")
    done = project.run("upgrade")
    assert done.returncode == 5
    assert "LL-ENV-NOT-COMMITTED" in done.stderr


def test_a_version_table_of_another_name_and_schema(project: Project) -> None:
    """Wherever env.py puts it; and a schema of the project's own."""
    env = (project.folder / "migrations" / "env.py").read_text()
    options = "connection=connection, version_table='history', version_table_schema='meta',"
    project.env(env.replace("connection=connection,", options))
    with connected(project.database) as session:
        session.execute("CREATE SCHEMA meta")
    project.revision("r1", None, "op.create_table('t', sa.Column('a', sa.Integer), schema='meta')")
    done = project.run("upgrade")
    assert done.returncode == 0, done.stderr
    assert rows(project.database, "SELECT version_num FROM meta.history") == ["r1"]
    assert rows(project.database, "SELECT version_table FROM liftlock.revisions") == [
        "meta.history"
    ]


def test_branches_and_merges(project: Project) -> None:
    """`heads` runs all branches; a merge joins them; the ledger has each once."""
    project.revision("a", None, "op.execute('CREATE TABLE a ()')")
    project.revision("b1", "a", "op.execute('CREATE TABLE b1 ()')")
    project.revision("b2", "a", "op.execute('CREATE TABLE b2 ()')")
    refused = project.run("upgrade")
    assert refused.returncode == 3
    assert "LL-AMBIGUOUS-HEAD" in refused.stderr
    assert "b1" in refused.stderr
    assert project.run("upgrade", "heads").returncode == 0
    assert sorted(rows(project.database, "SELECT version_num FROM alembic_version")) == ["b1", "b2"]
    merge = project.versions / "m.py"
    merge.write_text(
        "revision = 'm'\ndown_revision = ('b1', 'b2')\ndef upgrade(): pass\ndef downgrade(): pass\n"
    )
    assert project.run("upgrade").returncode == 0
    assert rows(project.database, "SELECT version_num FROM alembic_version") == ["m"]
    assert rows(project.database, "SELECT count(*) FROM liftlock.revisions") == [4]


def test_explicit_commits_and_what_follows_them(project: Project) -> None:
    """A commit of the revision's own is one more boundary; its tail isn't lost."""
    body = "op.execute('CREATE TABLE one ()')\nop.get_bind().commit()\nop.execute('CREATE TABLE two ()')"
    project.revision("r1", None, body)
    assert project.run("upgrade").returncode == 0
    assert rows(
        project.database, "SELECT count(*) FROM pg_tables WHERE tablename IN ('one', 'two')"
    ) == [2]
    assert rows(project.database, "SELECT version_num FROM alembic_version") == ["r1"]


def test_a_schema_that_comes_before_the_version_tables(project: Project) -> None:
    """Such as one that is called as the role: the version table is where it is."""
    project.revision("r1", None, "op.execute('CREATE TABLE thing (a integer)')")
    project.revision("r2", "r1", f'op.execute("CREATE SCHEMA {project.database.user}")')
    assert project.run("upgrade").returncode == 0
    project.revision("r3", "r2", "op.execute('CREATE TABLE other (a integer)')")
    for _ in range(2):
        done = project.run("upgrade")
        assert done.returncode == 0, done.stderr
    assert rows(project.database, "SELECT version_num FROM public.alembic_version") == ["r3"]
    assert rows(project.database, "SELECT DISTINCT version_table FROM liftlock.revisions") == [
        "public.alembic_version"
    ]


def test_schemas_that_env_py_puts_in(project: Project) -> None:
    """Where SQLAlchemy writes another schema than the revision, so does liftlock; a table of that name elsewhere stays as it is."""
    env = (project.folder / "migrations" / "env.py").read_text()
    project.env(
        env.replace(
            "connection=connection,",
            'connection=connection.execution_options(schema_translate_map={None: "other"}),',
        )
    )
    with connected(project.database) as session:
        session.execute(
            "CREATE SCHEMA other; CREATE TABLE thing (a integer); CREATE TABLE other.thing (a integer)"
        )
    project.revision(
        "r1",
        None,
        "op.create_index('ix_here', 'thing', ['a'])\nop.create_unique_constraint('uq_here', 'thing', ['a'])",
    )
    done = project.run("upgrade", LIFTLOCK_SMALL_TABLE="0")
    assert done.returncode == 0, done.stderr
    assert "env.py sets schema_translate_map" in done.stderr
    made = (
        "SELECT schemaname || '.' || indexname FROM pg_indexes WHERE tablename = 'thing' ORDER BY 1"
    )
    assert rows(project.database, made) == ["other.ix_here", "other.uq_here"]


def test_an_enum_is_created_once_across_runs(project: Project) -> None:
    """Even when the revision is tried again after a lock was refused."""
    project.revision("r1", None, "op.execute('CREATE TABLE busy (a int)')")
    assert project.run("upgrade").returncode == 0
    body = "op.create_table('t', sa.Column('m', sa.Enum('x', name='kind')))\nop.add_column('busy', sa.Column('b', sa.Integer))"
    project.revision("r2", "r1", body)
    with connected(project.database) as session:
        session.execute("BEGIN")
        session.execute("SELECT * FROM busy")
        running = project.start("upgrade")
        until_it_says(running, "got no lock")
        session.execute("ROLLBACK")
        _, err = running.communicate(timeout=60)
    assert running.returncode == 0, err


def test_the_other_address_is_refused(project: Project) -> None:
    """When the environment names one database and env.py opens another, nothing is run."""
    project.revision("r1", None, "op.execute('CREATE TABLE t ()')")
    elsewhere = {**project.database.environ(), "POSTGRES_DB": "postgres"}
    done = project.run("upgrade", **elsewhere)
    assert done.returncode == 2
    assert "LL-ENV-OTHER-ADDRESS" in done.stderr
    assert rows(project.database, "SELECT to_regclass('t')::text") == [None]


def test_x_arguments_and_offline_are_alembics(project: Project) -> None:
    """-x reaches env.py."""
    env = (project.folder / "migrations" / "env.py").read_text()
    project.env(
        env + "\nprint('tenant', context.get_x_argument(as_dictionary=True).get('tenant'))\n"
    )
    project.revision("r1", None, "pass")
    assert "tenant blue" in project.run("-x", "tenant=blue", "upgrade").stdout


def test_a_lock_of_env_pys_own_is_waited_for(project: Project) -> None:
    """As many projects have one against each other's replicas."""
    project.env(LOCKS)
    project.revision("r1", None, "op.execute('CREATE TABLE t (a int)')")
    with connected(project.database) as session:
        session.execute("SELECT pg_advisory_lock(42)")
        running = project.start("upgrade")
        waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND wait_event = 'advisory'"
        until(lambda: rows(project.database, waits) == [1])
        time.sleep(0.5)  # longer than the stall budget
        assert running.poll() is None
    said = running.communicate(timeout=60)
    assert running.returncode == 0, said
    assert rows(project.database, "SELECT to_regclass('t')::text") == ["t"]


def test_revisions_without_their_source(project: Project) -> None:
    """An image may have the bytecode alone; made anew, it is still the same revision."""
    ini = Path(project.ini)
    ini.write_text(ini.read_text().replace("[alembic]", "[alembic]\nsourceless = true"))
    body = "op.execute('CREATE TABLE t (a int)')\nwith op.get_context().autocommit_block():\n"
    body += "    op.execute('SELECT 1/(SELECT count(*) FROM t)')"
    path = project.revision("r1", None, body)
    for code in (5, 0):
        py_compile.compile(str(path), cfile=str(path.with_suffix(".pyc")), doraise=True)
        hidden = path.rename(project.folder / "hidden")
        assert project.run("upgrade").returncode == code
        path = hidden.rename(path)
        os.utime(path, (0, 0))
        with connected(project.database) as session:
            session.execute("INSERT INTO t VALUES (1)")


def test_what_is_finished_by_hand_and_stamped_is_finished(project: Project) -> None:
    """The version table says so; the next run believes it."""
    project.revision(
        "r1",
        None,
        "op.execute('CREATE TABLE t (a int)')\nwith op.get_context().autocommit_block(): op.execute('SELECT 1/0')",
    )
    assert project.run("upgrade").returncode == 5
    assert project.run("stamp", "r1", program="alembic").returncode == 0
    project.revision("r2", "r1", "op.execute('CREATE TABLE u (a int)')")
    done = project.run("upgrade")
    assert (done.returncode, "finished by hand" in done.stderr) == (0, True), done.stderr
    assert rows(
        project.database, "SELECT count(*) FROM liftlock.executions WHERE finished_at IS NULL"
    ) == [0]
