"""Added columns with identities, foreign keys, defaults or rows that violate constraints."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from acceptance.support.databases import assert_nothing_is_left, schema_of
from helpers import (
    ALL_TABLES_LARGE,
    PairFactory,
    Project,
    assert_failed,
    assert_refused,
    assert_succeeded,
    at,
    begun_project,
    connected,
    dump,
    rows,
)

from liftlock.settings import Address

pytestmark = [pytest.mark.every_major, pytest.mark.kills]
ALLOWED = {"LIFTLOCK_ALLOW": "LL-TABLE-REWRITE", **ALL_TABLES_LARGE}
TABLES_WITHOUT_KEY = """
CREATE TABLE other (id integer PRIMARY KEY, name text);
INSERT INTO other SELECT i, 'o' || i FROM generate_series(1, 10) AS i;
CREATE TABLE item (label text);
INSERT INTO item SELECT 'label ' || i FROM generate_series(1, 1000) AS i;
"""
RANDOM_COLUMN = 'sa.Column("drawn", sa.Text, server_default=sa.text("random()::text"))'


@pytest.fixture
def two_projects(tmp_path: Path, database: Address, driver: str) -> Iterator[PairFactory]:
    """Make a project for plain Alembic and one for liftlock, on two databases with equal rows."""
    database_of_plain = at(database, f"{database.dbname}_plain")
    with connected(database) as session:
        session.execute(f"CREATE DATABASE {database_of_plain.dbname}")
    for address in (database, database_of_plain):
        with connected(address) as session:
            session.execute(TABLES_WITHOUT_KEY)
    for name in ("plain", "ours"):
        (tmp_path / name).mkdir()

    def make(body: str) -> tuple[Project, Project]:
        plain = begun_project(tmp_path / "plain", database_of_plain, body, driver=driver)
        ours = begun_project(tmp_path / "ours", database, body, driver=driver)
        return plain, ours

    yield make
    with connected(database) as session:
        session.execute(f"DROP DATABASE {database_of_plain.dbname} WITH (FORCE)")


EFFECTS_OF_AN_UPDATE = {
    "publication all_of_it": "CREATE PUBLICATION all_of_it FOR ALL TABLES",
    "rule stays": "CREATE RULE stays AS ON UPDATE TO item DO INSTEAD NOTHING",
    "trigger counts": """
        CREATE TABLE heir () INHERITS (item);
        CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        CREATE TRIGGER counts BEFORE UPDATE ON heir FOR EACH ROW EXECUTE FUNCTION f();
        INSERT INTO heir VALUES ('x');
    """,
}


@pytest.mark.parametrize("effect", EFFECTS_OF_AN_UPDATE)
def test_rule_trigger_or_publication_prevents_the_backfill(
    two_projects: PairFactory, effect: str
) -> None:
    """PostgreSQL's rewrite fires no rules, triggers or replication.

    An UPDATE does, so it is refused by name.
    """
    _, ours = two_projects(f'op.add_column("item", {RANDOM_COLUMN})')
    with connected(ours.database) as session:
        session.execute(EFFECTS_OF_AN_UPDATE[effect])
    assert_refused(ours.run("upgrade", **ALL_TABLES_LARGE), "LL-TABLE-REWRITE", mentions=effect)
    assert_succeeded(ours.run("upgrade", **ALLOWED))
    assert rows(ours.database, "SELECT count(*) FROM item WHERE drawn IS NULL") == [0]


@pytest.mark.parametrize(
    "change",
    [
        (
            'op.add_column("item", sa.Column("token", sa.Uuid,'
            ' server_default=sa.text("gen_random_uuid()")))'
        ),
        'op.alter_column("item", "n", type_=sa.BigInteger())',
    ],
)
def test_row_level_security_prevents_the_backfill(
    tmp_path: Path, database: Address, change: str
) -> None:
    """PostgreSQL's rewrite ignores row-level security, an UPDATE does not; so it is refused."""
    with connected(database) as session:
        session.execute("DROP ROLE IF EXISTS secured")
        session.execute("CREATE ROLE secured LOGIN PASSWORD 'few rows'")
        session.execute(f"ALTER DATABASE {database.dbname} OWNER TO secured")
        session.execute("ALTER SCHEMA public OWNER TO secured")
    project = begun_project(
        tmp_path, at(database, database.dbname, user="secured", password="few rows"), change
    )
    with connected(project.database) as session:
        session.execute("CREATE TABLE item (label text, n integer)")
        session.execute("INSERT INTO item SELECT 'label ' || i, i FROM generate_series(1, 10) AS i")
        session.execute("CREATE POLICY few ON item USING (label < 'label 3')")
        session.execute("ALTER TABLE item ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    assert_refused(
        project.run("upgrade", **ALL_TABLES_LARGE),
        "LL-TABLE-REWRITE",
        mentions="row-level security",
    )
    assert_succeeded(project.run("upgrade", **ALLOWED))
    column = "token" if "token" in change else "n"
    assert rows(database, f"SELECT count({column}) FROM item") == [10]


