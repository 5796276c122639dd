"""Operations on partitioned and inherited tables, in other schemas and of many column types."""

# ruff: noqa: D103 - a case is known by its name

from __future__ import annotations

import sys

import sqlalchemy as sa
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


# Add_column


def add_column_with_foreign_key_to_its_own_table() -> None:
    op.add_column("base", sa.Column("up", sa.Integer, sa.ForeignKey("base.id")))


def add_column_to_partitioned_table() -> None:
    op.add_column("reading", sa.Column("x", sa.Integer, server_default="1", nullable=False))


def add_column_with_volatile_default_to_partitioned_table() -> None:
    op.add_column(
        "reading",
        sa.Column("token", sa.Uuid, server_default=sa.text("gen_random_uuid()"), nullable=False),
    )


def add_column_with_foreign_key_to_partitioned_table() -> None:
    op.add_column("reading", sa.Column("home", sa.String(2), sa.ForeignKey("country.code")))


def add_column_with_check_to_partitioned_table() -> None:
    op.add_column(
        "reading", sa.Column("x", sa.Integer, sa.CheckConstraint("x > 0"), server_default="5")
    )


def add_indexed_column_to_partitioned_table() -> None:
    op.add_column("reading", sa.Column("x", sa.Integer, index=True))


def add_column_with_volatile_default_to_inherited_table() -> None:
    op.add_column(
        "base",
        sa.Column("token", sa.Uuid, server_default=sa.text("gen_random_uuid()"), nullable=False),
    )


def add_column_to_inherited_table_without_primary_key() -> None:
    op.add_column(
        "heir",
        sa.Column("token", sa.Uuid, server_default=sa.text("gen_random_uuid()"), nullable=False),
    )
    op.add_column("bare", sa.Column("drawn", sa.Uuid, server_default=sa.text("gen_random_uuid()")))


def add_column_with_check_to_inherited_table() -> None:
    op.add_column("base", sa.Column("x", sa.Integer, sa.CheckConstraint("x > 0")))


def add_identity_column_to_table_without_primary_key() -> None:
    op.add_column("stop", sa.Column("draw", sa.BigInteger, sa.Identity(always=True)))


def add_column_in_another_schema() -> None:
    op.add_column(
        "thing",
        sa.Column("token", sa.Uuid, server_default=sa.text("gen_random_uuid()"), unique=True),
        schema="other",
    )


def add_column_if_not_exists() -> None:
    op.add_column("wide", sa.Column("v", sa.Text), if_not_exists=True)


def add_unique_and_indexed_columns() -> None:
    op.add_column("wide", sa.Column("code", sa.String(5), unique=True))
    op.add_column(
        "wide",
        sa.Column(
            "code2",
            sa.String(5),
            sa.ForeignKey("country.code", ondelete="CASCADE"),
            nullable=True,
            index=True,
            unique=True,
        ),
    )


def add_columns_with_constant_defaults() -> None:
    op.add_column("wide", sa.Column("flag", sa.Boolean, server_default=sa.false(), nullable=False))
    op.add_column(
        "wide",
        sa.Column("meta", postgresql.JSONB, server_default=sa.text("'{}'::jsonb"), nullable=False),
    )


def add_column_with_random_default() -> None:
    op.add_column(
        "wide",
        sa.Column(
            "draw",
            sa.Float,
            server_default=sa.text("extract(epoch from clock_timestamp()) + random()"),
            nullable=False,
            comment="x",
        ),
    )


def add_columns_with_array_and_date_defaults() -> None:
    op.add_column(
        "wide",
        sa.Column(
            "tags",
            postgresql.ARRAY(sa.Text),
            server_default=sa.text("ARRAY[]::text[]"),
            nullable=False,
        ),
    )
    op.add_column(
        "wide", sa.Column("on", sa.Date, server_default=sa.text("'2020-01-01'::date"), index=True)
    )


def add_column_filled_by_sequence() -> None:
    op.execute(sa.schema.CreateSequence(sa.Sequence("numbers", start=7)))
    op.add_column(
        "stop",
        sa.Column(
            "number", sa.Integer, server_default=sa.text("nextval('numbers')"), nullable=False
        ),
    )
    op.execute("ALTER SEQUENCE numbers OWNED BY stop.number")


def add_column_to_unlogged_table() -> None:
    op.execute(
        "CREATE UNLOGGED TABLE fast AS SELECT i AS a, i AS b FROM generate_series(1, 3000) AS i"
    )
    op.create_index("ix", "fast", ["a"])
    op.add_column(
        "fast", sa.Column("odd", sa.Integer, server_default=sa.text("mod(pg_backend_pid(), 1)"))
    )


