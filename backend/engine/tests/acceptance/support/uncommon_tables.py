"""Tables that are partitioned, inherited or in another schema; constraints and indexes on them."""

# ruff: noqa: D103 - a case is known by its name

from __future__ import annotations

import sys

import sqlalchemy as sa
from acceptance.support import uncommon_columns
from acceptance.support.cases import cases_of
from alembic import op
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session, declarative_base

TABLES = """
CREATE TABLE base (id integer PRIMARY KEY, kind text, n integer);
CREATE TABLE derived (extra text) INHERITS (base);
INSERT INTO base SELECT i, 'k' || i, i FROM generate_series(1, 50) AS i;
INSERT INTO derived SELECT i, 'k' || i, i, 'e' FROM generate_series(51, 100) AS i;
CREATE TABLE bare (n integer);
CREATE TABLE heir (extra text) INHERITS (bare);
INSERT INTO heir SELECT i, repeat('x', 1000) FROM generate_series(1, 2000) AS i;
CREATE TABLE city (id integer, zone integer, name text, PRIMARY KEY (id, zone))
    PARTITION BY LIST (zone);
CREATE TABLE city_1 PARTITION OF city FOR VALUES IN (1);
CREATE TABLE city_2 PARTITION OF city FOR VALUES IN (2);
INSERT INTO city SELECT i, 1 + i % 2, 'c' || i FROM generate_series(1, 40) AS i;
CREATE TABLE stop (city integer, zone integer, n integer, city2 integer);
INSERT INTO stop SELECT 1 + i % 40, 1 + (1 + i % 40) % 2, i FROM generate_series(1, 100) AS i;
CREATE TABLE kept (
    city integer,
    zone integer,
    CONSTRAINT there FOREIGN KEY (city, zone) REFERENCES city (id, zone)
);
CREATE SCHEMA other;
CREATE TABLE other.thing (id integer PRIMARY KEY, label text, "Odd col" integer DEFAULT 3);
INSERT INTO other.thing SELECT i, 'l' || i FROM generate_series(1, 30) AS i;
CREATE TABLE wide (
    id serial PRIMARY KEY, j json, b jsonb, a integer[], ts timestamp, e mood, r int4range,
    bits bit(8), v varchar(10), c char(5),
    num numeric(10, 2), f real, ip inet, d date, boo boolean, u uuid
);
INSERT INTO wide (j, b, a, ts, e, r, bits, v, c, num, f, ip, d, boo, u)
SELECT '{"a": 1}'::json, '{"a": 1}'::jsonb, '{1, 2}'::integer[], '2020-01-01 10:00'::timestamp,
    'sad'::mood, '[1,2)'::int4range, B'00000001', 'v', 'c', 1.5, 2.5, '10.0.0.1'::inet,
    '2020-02-02'::date, i % 2 = 0, '11111111-1111-1111-1111-111111111111'::uuid
FROM generate_series(1, 20) AS i;
CREATE INDEX ix_wide_t ON wide (ts);
"""


# Constraints


def create_check_on_partitioned_table() -> None:
    op.create_check_constraint("ck", "reading", "value >= 0")


def create_check_on_inherited_table() -> None:
    op.create_check_constraint("ck", "base", "n > 0")


def create_check_no_inherit() -> None:
    op.execute("ALTER TABLE base ADD CONSTRAINT ck CHECK (n > 0) NO INHERIT")


def create_check_in_another_schema() -> None:
    op.create_check_constraint(None, "thing", sa.text('"Odd col" > 0'), schema="other")


def create_foreign_key_on_inherited_table() -> None:
    op.execute("INSERT INTO derived VALUES (101, 'k', 9999, 'e')")
    op.create_foreign_key("there", "base", "Person", ["n"], ["id"])


def create_foreign_key_to_another_schema() -> None:
    op.create_foreign_key(None, "stop", "thing", ["zone"], ["id"], referent_schema="other")


