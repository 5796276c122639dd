"""Operations and their details, from the constructs of SQLAlchemy and Alembic."""

from __future__ import annotations

from typing import Any

import alembic.ddl.base as alembic_ddl
import pytest
import sqlalchemy as sa
from alembic.ddl import postgresql as alembic_postgresql
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import psycopg2
from sqlalchemy.engine import Dialect

from liftlock import allow
from liftlock.model.operation import (
    BackfillDetails,
    ColumnDetails,
    ConstraintDetails,
    EnumDetails,
    IndexDetails,
)
from liftlock.revisions.construct_details import plain_text
from liftlock.revisions.constructs import describe
from liftlock.revisions.op_backfill import Backfill

DIALECT: Dialect = postgresql.dialect(paramstyle="named")
DOUBLING: Dialect = psycopg2.dialect()
"""The dialect of a driver that needs each percent sign doubled."""
COMMENTED = sa.Table(
    "visit", sa.MetaData(), sa.Column("id", sa.Integer, comment="number"), comment="visits"
)
SQLALCHEMY = tuple(int(part) for part in sa.__version__.split(".")[:3])


def table(name: str = "visit", *items: Any, schema: str | None = None) -> sa.Table:
    """Return a table with a column ``id`` and more items."""
    return sa.Table(name, sa.MetaData(), sa.Column("id", sa.Integer), *items, schema=schema)


def unique(*options: Any, **named: Any) -> sa.UniqueConstraint:
    """Return a unique constraint on ``visit.id``."""
    constraint = sa.UniqueConstraint("id", *options, **named)
    table("visit", constraint)
    return constraint


def foreign_key(target: str, schema: str | None = None) -> sa.ForeignKeyConstraint:
    """Return a foreign key to a table that has the same MetaData, as Alembic makes it."""
    constraint = sa.ForeignKeyConstraint(["id"], [f"{target}.id"], name="visit_fk")
    visit = table("visit", constraint, schema=schema)
    *schemas, name = target.split(".")
    sa.Table(name, visit.metadata, sa.Column("id", sa.Integer), schema=".".join(schemas) or None)
    return constraint


def add_column(column: sa.Column[Any], schema: str | None = None) -> alembic_ddl.AddColumn:
    """Return ALTER TABLE visit ADD COLUMN."""
    return alembic_ddl.AddColumn("visit", column, schema)


@pytest.mark.parametrize(
    ("construct", "kind", "table_name", "relation"),
    [
        ("SELECT 1", "execute", None, ""),
        (sa.text("SELECT 1"), "execute", None, ""),
        (sa.schema.CreateTable(table()), "create_table", "visit", "visit"),
        (sa.schema.DropTable(table(schema="app")), "drop_table", "app.visit", "app.visit"),
        (
            sa.schema.DropTable(table("Visit", schema="App")),
            "drop_table",
            "App.Visit",
            '"App"."Visit"',
        ),
        (sa.schema.SetTableComment(COMMENTED), "comment", "visit", "visit"),
        (sa.schema.SetColumnComment(COMMENTED.c.id), "comment", "visit", "visit"),
        (sa.schema.CreateIndex(sa.Index("i", table().c.id)), "create_index", "visit", "visit"),
        (sa.schema.DropIndex(sa.Index("i", table().c.id)), "drop_index", "visit", "visit"),
        (sa.schema.CreateSequence(sa.Sequence("s")), "create_sequence", None, ""),
        (sa.schema.DropConstraint(unique(name="u")), "drop_constraint", "visit", "visit"),
        (add_column(sa.Column("n", sa.Text)), "add_column", "visit", "visit"),
        (add_column(sa.Column("n", sa.Text), "app"), "add_column", "app.visit", "app.visit"),
        (
            alembic_ddl.DropColumn("Visit", sa.Column("n", sa.Text), "order"),
            "drop_column",
            "order.Visit",
            '"order"."Visit"',
        ),
        (
            alembic_ddl.RenameTable("visit", "stay", schema="app"),
            "rename_table",
            "app.visit",
            "app.visit",
        ),
        (
            alembic_ddl.ColumnNullable("visit", "n", nullable=True),
            "drop_not_null",
            "visit",
            "visit",
        ),
        (
            alembic_ddl.ColumnNullable("visit", "n", nullable=False),
            "alter_nullable",
            "visit",
            "visit",
        ),
        (alembic_ddl.ColumnType("visit", "n", sa.Text()), "alter_type", "visit", "visit"),
        (alembic_ddl.ColumnName("visit", "n", "m"), "rename_column", "visit", "visit"),
        (alembic_ddl.ColumnDefault("visit", "n", "1"), "alter_default", "visit", "visit"),
        (Backfill("Visit", "app", "n = 1", ""), "backfill", "app.Visit", 'app."Visit"'),
        (sa.insert(table()), "insert", "visit", "visit"),
        (sa.update(table(schema="app")), "update", "app.visit", "app.visit"),
        (sa.delete(sa.table("visit", schema="app")), "delete", "app.visit", "app.visit"),
    ],
)
def test_kind_and_table(construct: Any, kind: str, table_name: str | None, relation: str) -> None:
    """The table is there as the project writes it, and as SQL text."""
    operation = describe(construct, DIALECT)
    assert operation.kind == kind
    assert operation.table == table_name
    assert operation.relation == relation


