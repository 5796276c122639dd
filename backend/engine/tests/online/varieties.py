"""Operations on tables and columns of less common kinds: in other schemas, inherited, partitioned, and of many types."""

from __future__ import annotations

TABLES = """
CREATE TABLE base (id integer PRIMARY KEY, kind text, n integer);
CREATE TABLE derived (extra text) INHERITS (base);
INSERT INTO base SELECT i, 'k' || i, i FROM generate_series(1, 50) AS i;
INSERT INTO derived SELECT i, 'k' || i, i, 'e' FROM generate_series(51, 100) AS i;
CREATE TABLE bare (n integer);
CREATE TABLE heir (extra text) INHERITS (bare);
INSERT INTO heir SELECT i, repeat('x', 1000) FROM generate_series(1, 2000) AS i;
CREATE TABLE city (id integer, zone integer, name text, PRIMARY KEY (id, zone)) PARTITION BY LIST (zone);
CREATE TABLE city_1 PARTITION OF city FOR VALUES IN (1);
CREATE TABLE city_2 PARTITION OF city FOR VALUES IN (2);
INSERT INTO city SELECT i, 1 + i % 2, 'c' || i FROM generate_series(1, 40) AS i;
CREATE TABLE stop (city integer, zone integer, n integer, city2 integer);
INSERT INTO stop SELECT 1 + i % 40, 1 + (1 + i % 40) % 2, i FROM generate_series(1, 100) AS i;
CREATE TABLE kept (city integer, zone integer, CONSTRAINT there FOREIGN KEY (city, zone) REFERENCES city (id, zone));
CREATE SCHEMA other;
CREATE TABLE other.thing (id integer PRIMARY KEY, label text, "Odd col" integer DEFAULT 3);
INSERT INTO other.thing SELECT i, 'l' || i FROM generate_series(1, 30) AS i;
CREATE TABLE wide (
    id serial PRIMARY KEY, j json, b jsonb, a integer[], ts timestamp, e mood, r int4range, bits bit(8), v varchar(10), c char(5),
    num numeric(10, 2), f real, ip inet, d date, boo boolean, u uuid
);
INSERT INTO wide (j, b, a, ts, e, r, bits, v, c, num, f, ip, d, boo, u)
SELECT '{"a": 1}'::json, '{"a": 1}'::jsonb, '{1, 2}'::integer[], '2020-01-01 10:00'::timestamp, 'sad'::mood, '[1,2)'::int4range,
    B'00000001', 'v', 'c', 1.5, 2.5, '10.0.0.1'::inet, '2020-02-02'::date, i % 2 = 0, '11111111-1111-1111-1111-111111111111'::uuid
FROM generate_series(1, 20) AS i;
CREATE INDEX ix_wide_t ON wide (ts);
"""
VARIETIES = {
    "add column foreign key self": """
op.add_column("base", sa.Column("up", sa.Integer, sa.ForeignKey("base.id")))
""",
    "not null of partitions": """
op.alter_column("reading", "country", nullable=False)
""",
    "not null on a partition": """
op.alter_column("reading_2020", "country", nullable=False)
""",
    "not null inherited": """
op.alter_column("base", "kind", nullable=False)
""",
    "check partitioned": """
op.create_check_constraint("ck", "reading", "value >= 0")
""",
    "check inherited": """
op.create_check_constraint("ck", "base", "n > 0")
""",
    "check no inherit": """
op.execute("ALTER TABLE base ADD CONSTRAINT ck CHECK (n > 0) NO INHERIT")
""",
    "foreign key inherited": """
op.execute("INSERT INTO derived VALUES (101, 'k', 9999, 'e')")
op.create_foreign_key("there", "base", "Person", ["n"], ["id"])
""",
    "unique inherited": """
op.create_unique_constraint("uq", "base", ["n"])
""",
    "index on a partition": """
op.create_index("ix", "reading_2021", ["value"])
""",
    "index that partitions have already": """
op.create_index("ix_1", "reading_2021", ["value"])
op.create_index("ix_2", "reading_2021", ["value"])
op.create_index("ix_3", "reading_2020", ["value"], postgresql_where=sa.text("value > 3"))
op.create_index("ix_4", "reading_2022_ax", [sa.text("value DESC")])
op.create_index("ix", "reading", ["value"])
""",
    "index that a partition of partitions has already": """
op.create_index("ix_1", "reading_2022", [sa.text("lower(country)")])
op.create_index("ix", "reading", [sa.text("lower(country)")])
""",
    "constraint that partitions have already": """
op.create_index("ix_1", "reading_2020", ["at", "sensor", "country"], unique=True)
op.create_unique_constraint("uq_1", "reading_2021", ["at", "sensor", "country"])
op.create_unique_constraint("uq_2", "reading_2022_ax", ["at", "sensor", "country"])
op.create_unique_constraint("uq", "reading", ["at", "sensor", "country"])
""",
    "key that a partition has already": """
op.create_foreign_key("leaf", "reading_2021", "country", ["country"], ["code"])
op.create_foreign_key("whole", "reading", "country", ["country"], ["code"])
""",
    "drop index of partitioned": """
op.create_index("ix", "reading", ["value"])
op.drop_index("ix", "reading")
""",
    "add column partitioned": """
op.add_column("reading", sa.Column("x", sa.Integer, server_default="1", nullable=False))
""",
    "add column partitioned volatile nn": """
op.add_column("reading", sa.Column("token", sa.Uuid, server_default=sa.text("gen_random_uuid()"), nullable=False))
""",
    "add column partitioned foreign key": """
op.add_column("reading", sa.Column("home", sa.String(2), sa.ForeignKey("country.code")))
""",
    "add column partitioned check": """
op.add_column("reading", sa.Column("x", sa.Integer, sa.CheckConstraint("x > 0"), server_default="5"))
""",
    "add column partitioned index": """
op.add_column("reading", sa.Column("x", sa.Integer, index=True))
""",
    "add column inherited volatile": """
op.add_column("base", sa.Column("token", sa.Uuid, server_default=sa.text("gen_random_uuid()"), nullable=False))
""",
    "add column inherited without a key": """
op.add_column("heir", sa.Column("token", sa.Uuid, server_default=sa.text("gen_random_uuid()"), nullable=False))
op.add_column("bare", sa.Column("drawn", sa.Uuid, server_default=sa.text("gen_random_uuid()")))
""",
    "add column inherited check": """
op.add_column("base", sa.Column("x", sa.Integer, sa.CheckConstraint("x > 0")))
""",
    "add identity partitioned": """
op.add_column("stop", sa.Column("draw", sa.BigInteger, sa.Identity(always=True)))
""",
    "alter type brief partitioned": """
op.alter_column("city", "name", type_=sa.String())
""",
    "alter type inherited brief": """
op.alter_column("base", "kind", type_=sa.String(), existing_type=sa.Text())
""",
    "drop column partitioned": """
op.drop_column("reading", "value")
""",
    "drop column inherited": """
op.drop_column("base", "n")
""",
    "rename partitioned": """
op.rename_table("reading", "measure")
""",
    "rename column partitioned": """
op.alter_column("reading", "value", new_column_name="amount")
""",
    "drop table partitioned": """
op.drop_table("reading")
""",
    "drop a partition": """
op.drop_table("reading_2020")
""",
    "schema index": """
op.create_index("ix", "thing", ["label"], schema="other")
""",
    "schema unique": """
op.create_unique_constraint(None, "thing", ["label"], schema="other")
""",
    "schema check": """
op.create_check_constraint(None, "thing", sa.text('"Odd col" > 0'), schema="other")
""",
    "schema foreign key": """
op.create_foreign_key(None, "stop", "thing", ["zone"], ["id"], referent_schema="other")
""",
    "schema type by a twin": """
op.alter_column("thing", "Odd col", type_=sa.BigInteger(), schema="other")
""",
    "schema not null": """
op.alter_column("thing", "label", nullable=False, schema="other")
""",
    "schema add column": """
op.add_column(
    "thing", sa.Column("token", sa.Uuid, server_default=sa.text("gen_random_uuid()"), unique=True), schema="other"
)
""",
    "schema drop index": """
op.create_index("ix", "thing", ["label"], schema="other")
op.drop_index("ix", "thing", schema="other")
""",
    "json to jsonb": """
from sqlalchemy.dialects import postgresql
op.alter_column("wide", "j", type_=postgresql.JSONB(), postgresql_using="j::jsonb")
""",
    "timestamp to timestamptz": """
op.alter_column("wide", "ts", type_=sa.DateTime(timezone=True))
""",
    "enum to text": """
op.alter_column("wide", "e", type_=sa.Text())
""",
    "int array to bigint array": """
op.alter_column("wide", "a", type_=sa.ARRAY(sa.BigInteger), postgresql_using="a::bigint[]")
""",
    "numeric widen": """
op.alter_column("wide", "num", type_=sa.Numeric(12, 2))
""",
    "numeric scale": """
op.alter_column("wide", "num", type_=sa.Numeric(12, 4))
""",
    "real to double": """
op.alter_column("wide", "f", type_=sa.Double())
""",
    "char to varchar": """
op.alter_column("wide", "c", type_=sa.String(20))
""",
    "bool to int using": """
op.alter_column("wide", "boo", type_=sa.Integer(), postgresql_using="boo::integer")
""",
    "serial primary key to bigint": """
op.alter_column("wide", "id", type_=sa.BigInteger())
""",
    "uuid to text": """
op.alter_column("wide", "u", type_=sa.String(40), postgresql_using="u::text")
""",
    "date to timestamp": """
op.alter_column("wide", "d", type_=sa.DateTime())
""",
    "type, default and not null at once": """
op.alter_column(
    "wide", "num", type_=sa.Integer(), server_default="4", nullable=False, comment="c", existing_type=sa.Numeric(10, 2)
)
""",
    "type and rename": """
op.alter_column("wide", "f", type_=sa.Double(), new_column_name="ff")
""",
    "gin index": """
op.create_index("ix", "wide", ["b"], postgresql_using="gin", postgresql_ops={"b": "jsonb_path_ops"})
""",
    "brin index": """
op.create_index("ix", "wide", ["ts"], postgresql_using="brin", postgresql_with={"pages_per_range": 8})
""",
    "hash index": """
op.create_index("ix", "wide", ["v"], postgresql_using="hash")
""",
    "desc index": """
op.create_index("ix", "wide", [sa.text("ts DESC NULLS LAST"), "v"], unique=False)
""",
    "index if not exists": """
op.create_index("ix_wide_t", "wide", ["ts"], if_not_exists=True)
""",
    "index twice if not exists": """
op.create_index("ix", "wide", ["v"], if_not_exists=True)
op.create_index("ix", "wide", ["v"], if_not_exists=True)
""",
    "drop index if exists": """
op.drop_index("ix_nowhere", "wide", if_exists=True)
op.drop_index("ix_wide_t", "wide", if_exists=True)
""",
    "add column if not exists": """
op.add_column("wide", sa.Column("v", sa.Text), if_not_exists=True)
""",
    "create drop index create": """
op.create_index("ix", "wide", ["v"])
op.drop_index("ix", "wide")
op.create_index("ix", "wide", ["v"])
""",
    "primary key using": """
op.drop_constraint("wide_pkey", "wide")
op.create_primary_key("wide_pkey", "wide", ["id"])
""",
    "primary key composite nn": """
op.create_primary_key(None, "stop", ["n", "zone"])
""",
    "primary key on nullable": """
op.create_primary_key("pk_v", "stop", ["n"])
""",
    "foreign key not valid, raw": """
op.execute('ALTER TABLE stop ADD CONSTRAINT f FOREIGN KEY (n) REFERENCES "Person" (id) NOT VALID')
op.execute("ALTER TABLE stop VALIDATE CONSTRAINT f")
""",
    "foreign key use_alter two": """
op.create_foreign_key("f1", "stop", "Person", ["n"], ["id"])
op.create_foreign_key("f2", "stop", "Person", ["n"], ["id"])
""",
    "long names": """
op.create_check_constraint(None, "stop", "n > 0")
op.create_index("ix_" + "x" * 60, "stop", ["n"])
op.create_unique_constraint("uq_" + "y" * 60, "wide", ["id", "v"])
""",
    "drop foreign keys": """
op.drop_constraint("visit_person_id_fkey", "visit")
op.drop_constraint("entry_account_fkey", "entry", type_="foreignkey")
""",
    "enum made over the connection": """
from sqlalchemy.dialects import postgresql
k = sa.Enum("x", "y", name="kk")
k.create(op.get_bind())
op.add_column(
    "wide", sa.Column("k", postgresql.ENUM("x", "y", name="kk", create_type=False), server_default="x", nullable=False)
)
op.create_index("ixk", "wide", ["k"])
""",
    "view around": """
op.execute("CREATE VIEW vv AS SELECT v FROM wide")
op.add_column("wide", sa.Column("z", sa.Integer))
op.execute("DROP VIEW vv")
op.drop_column("wide", "v")
""",
    "identity add to existing": """
op.execute("ALTER TABLE wide ALTER id DROP DEFAULT")
op.execute("ALTER TABLE wide ALTER id ADD GENERATED BY DEFAULT AS IDENTITY (START 100)")
""",
    "unique columns with indexes": """
op.add_column("wide", sa.Column("code", sa.String(5), unique=True))
op.add_column(
    "wide",
    sa.Column(
        "code2", sa.String(5), sa.ForeignKey("country.code", ondelete="CASCADE"), nullable=True, index=True, unique=True
    ),
)
""",
    "constant defaults": """
from sqlalchemy.dialects import postgresql
op.add_column("wide", sa.Column("flag", sa.Boolean, server_default=sa.false(), nullable=False))
op.add_column("wide", sa.Column("meta", postgresql.JSONB, server_default=sa.text("'{}'::jsonb"), nullable=False))
""",
    "default of each row": """
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
""",
    "all in a batch": """
with op.batch_alter_table("wide", schema=None) as b:
    b.alter_column("v", type_=sa.String(20), nullable=False, server_default="q")
    b.create_unique_constraint("uqw", ["id", "v"])
    b.create_check_constraint("ckw", "id > 0")
    b.create_foreign_key("fkw", "Person", ["id"], ["id"])
    b.drop_index("ix_wide_t")
    b.drop_column("f")
""",
    "drop column if exists": """
op.drop_column("wide", "nowhere", if_exists=True)
op.drop_column("wide", "v", if_exists=True)
""",
    "drop constraint if exists": """
op.drop_constraint("nowhere", "visit", if_exists=True)
op.drop_constraint("visit_person_id_fkey", "visit", type_="foreignkey", if_exists=True)
""",
    "drop table if exists": """
op.drop_table("nowhere", if_exists=True)
op.drop_table("stop", if_exists=True)
""",
    "create table if not exists": """
op.create_table("stop", sa.Column("id", sa.Integer, primary_key=True), if_not_exists=True)
home = sa.Column("c", sa.String(2), sa.ForeignKey("country.code"), index=True)
op.create_table("novel", sa.Column("id", sa.Integer, primary_key=True), home, if_not_exists=True)
""",
    "table comments": """
op.create_table_comment("wide", "it's wide")
op.drop_table_comment("wide", existing_comment="it's wide")
op.create_table_comment("stop", "100% :a stop")
""",
    "identity by alter_column": """
op.execute("ALTER TABLE wide ALTER id DROP DEFAULT")
first, then = sa.Identity(start=100, increment=5), sa.Identity(always=True, start=200, increment=3)
op.alter_column("wide", "id", server_default=first)
op.alter_column("wide", "id", server_default=then, existing_server_default=first)
op.alter_column("wide", "id", server_default=None, existing_server_default=then)
""",
    "collation": """
op.alter_column("wide", "v", type_=sa.String(10, collation="C"))
""",
    "collation with an index": """
op.create_index("ix", "wide", ["v"])
op.alter_column("wide", "v", type_=sa.String(30, collation="C"))
""",
    "rename by raw statements": """
op.execute("ALTER TABLE visit RENAME CONSTRAINT visit_person_id_fkey TO other_fkey")
op.execute("ALTER INDEX ix_wide_t RENAME TO ix_other")
op.execute("ALTER TABLE stop SET SCHEMA other")
op.create_index("ix", "stop", ["n"], schema="other")
""",
    "enum values": """
with op.get_context().autocommit_block():
    op.execute("ALTER TYPE mood ADD VALUE IF NOT EXISTS 'glad'")
op.execute("ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'")
op.add_column("wide", sa.Column("e2", sa.dialects.postgresql.ENUM(name="mood", create_type=False), server_default="glad", nullable=False))
""",
    "sequences": """
op.execute(sa.schema.CreateSequence(sa.Sequence("numbers", start=7)))
op.add_column("stop", sa.Column("number", sa.Integer, server_default=sa.text("nextval('numbers')"), nullable=False))
op.execute("ALTER SEQUENCE numbers OWNED BY stop.number")
""",
    "array and enum defaults": """
from sqlalchemy.dialects import postgresql
op.add_column("wide", sa.Column("tags", postgresql.ARRAY(sa.Text), server_default=sa.text("ARRAY[]::text[]"), nullable=False))
op.add_column("wide", sa.Column("on", sa.Date, server_default=sa.text("'2020-01-01'::date"), index=True))
""",
    "unlogged": """
op.execute("CREATE UNLOGGED TABLE fast AS SELECT i AS a, i AS b FROM generate_series(1, 3000) AS i")
op.create_index("ix", "fast", ["a"])
op.add_column("fast", sa.Column("odd", sa.Integer, server_default=sa.text("mod(pg_backend_pid(), 1)")))
""",
    "foreign key to a unique index": """
op.create_index("ux", "wide", ["id", "v"], unique=True)
op.add_column("stop", sa.Column("v", sa.String(10)))
op.create_foreign_key("f", "stop", "wide", ["n", "v"], ["id", "v"])
""",
    "index on a tablespace and with options": """
op.create_index("ix", "wide", ["v"], postgresql_with={"fillfactor": 70}, postgresql_tablespace="pg_default", postgresql_include=["c"])
op.create_index("ix2", "wide", ["v"], postgresql_ops={"v": "varchar_pattern_ops"}, postgresql_where=sa.text("v IS NOT NULL"))
""",
    "type of a column with a check and a partial index": """
op.create_check_constraint("ck", "stop", "n > 0 AND n < 1000")
op.create_index("ix", "stop", ["zone"], postgresql_where=sa.text("n > 5"))
op.create_index("ix2", "stop", [sa.text("(n * 2)")])
op.alter_column("stop", "n", type_=sa.BigInteger())
""",
    "type of a foreign key's column": """
op.create_foreign_key("f", "stop", "Person", ["n"], ["id"])
op.alter_column("stop", "n", type_=sa.BigInteger())
""",
    "type of a referenced key": """
op.create_table("leaf", sa.Column("w", sa.Integer, sa.ForeignKey("wide.id", name="lf", ondelete="SET NULL")))
op.alter_column("wide", "id", type_=sa.BigInteger())
""",
    "clustered, replica identity, statistics": """
op.execute("ALTER TABLE wide CLUSTER ON ix_wide_t")
op.execute("ALTER TABLE wide ALTER num SET STATISTICS 500")
op.execute("ALTER TABLE wide ALTER v SET STORAGE EXTERNAL")
op.alter_column("wide", "num", type_=sa.Numeric(12, 4))
op.alter_column("wide", "v", type_=sa.Text())
""",
    "replica identity": """
op.create_index("ux", "stop", ["n"], unique=True)
op.alter_column("stop", "n", nullable=False)
op.execute("ALTER TABLE stop REPLICA IDENTITY USING INDEX ux")
op.alter_column("stop", "n", type_=sa.BigInteger())
""",
    "comments on parts": """
op.create_check_constraint("ck", "stop", "n > 0")
op.execute("COMMENT ON CONSTRAINT ck ON stop IS 'c'")
op.create_index("ix", "stop", ["n"])
op.execute("COMMENT ON INDEX ix IS 'i'")
op.alter_column("stop", "n", comment="col", existing_type=sa.Integer())
op.alter_column("stop", "n", type_=sa.BigInteger())
""",
    "column grants": """
op.execute("GRANT SELECT (n), UPDATE (n) ON stop TO PUBLIC")
op.alter_column("stop", "n", type_=sa.BigInteger())
""",
    "computed": """
op.create_table("novel", sa.Column("a", sa.Integer), sa.Column("b", sa.Integer, sa.Computed("a * 2", persisted=True)))
op.create_index("ix", "novel", ["b"])
op.bulk_insert(sa.table("novel", sa.column("a")), [{"a": 1}, {"a": 2}])
""",
    "not null of several": """
op.alter_column("wide", "v", nullable=False)
op.alter_column("wide", "c", nullable=False)
op.alter_column("wide", "v", nullable=True)
""",
    "default of a nullable and back": """
op.alter_column("wide", "v", server_default="x")
op.alter_column("wide", "v", server_default=None)
op.alter_column("wide", "d", server_default=sa.text("CURRENT_DATE"), nullable=False)
""",
    "several tables at once": """
for table in ("wide", "stop", "base"):
    op.add_column(table, sa.Column("made", sa.DateTime(timezone=True), server_default="2020-01-01"))
    op.create_index(f"ix_{table}_made", table, ["made"])
""",
    "data by the connection": """
bind = op.get_bind()
rows = bind.execute(sa.text("SELECT id FROM wide WHERE id < 5 ORDER BY id")).scalars().all()
for one in rows:
    bind.execute(sa.text("UPDATE wide SET v = :v WHERE id = :i"), {"v": f"v{one}", "i": one})
op.alter_column("wide", "v", nullable=False)
result = bind.execute(sa.text("DELETE FROM wide WHERE id > 15 RETURNING id")).all()
assert len(result) == 5
""",
    "orm session": """
from sqlalchemy.orm import Session, declarative_base
Base = declarative_base()
class Wide(Base):
    __tablename__ = "wide"
    id = sa.Column(sa.Integer, primary_key=True)
    v = sa.Column(sa.String)
session = Session(bind=op.get_bind())
for one in session.query(Wide).filter(Wide.id < 4):
    one.v = one.v.upper()
session.commit()
op.create_index("ix", "wide", ["v"])
session.add(Wide(id=500, v="q"))
session.flush()
op.alter_column("wide", "v", nullable=False)
""",
    "inspector": """
inspector = sa.inspect(op.get_bind())
if "nope" not in [one["name"] for one in inspector.get_columns("wide")]:
    op.add_column("wide", sa.Column("nope", sa.Integer))
if not any(one["name"] == "ix_w" for one in sa.inspect(op.get_bind()).get_indexes("wide")):
    op.create_index("ix_w", "wide", ["nope"])
""",
    "exclusion in a new table": """
from sqlalchemy.dialects import postgresql
op.create_table("booking", sa.Column("r", postgresql.INT4RANGE), postgresql.ExcludeConstraint(("r", "&&"), name="ex"))
op.create_exclude_constraint("ex2", "booking", ("r", "-|-"))
""",
    "trigger and function": """
op.execute('''CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.v := 'touched'; RETURN NEW; END $$''')
op.execute("CREATE TRIGGER touched BEFORE INSERT ON wide FOR EACH ROW EXECUTE FUNCTION touch()")
op.execute("INSERT INTO wide (c) VALUES ('x')")
op.create_index("ix", "wide", ["v"])
""",
    "materialized view": """
op.execute("CREATE MATERIALIZED VIEW mv AS SELECT id, v FROM wide")
op.create_index("ux_mv", "mv", ["id"], unique=True)
op.execute("REFRESH MATERIALIZED VIEW mv")
""",
    "partition attached": """
op.execute("CREATE TABLE city_3 (LIKE city INCLUDING ALL)")
op.execute("ALTER TABLE city_3 ADD CONSTRAINT z CHECK (zone = 3)")
op.execute("ALTER TABLE city ATTACH PARTITION city_3 FOR VALUES IN (3)")
op.drop_constraint("z", "city_3")
op.create_index("ix", "city", ["name"])
""",
    "partition of": """
op.execute("CREATE TABLE city_4 PARTITION OF city FOR VALUES IN (4)")
op.execute("ALTER TABLE city DETACH PARTITION city_1")
op.create_unique_constraint("uq", "city_1", ["name"])
""",
    "swap by renames": """
op.create_table("wide_new", sa.Column("id", sa.Integer, primary_key=True), sa.Column("v", sa.String(10)))
op.execute("INSERT INTO wide_new SELECT id, v FROM wide")
op.rename_table("wide", "wide_old")
op.rename_table("wide_new", "wide")
op.drop_table("wide_old")
op.create_index("ix", "wide", ["v"])
""",
    "column by column": """
op.add_column("wide", sa.Column("w", sa.Text))
op.execute("UPDATE wide SET w = v")
op.alter_column("wide", "w", nullable=False)
op.drop_column("wide", "v")
op.alter_column("wide", "w", new_column_name="v")
op.create_unique_constraint("uq", "wide", ["id", "v"])
""",
}