@pytest.mark.parametrize(
    "default",
    [
        "",
        ", server_default='5'",
        ", server_default=sa.text('1 + random()::integer'), nullable=False",
    ],
)
def test_column_of_domain_with_constraint_is_refused(
    two_projects: PairFactory, default: str
) -> None:
    """A new column of such a domain makes PostgreSQL rewrite the table, also without a default."""
    plain, ours = two_projects(f"""
from sqlalchemy.dialects.postgresql import DOMAIN
natural_number = DOMAIN("natural_number", sa.Integer, create_type=False)
op.add_column("item", sa.Column("n", natural_number{default}))
""")
    for project in (plain, ours):
        with connected(project.database) as session:
            session.execute("CREATE DOMAIN natural_number AS integer CHECK (VALUE > 0)")
    assert_refused(
        ours.run("upgrade", **ALL_TABLES_LARGE),
        "LL-TABLE-REWRITE",
        mentions="natural_number, a domain with a constraint",
    )
    assert_succeeded(plain.run("upgrade", "head", program="alembic"))
    assert_succeeded(ours.run("upgrade", **ALLOWED))
    assert dump(ours.database) == dump(plain.database)


@pytest.mark.parametrize(
    "options",
    [
        "start=5, increment=2",
        "start=1000000, minvalue=1000000",
        "start=-1, increment=-1",
        "always=True",
        "start=3, cycle=True, cache=5",
    ],
)
def test_identity_column_numbers_rows_like_plain_alembic(
    two_projects: PairFactory, options: str
) -> None:
    """Existing and new rows get the same set of numbers as with plain Alembic."""
    plain, ours = two_projects(
        f'op.add_column("item", sa.Column("id", sa.BigInteger, sa.Identity({options})))'
    )
    assert_succeeded(plain.run("upgrade", "head", program="alembic"))
    assert_succeeded(ours.run("upgrade", **ALL_TABLES_LARGE))
    assert dump(ours.database) == dump(plain.database)
    _assert_same_numbers(plain, ours, options)
    for project in (plain, ours):
        with connected(project.database) as session:
            session.execute("INSERT INTO item VALUES ('more')")
    _assert_same_numbers(plain, ours, options)
    assert_nothing_is_left(ours.database)


def _assert_same_numbers(plain: Project, ours: Project, options: str) -> None:
    """Compare the numbers; with a cache, a session that ends loses some of them."""
    of_plain = rows(plain.database, "SELECT id FROM item ORDER BY id")
    of_ours = rows(ours.database, "SELECT id FROM item ORDER BY id")
    assert len(set(of_ours)) == len(of_ours) == len(of_plain)
    assert of_ours == of_plain or "cache" in options


@pytest.mark.parametrize(
    "arguments",
    [
        'sa.ForeignKey("other.id", ondelete="SET NULL")',
        'sa.ForeignKey("other.id"), server_default="1"',
        'sa.ForeignKey("other.id"), server_default="1", nullable=False',
        'sa.ForeignKey("other.id"), sa.CheckConstraint("o_id > 0")',
        'sa.ForeignKey("other.id"), server_default=sa.text("1 + (random())::int")',
    ],
)
def test_inline_foreign_key_is_validated_separately(
    two_projects: PairFactory, arguments: str
) -> None:
    """A foreign key written inline with its column is added NOT VALID and validated.

    The schema is the same.
    """
    column = f'sa.Column("o_id", sa.Integer, {arguments})'
    plain, ours = two_projects(f'op.add_column("item", {column}, inline_references=True)')
    assert_succeeded(plain.run("upgrade", "head", program="alembic"))
    assert_succeeded(ours.run("upgrade", **ALL_TABLES_LARGE))
    assert schema_of(ours.database) == schema_of(plain.database)
    assert "validate" in rows(ours.database, "SELECT does FROM liftlock.steps")
    assert_nothing_is_left(ours.database)