@pytest.mark.parametrize(
    ("constraint", "kind"),
    [
        (sa.UniqueConstraint("id", name="c"), "create_unique_constraint"),
        (sa.ForeignKeyConstraint(["id"], ["visit.id"], name="c"), "create_foreign_key"),
        (sa.CheckConstraint("id > 0", name="c"), "create_check_constraint"),
        (sa.PrimaryKeyConstraint("id", name="c"), "create_primary_key"),
        (postgresql.ExcludeConstraint(("id", "="), name="c"), "create_exclude_constraint"),
    ],
)
def test_kind_of_constraint(constraint: sa.Constraint, kind: str) -> None:
    """ADD CONSTRAINT is an operation of its own for each kind of constraint."""
    table().append_constraint(constraint)
    assert describe(sa.schema.AddConstraint(constraint), DIALECT).kind == kind


def test_backfill_of_another_library_is_an_ordinary_statement() -> None:
    """The class matters, not its name."""

    class Backfill:
        def compile(self, **_options: object) -> str:
            return "UPDATE visit SET n = 1"

    assert describe(Backfill(), DIALECT).kind == "execute"


def test_statement_is_stripped_and_has_no_tabs() -> None:
    """A statement in an indented text is shown on lines of its own."""
    assert describe("\n\tSELECT\t1\n", DIALECT).sql == "SELECT 1"


def test_line_and_allowances_are_kept() -> None:
    """They come from the revision's file."""
    with allow("LL-DATA-LOSS", because="never filled"):
        operation = describe("DROP TABLE visit", DIALECT, line=12)
    assert operation.line == 12
    assert operation.allowed == {"LL-DATA-LOSS": "never filled"}
    assert describe("DROP TABLE visit", DIALECT).allowed == {}


def test_sets_of_parameters_make_a_bulk_insert() -> None:
    """``op.bulk_insert`` sends an INSERT with several sets."""
    operation = describe(sa.insert(table()), DIALECT, [{"id": 1}, {"id": 2}])
    assert operation.kind == "bulk_insert"
    assert operation.rows == 2
    assert operation.values


def test_values_ignore_memory_addresses() -> None:
    """Objects without a ``repr`` of their own would differ in each process."""

    class Point:
        pass

    first = describe(sa.insert(table()), DIALECT, [{"id": Point()}])
    second = describe(sa.insert(table()), DIALECT, [{"id": Point()}])
    assert first.values == second.values
    assert first.values != describe(sa.insert(table()), DIALECT, [{"id": 1}]).values


@pytest.mark.parametrize(
    ("construct", "others"),
    [
        (sa.schema.AddConstraint(foreign_key("place")), ("place",)),
        (sa.schema.AddConstraint(foreign_key("App.Place")), ('"App"."Place"',)),
        (
            sa.schema.CreateTable(
                table(
                    "visit",
                    sa.Column("place_id", sa.ForeignKey("place.id")),
                    sa.Column("home_id", sa.ForeignKey("place.id")),
                    sa.Column("person_id", sa.ForeignKey("app.person.id")),
                )
            ),
            ("app.person", "place"),
        ),
        (sa.schema.CreateTable(table()), ()),
        (sa.schema.AddConstraint(unique(name="u")), ()),
        (add_column(sa.Column("n", sa.Text)), ()),
    ],
)
def test_tables_that_foreign_keys_refer_to(construct: Any, others: tuple[str, ...]) -> None:
    """Adding a foreign key locks them too."""
    if isinstance(construct, sa.schema.CreateTable):
        metadata = construct.element.metadata
        sa.Table("place", metadata, sa.Column("id", sa.Integer))
        sa.Table("person", metadata, sa.Column("id", sa.Integer), schema="app")
    assert describe(construct, DIALECT).others == others