def create_foreign_key_not_valid_in_raw_sql() -> None:
    op.execute(
        'ALTER TABLE stop ADD CONSTRAINT f FOREIGN KEY (n) REFERENCES "Person" (id) NOT VALID'
    )
    op.execute("ALTER TABLE stop VALIDATE CONSTRAINT f")


def create_two_foreign_keys_on_one_column() -> None:
    op.create_foreign_key("f1", "stop", "Person", ["n"], ["id"])
    op.create_foreign_key("f2", "stop", "Person", ["n"], ["id"])


def create_foreign_key_to_unique_index() -> None:
    op.create_index("ux", "wide", ["id", "v"], unique=True)
    op.add_column("stop", sa.Column("v", sa.String(10)))
    op.create_foreign_key("f", "stop", "wide", ["n", "v"], ["id", "v"])


def create_foreign_key_that_a_partition_already_has() -> None:
    op.create_foreign_key("leaf", "reading_2021", "country", ["country"], ["code"])
    op.create_foreign_key("whole", "reading", "country", ["country"], ["code"])


def create_unique_on_inherited_table() -> None:
    op.create_unique_constraint("uq", "base", ["n"])


def create_unique_in_another_schema() -> None:
    op.create_unique_constraint(None, "thing", ["label"], schema="other")


def create_unique_that_partitions_already_have() -> None:
    op.create_index("ix_1", "reading_2020", ["at", "sensor", "country"], unique=True)
    op.create_unique_constraint("uq_1", "reading_2021", ["at", "sensor", "country"])
    op.create_unique_constraint("uq_2", "reading_2022_ax", ["at", "sensor", "country"])
    op.create_unique_constraint("uq", "reading", ["at", "sensor", "country"])


def create_primary_key_again() -> None:
    op.drop_constraint("wide_pkey", "wide")
    op.create_primary_key("wide_pkey", "wide", ["id"])


def create_composite_primary_key() -> None:
    op.create_primary_key(None, "stop", ["n", "zone"])


def create_primary_key_on_nullable_column() -> None:
    op.create_primary_key("pk_v", "stop", ["n"])


def create_constraints_with_long_names() -> None:
    op.create_check_constraint(None, "stop", "n > 0")
    op.create_index("ix_" + "x" * 60, "stop", ["n"])
    op.create_unique_constraint("uq_" + "y" * 60, "wide", ["id", "v"])


def drop_foreign_keys() -> None:
    op.drop_constraint("visit_person_id_fkey", "visit")
    op.drop_constraint("entry_account_fkey", "entry", type_="foreignkey")


def drop_constraint_if_exists() -> None:
    op.drop_constraint("nowhere", "visit", if_exists=True)
    op.drop_constraint("visit_person_id_fkey", "visit", type_="foreignkey", if_exists=True)


# Indexes


def create_index_on_partition() -> None:
    op.create_index("ix", "reading_2021", ["value"])


def create_index_that_partitions_already_have() -> None:
    op.create_index("ix_1", "reading_2021", ["value"])
    op.create_index("ix_2", "reading_2021", ["value"])
    op.create_index("ix_3", "reading_2020", ["value"], postgresql_where=sa.text("value > 3"))
    op.create_index("ix_4", "reading_2022_ax", [sa.text("value DESC")])
    op.create_index("ix", "reading", ["value"])


def create_index_that_a_subpartitioned_partition_already_has() -> None:
    op.create_index("ix_1", "reading_2022", [sa.text("lower(country)")])
    op.create_index("ix", "reading", [sa.text("lower(country)")])


def drop_index_of_partitioned_table() -> None:
    op.create_index("ix", "reading", ["value"])
    op.drop_index("ix", "reading")


def create_index_in_another_schema() -> None:
    op.create_index("ix", "thing", ["label"], schema="other")


def drop_index_in_another_schema() -> None:
    op.create_index("ix", "thing", ["label"], schema="other")
    op.drop_index("ix", "thing", schema="other")


