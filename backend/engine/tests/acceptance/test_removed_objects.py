"""Objects that a revision removes and restores: never missing for the application."""

from __future__ import annotations

import pytest
from acceptance.support.raw_sql import BUILDS_INDEX, executes
from helpers import (
    ALL_TABLES_LARGE,
    Project,
    ProjectFactory,
    assert_refused,
    assert_succeeded,
    connected,
    rows,
)

pytestmark = [pytest.mark.every_major, pytest.mark.kills]
ONE_SECOND = {"LIFTLOCK_LOCK_TIMEOUT": "1000"}
REMOVED_AND_RESTORED = {
    "trigger": ("ALTER TABLE item DISABLE TRIGGER USER", "ALTER TABLE item ENABLE TRIGGER USER"),
    "policy": (
        "ALTER TABLE item ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY p ON item USING (true)",
    ),
    "view": ("DROP VIEW v", "CREATE VIEW v AS SELECT size FROM item"),
    "default": (
        "ALTER TABLE item ALTER label DROP DEFAULT",
        "ALTER TABLE item ALTER COLUMN label SET DEFAULT 'y'",
    ),
    "table": (
        "ALTER TABLE item RENAME TO old; CREATE TABLE item AS TABLE old WITH NO DATA",
        "DROP TABLE old CASCADE",
    ),
}
VIEW_AND_DEFAULT = """
CREATE VIEW v AS SELECT label FROM item;
ALTER TABLE item ALTER label SET DEFAULT 'x';
"""
RECORD_TRANSACTIONS_OF_DDL = """
CREATE TABLE transactions (id xid8);
CREATE FUNCTION record() RETURNS event_trigger LANGUAGE plpgsql
    AS 'BEGIN INSERT INTO public.transactions VALUES (pg_current_xact_id()); END';
CREATE EVENT TRIGGER record ON ddl_command_end EXECUTE FUNCTION record();
"""
TRANSACTIONS_OF_DDL = "SELECT count(DISTINCT id) FROM transactions"
UPDATES_LABELS = (
    "op.get_bind().execute(sa.text(\"UPDATE item SET label = label || 'x' FROM pg_sleep({})\"))"
)


def create_objects(project: Project) -> None:
    """Create the objects that revisions remove, and record the transactions of DDL."""
    with connected(project.database) as session:
        session.execute(VIEW_AND_DEFAULT)
        session.execute(RECORD_TRANSACTIONS_OF_DDL)


@pytest.mark.parametrize("name", REMOVED_AND_RESTORED)
def test_removed_and_restored_object_is_replaced_in_one_transaction(
    item_project: ProjectFactory, name: str
) -> None:
    """Removal and restoration are one transaction, also when half the lock timeout is used up."""
    removes, restores = REMOVED_AND_RESTORED[name]
    project = item_project(
        executes(removes, "SELECT pg_sleep(0.6)", "CREATE TABLE between (a integer)", restores)
    )
    create_objects(project)
    assert_succeeded(project.run("upgrade", **ONE_SECOND, **ALL_TABLES_LARGE))
    assert rows(project.database, TRANSACTIONS_OF_DDL) == [1]


@pytest.mark.parametrize("name", ["trigger", "view", "default"])
@pytest.mark.parametrize("seconds", [0.6, 5])
def test_slow_update_between_removal_and_restoration_is_refused(
    item_project: ProjectFactory, name: str, seconds: float
) -> None:
    """A quick UPDATE on the connection stays in the transaction.

    A slow one is refused unless allowed.
    """
    removes, restores = REMOVED_AND_RESTORED[name]
    update = UPDATES_LABELS.format(seconds)
    project = item_project(f"{executes(removes)}\n{update}\n{executes(restores)}")
    create_objects(project)
    done = project.run("upgrade", **ONE_SECOND, **ALL_TABLES_LARGE)
    if seconds > 1:
        assert_refused(done, "LL-NON-ATOMIC-REPLACE")
        allowed = {"LIFTLOCK_ALLOW": "LL-NON-ATOMIC-REPLACE"}
        assert_succeeded(project.run("upgrade", **allowed, **ONE_SECOND, **ALL_TABLES_LARGE))
        assert rows(project.database, TRANSACTIONS_OF_DDL) == [2]
    else:
        assert_succeeded(done)
        assert "LL-NON-ATOMIC-REPLACE" not in done.stderr
        assert rows(project.database, TRANSACTIONS_OF_DDL) == [1]
    updated_twice = "SELECT DISTINCT right(label, 2) = 'xx' FROM item"
    assert rows(project.database, updated_twice) == [False]


CREATES_TRIGGER = (
    "CREATE TRIGGER x BEFORE UPDATE ON {} FOR EACH ROW"
    " EXECUTE FUNCTION suppress_redundant_updates_trigger()"
)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("DROP TRIGGER IF EXISTS x ON item", CREATES_TRIGGER.format("item")),
        ("DROP VIEW IF EXISTS w", "CREATE VIEW w AS SELECT 1"),
        ("CREATE TABLE t (a integer); ALTER TABLE t RENAME TO u", "CREATE TABLE t (a integer)"),
        ("DROP TRIGGER x ON other", CREATES_TRIGGER.format("item")),
    ],
)
def test_object_that_did_not_exist_before_may_be_restored_late(
    item_project: ProjectFactory, first: str, second: str
) -> None:
    """Objects that did not exist, or are others, do not keep the statements in one transaction."""
    project = item_project(f"{executes(first)}\n{BUILDS_INDEX}\n{executes(second)}")
    with connected(project.database) as session:
        session.execute("CREATE TABLE other (a integer)")
        session.execute(CREATES_TRIGGER.format("other"))
    assert_succeeded(project.run("upgrade", **ALL_TABLES_LARGE))
    assert rows(project.database, "SELECT to_regclass('ix_size')::text") == ["ix_size"]


