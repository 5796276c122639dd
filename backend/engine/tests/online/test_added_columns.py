"""New columns that carry more than a value: identities, keys, and rows that break what comes with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers import Project, at, begun_project, connected, dump, rows
from online.storms import catalog, nothing_is_left

from liftlock.settings import Address

pytestmark = pytest.mark.storms
EVERY = {"LIFTLOCK_SMALL_TABLE": "0"}
SEED = """
CREATE TABLE other (id integer PRIMARY KEY, name text);
INSERT INTO other SELECT i, 'o' || i FROM generate_series(1, 10) AS i;
CREATE TABLE item (label text);
INSERT INTO item SELECT 'label ' || i FROM generate_series(1, 1000) AS i;
"""


@pytest.fixture
def both(
    tmp_path: Path, database: Address, driver: str
) -> Iterator[Callable[[str], tuple[Project, Project]]]:
    """Makes a project to run with plain Alembic, and one to run with liftlock, on two databases with the same rows."""
    other = at(database, f"{database.dbname}_plain")
    with connected(database) as session:
        session.execute(f"CREATE DATABASE {other.dbname}")
        session.execute(SEED)
    with connected(other) as session:
        session.execute(SEED)
    for name in ("plain", "ours"):
        (tmp_path / name).mkdir()
    places = ((tmp_path / "plain", other), (tmp_path / "ours", database))
    yield lambda body: tuple(begun_project(*place, body, driver=driver) for place in places)
    with connected(database) as session:
        session.execute(f"DROP DATABASE {other.dbname} WITH (FORCE)")


OF_OTHERS = {
    "publication all_of_it": "CREATE PUBLICATION all_of_it FOR ALL TABLES",
    "rule stays": "CREATE RULE stays AS ON UPDATE TO item DO INSTEAD NOTHING",
    "trigger counts": "CREATE TABLE heir () INHERITS (item);"
    " CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
    " CREATE TRIGGER counts BEFORE UPDATE ON heir FOR EACH ROW EXECUTE FUNCTION f()",
}


@pytest.mark.parametrize("obstacle", OF_OTHERS)
def test_what_would_change_an_update(
    both: Callable[[str], tuple[Project, Project]], obstacle: str
) -> None:
    """A rule, a trigger of a table that inherits, a publication of a table without a key: PostgreSQL's own rewrite knows none."""
    _, ours = both(
        'op.add_column("item", sa.Column("drawn", sa.Text, server_default=sa.text("random()::text")))'
    )
    with connected(ours.database) as session:
        session.execute(OF_OTHERS[obstacle])
        if "heir" in OF_OTHERS[obstacle]:
            session.execute("INSERT INTO heir VALUES ('x')")
    done = ours.run("upgrade", **EVERY)
    assert (done.returncode, "LL-TABLE-REWRITE" in done.stderr, obstacle in done.stderr) == (
        3,
        True,
        True,
    ), done.stderr
    done = ours.run("upgrade", LIFTLOCK_ALLOW="LL-TABLE-REWRITE", **EVERY)
    assert done.returncode == 0, done.stderr
    assert rows(ours.database, "SELECT count(*) FROM item WHERE drawn IS NULL") == [0]