def add_column_of_enum_created_on_the_connection() -> None:
    k = sa.Enum("x", "y", name="kk")
    k.create(op.get_bind())
    op.add_column(
        "wide",
        sa.Column(
            "k",
            postgresql.ENUM("x", "y", name="kk", create_type=False),
            server_default="x",
            nullable=False,
        ),
    )
    op.create_index("ixk", "wide", ["k"])


def add_column_and_swap_it_with_another_by_renaming() -> None:
    op.add_column("wide", sa.Column("w", sa.Text))
    op.execute("UPDATE wide SET w = v")
    op.alter_column("wide", "w", nullable=False)
    op.drop_column("wide", "v")
    op.alter_column("wide", "w", new_column_name="v")
    op.create_unique_constraint("uq", "wide", ["id", "v"])


# Column changes


def set_not_null_on_partitioned_table() -> None:
    op.alter_column("reading", "country", nullable=False)


def set_not_null_on_partition() -> None:
    op.alter_column("reading_2020", "country", nullable=False)


def set_not_null_on_inherited_table() -> None:
    op.alter_column("base", "kind", nullable=False)


def set_not_null_in_another_schema() -> None:
    op.alter_column("thing", "label", nullable=False, schema="other")


def set_not_null_on_several_columns() -> None:
    op.alter_column("wide", "v", nullable=False)
    op.alter_column("wide", "c", nullable=False)
    op.alter_column("wide", "v", nullable=True)


def set_default_and_not_null() -> None:
    op.alter_column("wide", "v", server_default="x")
    op.alter_column("wide", "v", server_default=None)
    op.alter_column("wide", "d", server_default=sa.text("CURRENT_DATE"), nullable=False)


def rename_column_of_partitioned_table() -> None:
    op.alter_column("reading", "value", new_column_name="amount")


def drop_column_of_partitioned_table() -> None:
    op.drop_column("reading", "value")


def drop_column_of_inherited_table() -> None:
    op.drop_column("base", "n")


def drop_column_if_exists() -> None:
    op.drop_column("wide", "nowhere", if_exists=True)
    op.drop_column("wide", "v", if_exists=True)


def make_existing_column_an_identity() -> None:
    op.execute("ALTER TABLE wide ALTER id DROP DEFAULT")
    op.execute("ALTER TABLE wide ALTER id ADD GENERATED BY DEFAULT AS IDENTITY (START 100)")


def change_identity_with_alter_column() -> None:
    op.execute("ALTER TABLE wide ALTER id DROP DEFAULT")
    first, then = (
        sa.Identity(start=100, increment=5),
        sa.Identity(always=True, start=200, increment=3),
    )
    op.alter_column("wide", "id", server_default=first)
    op.alter_column("wide", "id", server_default=then, existing_server_default=first)
    op.alter_column("wide", "id", server_default=None, existing_server_default=then)


def alter_table_in_batch_mode() -> None:
    with op.batch_alter_table("wide", schema=None) as b:
        b.alter_column("v", type_=sa.String(20), nullable=False, server_default="q")
        b.create_unique_constraint("uqw", ["id", "v"])
        b.create_check_constraint("ckw", "id > 0")
        b.create_foreign_key("fkw", "Person", ["id"], ["id"])
        b.drop_index("ix_wide_t")
        b.drop_column("f")


def change_several_tables_in_a_loop() -> None:
    for table in ("wide", "stop", "base"):
        op.add_column(
            table, sa.Column("made", sa.DateTime(timezone=True), server_default="2020-01-01")
        )
        op.create_index(f"ix_{table}_made", table, ["made"])


def set_table_comments() -> None:
    op.create_table_comment("wide", "it's wide")
    op.drop_table_comment("wide", existing_comment="it's wide")
    op.create_table_comment("stop", "100% :a stop")


# Column types


def alter_type_without_rewrite_on_partitioned_table() -> None:
    op.alter_column("city", "name", type_=sa.String())


def alter_type_without_rewrite_on_inherited_table() -> None:
    op.alter_column("base", "kind", type_=sa.String(), existing_type=sa.Text())


def alter_type_in_another_schema() -> None:
    op.alter_column("thing", "Odd col", type_=sa.BigInteger(), schema="other")


def alter_type_from_json_to_jsonb() -> None:
    op.alter_column("wide", "j", type_=postgresql.JSONB(), postgresql_using="j::jsonb")