def create_gin_index() -> None:
    op.create_index(
        "ix", "wide", ["b"], postgresql_using="gin", postgresql_ops={"b": "jsonb_path_ops"}
    )


def create_brin_index() -> None:
    op.create_index(
        "ix", "wide", ["ts"], postgresql_using="brin", postgresql_with={"pages_per_range": 8}
    )


def create_hash_index() -> None:
    op.create_index("ix", "wide", ["v"], postgresql_using="hash")


def create_descending_index() -> None:
    op.create_index("ix", "wide", [sa.text("ts DESC NULLS LAST"), "v"], unique=False)


def create_existing_index_if_not_exists() -> None:
    op.create_index("ix_wide_t", "wide", ["ts"], if_not_exists=True)


def create_index_twice_if_not_exists() -> None:
    op.create_index("ix", "wide", ["v"], if_not_exists=True)
    op.create_index("ix", "wide", ["v"], if_not_exists=True)


def drop_index_if_exists() -> None:
    op.drop_index("ix_nowhere", "wide", if_exists=True)
    op.drop_index("ix_wide_t", "wide", if_exists=True)


def create_drop_and_create_index() -> None:
    op.create_index("ix", "wide", ["v"])
    op.drop_index("ix", "wide")
    op.create_index("ix", "wide", ["v"])


def create_index_with_storage_options() -> None:
    op.create_index(
        "ix",
        "wide",
        ["v"],
        postgresql_with={"fillfactor": 70},
        postgresql_tablespace="pg_default",
        postgresql_include=["c"],
    )
    op.create_index(
        "ix2",
        "wide",
        ["v"],
        postgresql_ops={"v": "varchar_pattern_ops"},
        postgresql_where=sa.text("v IS NOT NULL"),
    )


# Tables


def rename_partitioned_table() -> None:
    op.rename_table("reading", "measure")


def drop_partitioned_table() -> None:
    op.drop_table("reading")


def drop_partition() -> None:
    op.drop_table("reading_2020")


def drop_table_if_exists() -> None:
    op.drop_table("nowhere", if_exists=True)
    op.drop_table("stop", if_exists=True)


def create_table_if_not_exists() -> None:
    op.create_table("stop", sa.Column("id", sa.Integer, primary_key=True), if_not_exists=True)
    home = sa.Column("c", sa.String(2), sa.ForeignKey("country.code"), index=True)
    op.create_table(
        "novel", sa.Column("id", sa.Integer, primary_key=True), home, if_not_exists=True
    )


def create_table_with_generated_column() -> None:
    op.create_table(
        "novel",
        sa.Column("a", sa.Integer),
        sa.Column("b", sa.Integer, sa.Computed("a * 2", persisted=True)),
    )
    op.create_index("ix", "novel", ["b"])
    op.bulk_insert(sa.table("novel", sa.column("a")), [{"a": 1}, {"a": 2}])


def create_table_with_exclusion_constraint() -> None:
    op.create_table(
        "booking",
        sa.Column("r", postgresql.INT4RANGE),
        postgresql.ExcludeConstraint(("r", "&&"), name="ex"),
    )
    op.create_exclude_constraint("ex2", "booking", ("r", "-|-"))


def attach_partition() -> None:
    op.execute("CREATE TABLE city_3 (LIKE city INCLUDING ALL)")
    op.execute("ALTER TABLE city_3 ADD CONSTRAINT z CHECK (zone = 3)")
    op.execute("ALTER TABLE city ATTACH PARTITION city_3 FOR VALUES IN (3)")
    op.drop_constraint("z", "city_3")
    op.create_index("ix", "city", ["name"])


def create_and_detach_partition() -> None:
    op.execute("CREATE TABLE city_4 PARTITION OF city FOR VALUES IN (4)")
    op.execute("ALTER TABLE city DETACH PARTITION city_1")
    op.create_unique_constraint("uq", "city_1", ["name"])