@pytest.mark.parametrize(
    ("construct", "details"),
    [
        (
            sa.schema.CreateIndex(sa.Index("visit_i", table().c.id, unique=True)),
            IndexDetails(name="visit_i", relation="visit_i", unique=True),
        ),
        (
            sa.schema.DropIndex(sa.Index("Visit.i", table(schema="App").c.id)),
            IndexDetails(name="Visit.i", relation='"App"."Visit.i"'),
        ),
        (
            sa.schema.AddConstraint(unique(name="visit_u", deferrable=True, initially="DEFERRED")),
            ConstraintDetails(
                name="visit_u",
                definition="UNIQUE (id) DEFERRABLE INITIALLY DEFERRED",
                columns=("id",),
                deferral=" DEFERRABLE INITIALLY DEFERRED",
            ),
        ),
        (
            sa.schema.AddConstraint(unique(name='a"b')),
            ConstraintDetails(name='a"b', definition="UNIQUE (id)", columns=("id",)),
        ),
        (
            sa.schema.AddConstraint(unique()),
            ConstraintDetails(name=None, definition="UNIQUE (id)", columns=("id",)),
        ),
        (
            sa.schema.AddConstraint(foreign_key("App.Place")),
            ConstraintDetails(
                name="visit_fk",
                definition='FOREIGN KEY(id) REFERENCES "App"."Place" (id)',
                columns=("id",),
                refers='"App"."Place"',
                refers_columns=("id",),
            ),
        ),
        (
            sa.schema.DropConstraint(unique(name="Visit u")),
            ConstraintDetails(name="Visit u"),
        ),
        (
            alembic_ddl.DropColumn("visit", sa.Column("n", sa.Text)),
            ColumnDetails(name="n"),
        ),
        (alembic_ddl.ColumnName("visit", "n", "m"), ColumnDetails(name="n")),
        (
            alembic_postgresql.PostgresqlColumnType("visit", "n", sa.Integer(), using="n::int"),
            ColumnDetails(name="n", using="n::int"),
        ),
        (
            postgresql.base.CreateEnumType(
                postgresql.ENUM("old", "new", name="State", schema="app")
            ),
            EnumDetails(relation='app."State"', labels=("old", "new")),
        ),
        (
            Backfill("visit", None, "n = 1", "n IS NULL"),
            BackfillDetails(values="n = 1", where="n IS NULL"),
        ),
        (sa.schema.CreateTable(table()), None),
        (sa.schema.CreateSequence(sa.Sequence("s")), None),
    ],
)
def test_details(construct: Any, details: object) -> None:
    """The recipes of the planner get names, definitions and columns as SQL."""
    assert describe(construct, DIALECT).details == details


@pytest.mark.skipif(SQLALCHEMY < (2, 0, 0), reason="SQLAlchemy 1.4 has no postgresql_not_valid")
def test_not_valid_of_a_project_is_noted() -> None:
    """The planner then leaves the validation to the project."""
    constraint = sa.CheckConstraint("id > 0", name="visit_positive", postgresql_not_valid=True)
    table().append_constraint(constraint)
    details = describe(sa.schema.AddConstraint(constraint), DIALECT).details
    assert isinstance(details, ConstraintDetails)
    assert details.expression == "id > 0"
    assert details.definition == "CHECK (id > 0) NOT VALID"
    assert details.not_valid


@pytest.mark.skipif(SQLALCHEMY < (2, 0, 41), reason="this version has no postgresql_include")
def test_include_is_a_clause_of_the_index() -> None:
    """An index that is built first needs the same INCLUDE."""
    column = sa.Column("Name", sa.Text)
    constraint = sa.UniqueConstraint("id", name="u", postgresql_include=["Name"])
    table("visit", column, constraint)
    details = describe(sa.schema.AddConstraint(constraint), DIALECT).details
    assert isinstance(details, ConstraintDetails)
    assert details.index == ' INCLUDE ("Name")'