@pytest.mark.parametrize(
    "change",
    [
        'op.add_column("item", sa.Column("token", sa.Uuid, server_default=sa.text("gen_random_uuid()")))',
        'op.alter_column("item", "n", type_=sa.BigInteger())',
    ],
)
def test_rows_that_the_role_cannot_see(tmp_path: Path, database: Address, change: str) -> None:
    """PostgreSQL's own rewrite knows no row-level security, an update in batches does; so it is refused."""
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
    done = project.run("upgrade", **EVERY)
    assert (done.returncode, "row-level security" in done.stderr) == (3, True), done.stderr
    done = project.run("upgrade", LIFTLOCK_ALLOW="LL-TABLE-REWRITE", **EVERY)
    assert done.returncode == 0, done.stderr
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
def test_a_domain_with_a_constraint_is_refused(
    both: Callable[[str], tuple[Project, Project]], default: str
) -> None:
    """A new column of such a type makes PostgreSQL rewrite the table, also without its default; there is no online way."""
    kind = "from sqlalchemy.dialects.postgresql import DOMAIN\nkind = DOMAIN('natural_number', sa.Integer, create_type=False)\n"
    plain, ours = both(f"{kind}op.add_column('item', sa.Column('n', kind{default}))")
    for one in (plain, ours):
        with connected(one.database) as session:
            session.execute("CREATE DOMAIN natural_number AS integer CHECK (VALUE > 0)")
    done = ours.run("upgrade", **EVERY)
    assert (done.returncode, "natural_number, a domain with a constraint" in done.stderr) == (
        3,
        True,
    ), done.stderr
    assert plain.run("upgrade", "head", program="alembic").returncode == 0
    assert ours.run("upgrade", LIFTLOCK_ALLOW="LL-TABLE-REWRITE", **EVERY).returncode == 0
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
def test_rows_are_numbered_as_the_identity_says(
    both: Callable[[str], tuple[Project, Project]], options: str
) -> None:
    """The same values as plain Alembic's, though not in the same rows; and new rows go on."""
    plain, ours = both(
        f'op.add_column("item", sa.Column("id", sa.BigInteger, sa.Identity({options})))'
    )
    assert plain.run("upgrade", "head", program="alembic").returncode == 0
    done = ours.run("upgrade", **EVERY)
    assert done.returncode == 0, done.stderr
    assert dump(ours.database) == dump(plain.database)
    cached = "cache" in options  # what a session has in store is lost with it
    for more in (False, True):
        if more:
            for one in (plain, ours):
                with connected(one.database) as session:
                    session.execute("INSERT INTO item VALUES ('more')")
        values = [rows(one.database, "SELECT id FROM item ORDER BY id") for one in (plain, ours)]
        assert len(set(values[1])) == len(values[1]) == len(values[0])
        assert values[0] == values[1] or cached
    nothing_is_left(ours.database)


@pytest.mark.parametrize(
    "column",
    [
        'sa.Column("o_id", sa.Integer, sa.ForeignKey("other.id", ondelete="SET NULL")), inline_references=True',
        'sa.Column("o_id", sa.Integer, sa.ForeignKey("other.id"), server_default="1"), inline_references=True',
        'sa.Column("o_id", sa.Integer, sa.ForeignKey("other.id"), server_default="1", nullable=False), inline_references=True',
        'sa.Column("o_id", sa.Integer, sa.ForeignKey("other.id"), sa.CheckConstraint("o_id > 0")), inline_references=True',
        'sa.Column("o_id", sa.Integer, sa.ForeignKey("other.id"), server_default=sa.text("1 + (random())::int")), inline_references=True',
    ],
)
def test_a_foreign_key_that_is_written_with_its_column(
    both: Callable[[str], tuple[Project, Project]], column: str
) -> None:
    """Is proven apart, and is the same."""
    plain, ours = both(f'op.add_column("item", {column})')
    assert plain.run("upgrade", "head", program="alembic").returncode == 0
    done = ours.run("upgrade", **EVERY)
    assert done.returncode == 0, done.stderr
    assert catalog(ours.database) == catalog(plain.database)
    assert "validate" in rows(ours.database, "SELECT does FROM liftlock.steps")
    nothing_is_left(ours.database)


def test_a_foreign_key_with_a_column_that_needs_a_value(
    both: Callable[[str], tuple[Project, Project]],
) -> None:
    """Gets through on an empty table, and is made once."""
    plain, ours = both(
        'op.add_column("item", sa.Column("o_id", sa.Integer, sa.ForeignKey("other.id"), nullable=False), inline_references=True)'
    )
    for one in (plain, ours):
        with connected(one.database) as session:
            session.execute("DELETE FROM item")
    assert plain.run("upgrade", "head", program="alembic").returncode == 0
    done = ours.run("upgrade", **EVERY)
    assert done.returncode == 0, done.stderr
    assert catalog(ours.database) == catalog(plain.database)


