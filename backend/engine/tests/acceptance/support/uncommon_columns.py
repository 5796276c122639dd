"""Added and changed columns of the uncommon tables: many types, inherited and partitioned."""

# ruff: noqa: D103 - a case is known by its name

from __future__ import annotations

import sys

import sqlalchemy as sa
from acceptance.support.cases import cases_of
from alembic import op
from sqlalchemy.dialects import postgresql

# Added columns


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


CASES = cases_of(sys.modules[__name__])