@pytest.mark.parametrize(
    ("column", "details"),
    [
        (sa.Column("n", sa.String(20)), ColumnDetails(name="n", type="VARCHAR(20)")),
        (
            sa.Column("N", sa.Integer, nullable=False, server_default="7"),
            ColumnDetails(name="N", type="INTEGER", default="'7'", not_null=True),
        ),
        (
            sa.Column("n", sa.Integer, sa.Computed("id * 2")),
            ColumnDetails(name="n", type="INTEGER", special="GENERATED"),
        ),
        (
            sa.Column("n", sa.Integer, sa.Identity(start=5), nullable=False),
            ColumnDetails(
                name="n",
                type="INTEGER",
                not_null=True,
                special="IDENTITY",
                identity="GENERATED BY DEFAULT AS IDENTITY (START WITH 5)",
            ),
        ),
    ],
)
def test_details_of_added_column(column: sa.Column[Any], details: ColumnDetails) -> None:
    """A column's type, default and identity are SQL; PostgreSQL's own values are named."""
    table("visit").append_column(column)
    assert describe(add_column(column), DIALECT).details == details


def test_serial_column_is_recognized() -> None:
    """SQLAlchemy makes the first integer column of a primary key a serial."""
    column = sa.Column("n", sa.BigInteger, primary_key=True, autoincrement=True)
    sa.Table("visit", sa.MetaData(), column)
    details = describe(add_column(column), DIALECT).details
    assert isinstance(details, ColumnDetails)
    assert details.special == "SERIAL"


def test_foreign_key_that_is_written_with_the_column() -> None:
    """The planner adds it after the column, without validating it."""
    column = sa.Column("place_id", sa.Integer, sa.ForeignKey("app.place.id"))
    visit = table("visit", column)
    sa.Table("place", visit.metadata, sa.Column("id", sa.Integer), schema="app")
    construct = add_column(column)
    construct.inline_references = True  # since Alembic 1.17
    operation = describe(construct, DIALECT)
    assert operation.others == ("app.place",)
    assert isinstance(operation.details, ColumnDetails)
    assert operation.details.special == "REFERENCES"
    assert operation.details.key == ConstraintDetails(
        name=None,
        definition="FOREIGN KEY(place_id) REFERENCES app.place (id)",
        columns=("place_id",),
        refers="app.place",
        refers_columns=("id",),
    )


def test_check_of_added_column_is_a_constraint_of_its_own() -> None:
    """The planner adds it after the column, without validating it."""
    column = sa.Column("n", sa.Integer, sa.CheckConstraint("n > 0", name="n_positive"))
    table("visit").append_column(column)
    details = describe(add_column(column), DIALECT).details
    assert isinstance(details, ColumnDetails)
    (check,) = details.checks
    assert check == ConstraintDetails("n_positive", "CHECK (n > 0)", expression="n > 0")


@pytest.mark.parametrize("dialect", [DIALECT, DOUBLING], ids=["plain", "doubling"])
def test_percent_signs_are_single_for_every_driver(dialect: Dialect) -> None:
    """The server gets them so; in the compiled text a driver may need each of them twice."""
    visit = table("100%", schema="a%b")
    constraint = sa.CheckConstraint(sa.text("name LIKE 'a%'"), name="ck%")
    visit.append_constraint(constraint)
    operation = describe(sa.schema.AddConstraint(constraint), dialect)
    assert operation.relation == '"a%b"."100%"'
    assert operation.sql == (
        'ALTER TABLE "a%b"."100%" ADD CONSTRAINT "ck%" CHECK (name LIKE \'a%\')'
    )
    assert operation.details == ConstraintDetails(
        "ck%", "CHECK (name LIKE 'a%')", expression="name LIKE 'a%'"
    )
    index = sa.schema.CreateIndex(sa.Index("i%", visit.c.id))
    assert describe(index, dialect).details == IndexDetails("i%", '"a%b"."i%"')


@pytest.mark.parametrize("dialect", [DIALECT, DOUBLING], ids=["plain", "doubling"])
def test_percent_signs_of_backfill_are_single_for_every_driver(dialect: Dialect) -> None:
    """The SET clause is the project's own SQL."""
    operation = describe(Backfill("visit", None, "n = n % 7", ""), dialect)
    assert operation.sql == "UPDATE visit SET n = n % 7"


def test_plain_text_leaves_doubled_signs_of_other_drivers() -> None:
    """Two percent signs of the project stay two."""
    assert plain_text("SELECT '%%'", DIALECT) == "SELECT '%%'"
    assert plain_text("SELECT '%%'", DOUBLING) == "SELECT '%'"