def alter_type_from_timestamp_to_timestamptz() -> None:
    op.alter_column("wide", "ts", type_=sa.DateTime(timezone=True))


def alter_type_from_enum_to_text() -> None:
    op.alter_column("wide", "e", type_=sa.Text())


def alter_type_from_integer_array_to_bigint_array() -> None:
    op.alter_column("wide", "a", type_=sa.ARRAY(sa.BigInteger), postgresql_using="a::bigint[]")


def alter_type_to_wider_numeric() -> None:
    op.alter_column("wide", "num", type_=sa.Numeric(12, 2))


def alter_type_to_numeric_of_another_scale() -> None:
    op.alter_column("wide", "num", type_=sa.Numeric(12, 4))


def alter_type_from_real_to_double_precision() -> None:
    op.alter_column("wide", "f", type_=sa.Double())


def alter_type_from_char_to_varchar() -> None:
    op.alter_column("wide", "c", type_=sa.String(20))


def alter_type_from_boolean_to_integer() -> None:
    op.alter_column("wide", "boo", type_=sa.Integer(), postgresql_using="boo::integer")


def alter_type_of_serial_primary_key() -> None:
    op.alter_column("wide", "id", type_=sa.BigInteger())


def alter_type_from_uuid_to_varchar() -> None:
    op.alter_column("wide", "u", type_=sa.String(40), postgresql_using="u::text")


def alter_type_from_date_to_timestamp() -> None:
    op.alter_column("wide", "d", type_=sa.DateTime())


def alter_type_default_nullability_and_comment() -> None:
    op.alter_column(
        "wide",
        "num",
        type_=sa.Integer(),
        server_default="4",
        nullable=False,
        comment="c",
        existing_type=sa.Numeric(10, 2),
    )


def alter_type_and_name() -> None:
    op.alter_column("wide", "f", type_=sa.Double(), new_column_name="ff")


def alter_collation() -> None:
    op.alter_column("wide", "v", type_=sa.String(10, collation="C"))


def alter_collation_of_indexed_column() -> None:
    op.create_index("ix", "wide", ["v"])
    op.alter_column("wide", "v", type_=sa.String(30, collation="C"))


def alter_type_of_column_with_check_and_partial_index() -> None:
    op.create_check_constraint("ck", "stop", "n > 0 AND n < 1000")
    op.create_index("ix", "stop", ["zone"], postgresql_where=sa.text("n > 5"))
    op.create_index("ix2", "stop", [sa.text("(n * 2)")])
    op.alter_column("stop", "n", type_=sa.BigInteger())


def alter_type_of_foreign_key_column() -> None:
    op.create_foreign_key("f", "stop", "Person", ["n"], ["id"])
    op.alter_column("stop", "n", type_=sa.BigInteger())


def alter_type_of_referenced_primary_key() -> None:
    op.create_table(
        "leaf", sa.Column("w", sa.Integer, sa.ForeignKey("wide.id", name="lf", ondelete="SET NULL"))
    )
    op.alter_column("wide", "id", type_=sa.BigInteger())


def alter_type_of_columns_with_statistics_and_storage() -> None:
    op.execute("ALTER TABLE wide CLUSTER ON ix_wide_t")
    op.execute("ALTER TABLE wide ALTER num SET STATISTICS 500")
    op.execute("ALTER TABLE wide ALTER v SET STORAGE EXTERNAL")
    op.alter_column("wide", "num", type_=sa.Numeric(12, 4))
    op.alter_column("wide", "v", type_=sa.Text())


def alter_type_of_replica_identity_column() -> None:
    op.create_index("ux", "stop", ["n"], unique=True)
    op.alter_column("stop", "n", nullable=False)
    op.execute("ALTER TABLE stop REPLICA IDENTITY USING INDEX ux")
    op.alter_column("stop", "n", type_=sa.BigInteger())


def alter_type_of_column_with_comments() -> None:
    op.create_check_constraint("ck", "stop", "n > 0")
    op.execute("COMMENT ON CONSTRAINT ck ON stop IS 'c'")
    op.create_index("ix", "stop", ["n"])
    op.execute("COMMENT ON INDEX ix IS 'i'")
    op.alter_column("stop", "n", comment="col", existing_type=sa.Integer())
    op.alter_column("stop", "n", type_=sa.BigInteger())


def alter_type_of_column_with_grants() -> None:
    op.execute("GRANT SELECT (n), UPDATE (n) ON stop TO PUBLIC")
    op.alter_column("stop", "n", type_=sa.BigInteger())


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


CASES = cases_of(sys.modules[__name__])