def replace_table_by_renaming() -> None:
    op.create_table(
        "wide_new", sa.Column("id", sa.Integer, primary_key=True), sa.Column("v", sa.String(10))
    )
    op.execute("INSERT INTO wide_new SELECT id, v FROM wide")
    op.rename_table("wide", "wide_old")
    op.rename_table("wide_new", "wide")
    op.drop_table("wide_old")
    op.create_index("ix", "wide", ["v"])


# Raw SQL and the connection


def drop_column_of_a_dropped_view() -> None:
    op.execute("CREATE VIEW vv AS SELECT v FROM wide")
    op.add_column("wide", sa.Column("z", sa.Integer))
    op.execute("DROP VIEW vv")
    op.drop_column("wide", "v")


def rename_objects_in_raw_sql() -> None:
    op.execute("ALTER TABLE visit RENAME CONSTRAINT visit_person_id_fkey TO other_fkey")
    op.execute("ALTER INDEX ix_wide_t RENAME TO ix_other")
    op.execute("ALTER TABLE stop SET SCHEMA other")
    op.create_index("ix", "stop", ["n"], schema="other")


def add_and_rename_enum_values() -> None:
    with op.get_context().autocommit_block():
        op.execute("ALTER TYPE mood ADD VALUE IF NOT EXISTS 'glad'")
    op.execute("ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'")
    op.add_column(
        "wide",
        sa.Column(
            "e2",
            sa.dialects.postgresql.ENUM(name="mood", create_type=False),
            server_default="glad",
            nullable=False,
        ),
    )


def create_trigger_and_function() -> None:
    body = "BEGIN NEW.v := 'touched'; RETURN NEW; END"
    op.execute(f"CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$")
    op.execute("CREATE TRIGGER touched BEFORE INSERT ON wide FOR EACH ROW EXECUTE FUNCTION touch()")
    op.execute("INSERT INTO wide (c) VALUES ('x')")
    op.create_index("ix", "wide", ["v"])


def create_and_refresh_materialized_view() -> None:
    op.execute("CREATE MATERIALIZED VIEW mv AS SELECT id, v FROM wide")
    op.create_index("ux_mv", "mv", ["id"], unique=True)
    op.execute("REFRESH MATERIALIZED VIEW mv")


def change_rows_on_the_connection() -> None:
    bind = op.get_bind()
    keys = bind.execute(sa.text("SELECT id FROM wide WHERE id < 5 ORDER BY id")).scalars().all()
    for key in keys:
        bind.execute(sa.text("UPDATE wide SET v = :v WHERE id = :i"), {"v": f"v{key}", "i": key})
    op.alter_column("wide", "v", nullable=False)
    result = bind.execute(sa.text("DELETE FROM wide WHERE id > 15 RETURNING id")).all()
    assert len(result) == 5


def change_rows_in_an_orm_session() -> None:
    base = declarative_base()

    class Wide(base):
        __tablename__ = "wide"
        id = sa.Column(sa.Integer, primary_key=True)
        v = sa.Column(sa.String)

    session = Session(bind=op.get_bind())
    for row in session.query(Wide).filter(Wide.id < 4):
        row.v = row.v.upper()
    session.commit()
    op.create_index("ix", "wide", ["v"])
    session.add(Wide(id=500, v="q"))
    session.flush()
    op.alter_column("wide", "v", nullable=False)


def decide_with_the_inspector() -> None:
    inspector = sa.inspect(op.get_bind())
    if "nope" not in [column["name"] for column in inspector.get_columns("wide")]:
        op.add_column("wide", sa.Column("nope", sa.Integer))
    indexes = sa.inspect(op.get_bind()).get_indexes("wide")
    if not any(index["name"] == "ix_w" for index in indexes):
        op.create_index("ix_w", "wide", ["nope"])


CASES = uncommon_columns.CASES | cases_of(sys.modules[__name__])