def test_inline_foreign_key_on_not_null_column_of_an_empty_table(
    two_projects: PairFactory,
) -> None:
    """On an empty table an inline foreign key of a NOT NULL column is created once."""
    plain, ours = two_projects(
        'op.add_column("item", sa.Column("o_id", sa.Integer, sa.ForeignKey("other.id"),'
        " nullable=False), inline_references=True)"
    )
    for project in (plain, ours):
        with connected(project.database) as session:
            session.execute("DELETE FROM item")
    assert_succeeded(plain.run("upgrade", "head", program="alembic"))
    assert_succeeded(ours.run("upgrade", **ALL_TABLES_LARGE))
    assert schema_of(ours.database) == schema_of(plain.database)


def test_inline_primary_key_is_refused(
    two_projects: PairFactory,
) -> None:
    """An inline primary key rewrites the table; with an allowance it matches plain Alembic."""
    plain, ours = two_projects(
        'op.add_column("item", sa.Column("id", sa.Integer, primary_key=True),'
        " inline_primary_key=True)"
    )
    assert_succeeded(plain.run("upgrade", "head", program="alembic"))
    assert_refused(ours.run("upgrade", **ALL_TABLES_LARGE), "LL-TABLE-REWRITE")
    assert_succeeded(ours.run("upgrade", **ALLOWED))
    assert schema_of(ours.database) == schema_of(plain.database)


@pytest.mark.parametrize(
    "column",
    [
        'sa.Column("n", sa.Integer, sa.CheckConstraint("n > 0"), server_default="0")',
        (
            'sa.Column("n", sa.Integer, sa.ForeignKey("other.id"), server_default="99"),'
            " inline_references=True"
        ),
        'sa.Column("n", sa.Integer, sa.Identity(), sa.CheckConstraint("n > 5"))',
        (
            'sa.Column("n", sa.Integer, nullable=False,'
            ' server_default=sa.text("nullif(round(random()), 3 - 2)::integer"))'
        ),
    ],
)
def test_violating_rows_undo_the_added_column(two_projects: PairFactory, column: str) -> None:
    """Nothing of the operation is left if rows violate it, so that its file may be corrected."""
    _, ours = two_projects(f'op.add_column("item", {column})')
    before = schema_of(ours.database)
    assert_failed(ours.run("upgrade", **ALL_TABLES_LARGE), "LL-ROWS-VIOLATE-CONSTRAINT", 5)
    assert schema_of(ours.database) == before
    ours.revision("r1", "r0", 'op.add_column("item", sa.Column("n", sa.Integer))')
    assert_succeeded(ours.run("upgrade", **ALL_TABLES_LARGE))
    assert_nothing_is_left(ours.database)


@pytest.mark.parametrize(
    "change",
    [
        'op.alter_column("item", "label", type_=sa.Integer(), postgresql_using="length(label)")',
        f'op.add_column("item", {RANDOM_COLUMN})',
        'op.add_column("item", sa.Column("id", sa.Integer, sa.Identity()))',
    ],
)
def test_row_triggers_prevent_the_backfill(two_projects: PairFactory, change: str) -> None:
    """Plain Alembic fires no triggers; the online form would, so it is refused unless allowed."""
    _, ours = two_projects(change)
    with connected(ours.database) as session:
        session.execute("ALTER TABLE item ADD fired integer NOT NULL DEFAULT 0")
        body = "BEGIN NEW.fired = OLD.fired + 1; RETURN NEW; END"
        session.execute(f"CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS '{body}'")
        session.execute(
            "CREATE TRIGGER counts BEFORE UPDATE ON item FOR EACH ROW EXECUTE FUNCTION f()"
        )
    assert_refused(
        ours.run("upgrade", **ALL_TABLES_LARGE), "LL-TABLE-REWRITE", mentions="trigger counts"
    )
    assert_succeeded(ours.run("upgrade", **ALLOWED))
    assert rows(ours.database, "SELECT max(fired) FROM item") == [0]
    assert_nothing_is_left(ours.database)