def test_default_created_by_the_revision_may_be_dropped_before_a_long_update(
    item_project: ProjectFactory,
) -> None:
    """A default that the revision itself has added is not missed by the application."""
    project = item_project(f"""
token = sa.Column("token", sa.Uuid, server_default=sa.text("gen_random_uuid()"))
op.add_column("item", token)
op.alter_column("item", "token", server_default=None)
{UPDATES_LABELS.format(5)}
""")
    assert_succeeded(project.run("upgrade", **ONE_SECOND, **ALL_TABLES_LARGE))
    assert rows(project.database, "SELECT DISTINCT right(label, 1) FROM item") == ["x"]


def test_index_build_between_drop_and_create_view_is_refused(item_project: ProjectFactory) -> None:
    """An index build cannot share the transaction; with an allowance it runs between them."""
    removes, restores = REMOVED_AND_RESTORED["view"]
    project = item_project(f"{executes(removes)}\n{BUILDS_INDEX}\n{executes(restores)}")
    with connected(project.database) as session:
        session.execute(VIEW_AND_DEFAULT)
    assert_refused(project.run("upgrade", **ALL_TABLES_LARGE), "LL-NON-ATOMIC-REPLACE")
    objects = "SELECT to_regclass('v')::text, to_regclass('ix_size')::text"
    assert rows(project.database, objects) == [("v", None)]
    allowed = {"LIFTLOCK_ALLOW": "LL-NON-ATOMIC-REPLACE"}
    assert_succeeded(project.run("upgrade", **allowed, **ALL_TABLES_LARGE))
    assert rows(project.database, objects) == [("v", "ix_size")]


OVER_CONNECTION = "op.get_bind().execute(sa.text({!r}))"
BY_OPERATION = "op.execute({!r})"
REWRITES = "ALTER TABLE item ALTER COLUMN size TYPE bigint USING slowly(size)"
SLOW_FUNCTION = """
CREATE FUNCTION slowly(n integer) RETURNS bigint LANGUAGE plpgsql
    AS 'BEGIN PERFORM pg_sleep(0.01); RETURN n; END';
ALTER TABLE item ENABLE ROW LEVEL SECURITY;
"""
REMOVES_FIRST = {
    "view": ("DROP VIEW v", "CREATE VIEW v AS SELECT label FROM item"),
    "default": REMOVED_AND_RESTORED["default"],
    "row-level security": (
        "ALTER TABLE item DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE item ENABLE ROW LEVEL SECURITY",
    ),
    "view for good": ("DROP VIEW v", "SELECT 1"),
}
EXPOSED = """
SELECT to_regclass('v') IS NULL, NOT relrowsecurity,
    NOT EXISTS (SELECT FROM pg_attrdef AS d WHERE d.adrelid = c.oid)
FROM pg_class AS c WHERE c.oid = 'item'::regclass
"""


@pytest.mark.parametrize("name", REMOVES_FIRST)
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (OVER_CONNECTION, OVER_CONNECTION),
        (OVER_CONNECTION, BY_OPERATION),
        (BY_OPERATION, OVER_CONNECTION),
        (BY_OPERATION, BY_OPERATION),
    ],
    ids=["connection", "connection first", "operation first", "operations"],
)
def test_removal_is_not_committed_before_a_step_that_is_refused(
    item_project: ProjectFactory, name: str, first: str, second: str
) -> None:
    """The refused run leaves everything as it was."""
    removes, restores = REMOVES_FIRST[name]
    statements = [first.format(removes), second.format(REWRITES), first.format(restores)]
    project = item_project("\n".join(statements))
    create_objects(project)
    with connected(project.database) as session:
        session.execute(SLOW_FUNCTION)
        session.execute("TRUNCATE transactions")
    done = project.run("upgrade", **ALL_TABLES_LARGE)
    assert_refused(done, "(?:LL-UNKNOWN-LOCKS|LL-NON-ATOMIC-REPLACE)")
    assert rows(project.database, EXPOSED) == [(False, False, False)]
    assert rows(project.database, TRANSACTIONS_OF_DDL) == [0]


@pytest.mark.parametrize("name", ["view", "default", "row-level security"])
def test_allowed_step_is_in_the_transaction_of_a_removal_that_is_restored_later(
    item_project: ProjectFactory, name: str
) -> None:
    """Over the connection, the restoration isn't known yet; the application waits meanwhile."""
    removes, restores = REMOVES_FIRST[name]
    statements = [OVER_CONNECTION.format(one) for one in (removes, REWRITES, restores)]
    project = item_project("\n".join(statements))
    create_objects(project)
    with connected(project.database) as session:
        session.execute(SLOW_FUNCTION)
        session.execute("TRUNCATE transactions")
    allowed = {"LIFTLOCK_ALLOW": "LL-UNKNOWN-LOCKS"}
    assert_succeeded(project.run("upgrade", **allowed, **ALL_TABLES_LARGE))
    assert rows(project.database, TRANSACTIONS_OF_DDL) == [1]