def test_a_primary_key_that_is_written_with_its_column_is_refused(
    both: Callable[[str], tuple[Project, Project]],
) -> None:
    """It rewrites the table; by the operator's leave it is plain Alembic's, and not lost."""
    plain, ours = both(
        'op.add_column("item", sa.Column("id", sa.Integer, primary_key=True), inline_primary_key=True)'
    )
    assert plain.run("upgrade", "head", program="alembic").returncode == 0
    done = ours.run("upgrade", **EVERY)
    assert (done.returncode, "LL-TABLE-REWRITE" in done.stderr) == (3, True), done.stderr
    assert ours.run("upgrade", LIFTLOCK_ALLOW="LL-TABLE-REWRITE", **EVERY).returncode == 0
    assert catalog(ours.database) == catalog(plain.database)


@pytest.mark.parametrize(
    "column",
    [
        'sa.Column("n", sa.Integer, sa.CheckConstraint("n > 0"), server_default="0")',
        'sa.Column("n", sa.Integer, sa.ForeignKey("other.id"), server_default="99"), inline_references=True',
        'sa.Column("n", sa.Integer, sa.Identity(), sa.CheckConstraint("n > 5"))',
        'sa.Column("n", sa.Integer, server_default=sa.text("nullif(round(random()), 3 - 2)::integer"), nullable=False)',
    ],
)
def test_rows_that_break_it_take_the_column_away_again(
    both: Callable[[str], tuple[Project, Project]], column: str
) -> None:
    """Nothing of the operation is left, so that its file may be corrected."""
    _, ours = both(f'op.add_column("item", {column})')
    before = catalog(ours.database)
    done = ours.run("upgrade", **EVERY)
    assert (done.returncode, "LL-ROWS-VIOLATE" in done.stderr) == (5, True), done.stderr
    assert catalog(ours.database) == before
    ours.revision("r1", "r0", 'op.add_column("item", sa.Column("n", sa.Integer))')
    done = ours.run("upgrade", **EVERY)
    assert done.returncode == 0, done.stderr
    nothing_is_left(ours.database)


@pytest.mark.parametrize(
    "change",
    [
        'op.alter_column("item", "label", type_=sa.Integer(), postgresql_using="length(label)")',
        'op.add_column("item", sa.Column("drawn", sa.Text, server_default=sa.text("random()::text")))',
        'op.add_column("item", sa.Column("id", sa.Integer, sa.Identity()))',
    ],
)
def test_triggers_of_the_table_are_not_fired(
    both: Callable[[str], tuple[Project, Project]], change: str
) -> None:
    """Plain Alembic fires none; so it is refused, and runs as plain Alembic does by the operator's leave."""
    _, ours = both(change)
    with connected(ours.database) as session:
        session.execute("ALTER TABLE item ADD fired integer NOT NULL DEFAULT 0")
        body = "BEGIN NEW.fired = OLD.fired + 1; RETURN NEW; END"
        session.execute(f"CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS '{body}'")
        session.execute(
            "CREATE TRIGGER counts BEFORE UPDATE ON item FOR EACH ROW EXECUTE FUNCTION f()"
        )
    done = ours.run("upgrade", **EVERY)
    assert (
        done.returncode,
        "LL-TABLE-REWRITE" in done.stderr,
        "trigger counts" in done.stderr,
    ) == (
        3,
        True,
        True,
    ), done.stderr
    done = ours.run("upgrade", LIFTLOCK_ALLOW="LL-TABLE-REWRITE", **EVERY)
    assert done.returncode == 0, done.stderr
    assert rows(ours.database, "SELECT max(fired) FROM item") == [0]
    nothing_is_left(ours.database)
