"""Each statement's kind, properties and changes, as PostgreSQL's parser reads them."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from liftlock.sql import Action, Change, SchemaObject, Statement, parse

PROPERTIES = {
    "read": lambda statement: statement.is_read,
    "write": lambda statement: statement.may_write,
    "setting": lambda statement: statement.is_session_setting,
    "local": lambda statement: statement.is_local_setting,
    "role": lambda statement: statement.sets_role,
    "ddl": lambda statement: statement.is_ddl,
    "bound": lambda statement: statement.requires_one_transaction,
    "ends": lambda statement: statement.ends_transaction,
    "rolls_back": lambda statement: statement.rolls_back,
    "begins": lambda statement: statement.begins_transaction,
    "rewrites": lambda statement: statement.rewrites_table,
    "truncate": lambda statement: statement.is_truncate,
    "if_not_exists": lambda statement: statement.if_not_exists,
    "concurrent": lambda statement: statement.is_concurrent,
    "using": lambda statement: statement.changes_column_type_with_using,
    "opaque": lambda statement: statement.opaque,
}
SIGNS = {Action.CREATED: "+", Action.CHANGED: "~", Action.REMOVED: "-"}

QUERIES = [
    ("SELECT 1", "SELECT", "read"),
    ("select 1;", "SELECT", "read"),
    ("(SELECT 1)", "SELECT", "read"),
    ("((SELECT 1) UNION (SELECT 2))", "SELECT", "read"),
    ("-- DROP TABLE t\nSELECT 1", "SELECT", "read"),
    ("/* a /* nested */ DROP TABLE t; */ SELECT 1", "SELECT", "read"),
    ("/* a */ -- b\n (SELECT 1)", "SELECT", "read"),
    ("SELECT 'a; DELETE FROM t'", "SELECT", "read"),
    (r"SELECT E'it\'s; DROP TABLE q'", "SELECT", "read"),
    ("SELECT $$; DROP TABLE q$$", "SELECT", "read"),
    ("SELECT $x$ $$; DROP TABLE q $x$", "SELECT", "read"),
    ('SELECT ";" FROM "a.b"', "SELECT", "read"),
    ("VALUES (1), (2)", "SELECT", "read"),
    ("TABLE t", "SELECT", "read"),
    ("SHOW search_path", "SHOW", "read"),
    ("SELECT 1 FOR UPDATE", "SELECT", "read bound"),
    ("SELECT * FROM t FOR NO KEY UPDATE SKIP LOCKED", "SELECT", "read bound"),
    ("SELECT * FROM t FOR  SHARE", "SELECT", "read bound"),
    ("SELECT * FROM t FOR KEY SHARE", "SELECT", "read bound"),
    ("SELECT * FROM (SELECT * FROM t FOR UPDATE) AS u", "SELECT", "read bound"),
    ("SELECT 'FOR UPDATE'", "SELECT", "read"),
    ("SELECT substring(a FOR 2) FROM t", "SELECT", "read"),
    ("SELECT pg_advisory_xact_lock(1)", "SELECT", "read bound"),
    ("SELECT pg_catalog.pg_try_advisory_xact_lock_shared(1)", "SELECT", "read bound"),
    ("SELECT pg_advisory_lock(1)", "SELECT", "read"),
    ("SELECT nextval('s')", "SELECT", "read"),
    ("WITH a AS (SELECT 1) SELECT * FROM a", "SELECT", "read"),
    ("WITH a AS (SELECT 1) SELECT 'INSERT' FROM a", "SELECT", "read"),
    ('WITH a AS (SELECT 1) SELECT "update" FROM a', "SELECT", "read"),
    ("WITH a AS (SELECT 1 FOR UPDATE) SELECT * FROM a", "SELECT", "read bound"),
    ("WITH a AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM a", "SELECT", "write"),
    ("WITH a AS (DELETE FROM t RETURNING *) SELECT count(*) FROM a", "SELECT", "write"),
    ("(WITH a AS (UPDATE t SET b = 1 RETURNING *) SELECT * FROM a)", "SELECT", "write"),
    ("SELECT 1 WHERE EXISTS (WITH a AS (SELECT 1) TABLE a)", "SELECT", "read"),
    ("WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a", "INSERT", "write"),
    ("WITH a AS (SELECT 1 FOR UPDATE) UPDATE t SET b = 1", "UPDATE", "write bound"),
    ("INSERT INTO t VALUES (1)", "INSERT", "write"),
    ("UPDATE t SET a = 1 WHERE b IN (SELECT c FROM u FOR UPDATE)", "UPDATE", "write"),
    ("DELETE FROM t", "DELETE", "write"),
    ("MERGE INTO t USING u ON a = b WHEN MATCHED THEN DELETE", "MERGE", "write"),
    ("EXPLAIN SELECT 1", "EXPLAIN", "read"),
    ("EXPLAIN DELETE FROM t", "EXPLAIN", "read"),
    ("EXPLAIN ANALYZE SELECT 1", "EXPLAIN", "read"),
    ("EXPLAIN ANALYZE DELETE FROM t", "EXPLAIN", "write"),
    ("EXPLAIN (COSTS off, ANALYZE) INSERT INTO t VALUES (1)", "EXPLAIN", "write"),
    ("EXPLAIN (ANALYZE off) DELETE FROM t", "EXPLAIN", "read"),
    ("EXPLAIN (ANALYZE 1) DELETE FROM t", "EXPLAIN", "write"),
    ("EXPLAIN ANALYZE WITH a AS (DELETE FROM t RETURNING 1) TABLE a", "EXPLAIN", "write"),
    ("EXPLAIN ANALYZE EXECUTE p", "EXPLAIN", "write"),
    ("FETCH ALL FROM c", "FETCH", ""),
    ("MOVE 5 FROM c", "MOVE", ""),
    ("CLOSE c", "CLOSE CURSOR", ""),
    ("DECLARE c CURSOR FOR SELECT 1", "DECLARE CURSOR", "bound"),
    ("PREPARE p AS DELETE FROM t", "PREPARE", "write"),
    ("EXECUTE p", "EXECUTE", "write"),
    ("DEALLOCATE p", "DEALLOCATE", "write"),
    ("COPY t FROM STDIN", "COPY", "write bound"),
    ("COPY (SELECT 1) TO STDOUT", "COPY", "write bound"),
    ("LOCK TABLE t IN SHARE MODE", "LOCK TABLE", "bound"),
    ("LISTEN a", "LISTEN", "write"),
    ("NOTIFY a, 'b'", "NOTIFY", "write"),
    ("DISCARD ALL", "DISCARD ALL", "write"),
    ("CHECKPOINT", "CHECKPOINT", "write"),
    ("LOAD 'a'", "LOAD", "write"),
    ("", "", "read"),
    (" ;; ", "", "read"),
    ("-- nothing", "", "read"),
    ("/* nothing */;", "", "read"),
]
PLACEHOLDERS = [
    ("SELECT * FROM t WHERE a = %s AND b LIKE 'x%%'", "SELECT", "read"),
    ("SELECT * FROM t WHERE a IN %s", "SELECT", "read"),
    ("SELECT * FROM t WHERE a IN %(ids)s AND b = %(name)s", "SELECT", "read"),
    ("SELECT 5 %% 2", "SELECT", "read"),
    ("SELECT 5 %% %s", "SELECT", "read"),
    ("SELECT %(a b)s::integer", "SELECT", "read"),
    ("SELECT $1::INTEGER", "SELECT", "read"),
    ("INSERT INTO t VALUES (%s, %(b)s)", "INSERT", "write"),
    ("INSERT INTO t VALUES %s", "INSERT", "write"),
    ("UPDATE t SET a = $1::VARCHAR WHERE b = $2", "UPDATE", "write"),
    ("SET LOCAL lock_timeout = %s", "SET", "write setting local"),
    ("COMMENT ON TABLE t IS %(text)s", "COMMENT", "write ddl"),
    ("SELECT set_config('app.tenant', %(value)s, true)", "SELECT", "read setting local"),
    ("SELECT set_config(%s, %s, false)", "SELECT", "read setting"),
]
SETTINGS = [
    ("SET search_path = app, public", "SET", "write setting"),
    ("SET search_path TO 'a;b'", "SET", "write setting"),
    ("SET SESSION statement_timeout = 0", "SET", "write setting"),
    ("SET LOCAL statement_timeout = 0", "SET", "write setting local"),
    ("set local app.tenant = '1'", "SET", "write setting local"),
    ("SET TIME ZONE 'UTC'", "SET", "write setting"),
    ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SET", "write setting"),
    ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "SET", "write setting"),
    ("SET CONSTRAINTS ALL DEFERRED", "SET CONSTRAINTS", "write setting local"),
    ("RESET search_path", "RESET", "write setting"),
    ("RESET ALL", "RESET", "write setting"),
    ("SET ROLE app", "SET", "write setting role"),
    ("SET LOCAL ROLE app", "SET", "write setting local role"),
    ("SET SESSION ROLE app", "SET", "write setting role"),
    ("SET ROLE NONE", "SET", "write setting role"),
    ("RESET ROLE", "RESET", "write setting role"),
    ("SET SESSION AUTHORIZATION app", "SET", "write setting role"),
    ("RESET SESSION AUTHORIZATION", "RESET", "write setting role"),
    ("SELECT set_config('role', 'app', false)", "SELECT", "read setting role"),
    ("SELECT pg_catalog.set_config('a.b', 'c', true)", "SELECT", "read setting local"),
    ("SELECT set_config('a.b', 'c', is_local => true)", "SELECT", "read setting local"),
    ("SELECT set_config('a.b', 'c', 't'::boolean)", "SELECT", "read setting local"),
    ("SELECT set_config('a.b', 'c, true)', false)", "SELECT", "read setting"),
    ("SELECT 'set_config(1)'", "SELECT", "read"),
    ("SELECT my.set_config('a', 'b', true)", "SELECT", "read"),
    ("INSERT INTO t SELECT set_config('a.b', 'c', true)", "INSERT", "write"),
    ("ALTER DATABASE d SET search_path = a", "ALTER DATABASE", "write ddl"),
    ("ALTER SYSTEM SET a.b = 1", "ALTER SYSTEM", "write ddl"),
]
TRANSACTIONS = [
    ("BEGIN", "BEGIN", "write bound begins"),
    ("BEGIN ISOLATION LEVEL SERIALIZABLE", "BEGIN", "write bound begins"),
    ("START TRANSACTION READ ONLY", "START TRANSACTION", "write bound begins"),
    ("COMMIT", "COMMIT", "write ends"),
    ("commit work;", "COMMIT", "write ends"),
    ("/* done */ END", "COMMIT", "write ends"),
    ("COMMIT AND CHAIN", "COMMIT", "write ends"),
    ("COMMIT PREPARED 'x'", "COMMIT PREPARED", "write"),
    ("PREPARE TRANSACTION 'x'", "PREPARE TRANSACTION", "write"),
    ("ROLLBACK", "ROLLBACK", "rolls_back"),
    ("ABORT", "ROLLBACK", "rolls_back"),
    ("ROLLBACK TO a", "ROLLBACK TO SAVEPOINT", ""),
    ("ROLLBACK WORK TO SAVEPOINT a", "ROLLBACK TO SAVEPOINT", ""),
    ("ROLLBACK PREPARED 'x'", "ROLLBACK PREPARED", ""),
    ("SAVEPOINT a", "SAVEPOINT", "bound"),
    ("RELEASE SAVEPOINT a", "RELEASE", ""),
]
MAINTENANCE = [
    ("VACUUM t", "VACUUM", "write ddl"),
    ("VACUUM FULL t", "VACUUM", "write ddl rewrites"),
    ("VACUUM (ANALYZE, FULL) t", "VACUUM", "write ddl rewrites"),
    ("VACUUM (FULL false) t", "VACUUM", "write ddl"),
    ('VACUUM "FULL"', "VACUUM", "write ddl"),
    ("ANALYZE t (a)", "ANALYZE", "write ddl"),
    ("CLUSTER t USING i", "CLUSTER", "write ddl rewrites"),
    ("REINDEX TABLE t", "REINDEX", "write ddl rewrites"),
    ("REINDEX INDEX CONCURRENTLY i", "REINDEX", "write ddl concurrent"),
    ("REINDEX (CONCURRENTLY) TABLE t", "REINDEX", "write ddl concurrent"),
    ("REINDEX (CONCURRENTLY off) TABLE t", "REINDEX", "write ddl rewrites"),
    ("REFRESH MATERIALIZED VIEW m", "REFRESH MATERIALIZED VIEW", "write ddl"),
    (
        "REFRESH MATERIALIZED VIEW CONCURRENTLY m",
        "REFRESH MATERIALIZED VIEW",
        "write ddl concurrent",
    ),
    ("TRUNCATE t, u", "TRUNCATE TABLE", "write ddl truncate"),
    ("COMMENT ON TABLE t IS 'DROP VIEW v'", "COMMENT", "write ddl"),
    ("GRANT SELECT ON t TO app", "GRANT", "write ddl"),
    ("GRANT a TO b", "GRANT ROLE", "write ddl"),
    ("REVOKE SELECT ON t FROM app", "REVOKE", "write ddl"),
    ("REVOKE a FROM b", "REVOKE ROLE", "write ddl"),
    ("SECURITY LABEL ON TABLE t IS 'a'", "SECURITY LABEL", "write ddl"),
    (
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO a",
        "ALTER DEFAULT PRIVILEGES",
        "write ddl",
    ),
    ("IMPORT FOREIGN SCHEMA a FROM SERVER s INTO b", "IMPORT FOREIGN SCHEMA", "write ddl"),
    ("REASSIGN OWNED BY a TO b", "REASSIGN OWNED", "write ddl"),
    ("DROP OWNED BY a", "DROP OWNED", "write ddl"),
    ("DO $$ BEGIN DROP VIEW v; END $$", "DO", "write ddl"),
    ("CALL p(1)", "CALL", "write ddl"),
]
PLAIN = QUERIES + PLACEHOLDERS + SETTINGS + TRANSACTIONS + MAINTENANCE

CREATED = [
    ("CREATE TABLE t (a serial PRIMARY KEY, CHECK (a > 0))", "CREATE TABLE", "", "+TABLE t"),
    ("CREATE TABLE IF NOT EXISTS app.t ()", "CREATE TABLE", "if_not_exists", "+TABLE app.t"),
    ('CREATE UNLOGGED TABLE "A.b"."C""d" ()', "CREATE TABLE", "", '+TABLE A.b.C"d'),
    ("CREATE TABLE p PARTITION OF t FOR VALUES IN (1)", "CREATE TABLE", "", "+TABLE p"),
    ("CREATE TEMP TABLE t (a int)", "CREATE TABLE", "bound", "+TABLE pg_temp.t"),
    ("create local temporary table t ()", "CREATE TABLE", "bound", "+TABLE pg_temp.t"),
    ("CREATE TABLE pg_temp.t ()", "CREATE TABLE", "bound", "+TABLE pg_temp.t"),
    ("CREATE TABLE t AS SELECT 1 AS a", "CREATE TABLE AS", "", "+TABLE t"),
    ("CREATE TEMP TABLE t AS SELECT 1 AS a", "CREATE TABLE AS", "bound", "+TABLE pg_temp.t"),
    ("SELECT 1 AS a INTO t", "SELECT INTO", "", "+TABLE t"),
    ("SELECT 1 AS a INTO t UNION SELECT 2", "SELECT INTO", "", "+TABLE t"),
    ("SELECT 1 AS a INTO TEMPORARY t", "SELECT INTO", "bound", "+TABLE pg_temp.t"),
    ("CREATE FOREIGN TABLE f (a int) SERVER s", "CREATE FOREIGN TABLE", "", "+FOREIGN TABLE f"),
    ("CREATE OR REPLACE VIEW v AS SELECT 1", "CREATE VIEW", "", "+VIEW v"),
    ("CREATE RECURSIVE VIEW app.v (n) AS SELECT 1", "CREATE VIEW", "", "+VIEW app.v"),
    ("CREATE TEMP VIEW v AS SELECT 1", "CREATE VIEW", "bound", "+VIEW pg_temp.v"),
    (
        "CREATE MATERIALIZED VIEW IF NOT EXISTS m AS SELECT 1",
        "CREATE MATERIALIZED VIEW",
        "if_not_exists",
        "+MATERIALIZED VIEW m",
    ),
    ("CREATE INDEX i ON app.t (a)", "CREATE INDEX", "", "+INDEX app.i"),
    ("CREATE INDEX ON t (a)", "CREATE INDEX", "", "+INDEX "),
    (
        "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a)",
        "CREATE INDEX",
        "concurrent if_not_exists",
        "+INDEX i",
    ),
    ("CREATE SEQUENCE app.s", "CREATE SEQUENCE", "", "+SEQUENCE app.s"),
    ("CREATE TEMP SEQUENCE s", "CREATE SEQUENCE", "bound", "+SEQUENCE pg_temp.s"),
    (
        "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $f$ BEGIN; DROP VIEW v; END $f$",
        "CREATE FUNCTION",
        "",
        "+FUNCTION f",
    ),
    (
        "CREATE OR REPLACE FUNCTION a.f(x int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; END",
        "CREATE FUNCTION",
        "",
        "+FUNCTION a.f",
    ),
    ("CREATE PROCEDURE p() LANGUAGE sql AS 'a'", "CREATE PROCEDURE", "", "+PROCEDURE p"),
    (
        "CREATE AGGREGATE a.g(int) (sfunc = f, stype = int)",
        "CREATE AGGREGATE",
        "",
        "+AGGREGATE a.g",
    ),
    (
        "CREATE TRIGGER x BEFORE UPDATE OF a ON app.t EXECUTE FUNCTION f()",
        "CREATE TRIGGER",
        "",
        "+TRIGGER app.t:x",
    ),
    (
        "CREATE CONSTRAINT TRIGGER x AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
        "CREATE TRIGGER",
        "",
        "+TRIGGER t:x",
    ),
    ("CREATE POLICY p ON app.t USING (true)", "CREATE POLICY", "", "+POLICY app.t:p"),
    (
        "CREATE RULE r AS ON INSERT TO app.t DO INSTEAD NOTHING",
        "CREATE RULE",
        "",
        "+RULE app.t:r",
    ),
    (
        "CREATE RULE r AS ON DELETE TO t DO ALSO (SELECT 1; SELECT 2)",
        "CREATE RULE",
        "",
        "+RULE t:r",
    ),
    ("CREATE TYPE app.mood AS ENUM ('a')", "CREATE TYPE", "", "+TYPE app.mood"),
    ("CREATE TYPE c AS (a int)", "CREATE TYPE", "", "+TYPE c"),
    ("CREATE TYPE r AS RANGE (subtype = int)", "CREATE TYPE", "", "+TYPE r"),
    ("CREATE TYPE b", "CREATE TYPE", "", "+TYPE b"),
    ("CREATE DOMAIN app.d AS int", "CREATE DOMAIN", "", "+DOMAIN app.d"),
    (
        "CREATE SCHEMA IF NOT EXISTS app",
        "CREATE SCHEMA",
        "if_not_exists",
        "+SCHEMA app",
    ),
    ("CREATE SCHEMA AUTHORIZATION joe", "CREATE SCHEMA", "", "+SCHEMA joe"),
    (
        "CREATE SCHEMA app CREATE TABLE t () CREATE VIEW v AS SELECT 1",
        "CREATE SCHEMA",
        "",
        "+SCHEMA app, +TABLE app.t, +VIEW app.v",
    ),
    (
        "CREATE EXTENSION IF NOT EXISTS citext",
        "CREATE EXTENSION",
        "if_not_exists",
        "+EXTENSION citext",
    ),
    ("CREATE ROLE app", "CREATE ROLE", "", "+ROLE app"),
    ('CREATE USER "Joe"', "CREATE ROLE", "", "+ROLE Joe"),
    ("CREATE GROUP g", "CREATE ROLE", "", "+ROLE g"),
    ("CREATE STATISTICS s ON a, b FROM t", "CREATE STATISTICS", "", "+STATISTICS s"),
    ("CREATE DATABASE d", "CREATE DATABASE", "", "+DATABASE d"),
    ("CREATE PUBLICATION p FOR ALL TABLES", "CREATE PUBLICATION", "", "+PUBLICATION p"),
    ('CREATE TABLE U&"d\\0061t" ()', "CREATE TABLE", "", "+TABLE dat"),
    ("CREATE TABLE Été ()", "CREATE TABLE", "", "+TABLE Été"),
]
REMOVED = [
    ('DROP TABLE a, "B".c CASCADE', "DROP TABLE", "", "-TABLE a, -TABLE B.c"),
    ("DROP TABLE IF EXISTS a", "DROP TABLE", "", "-TABLE a"),
    ("DROP VIEW IF EXISTS a, app.b CASCADE", "DROP VIEW", "", "-VIEW a, -VIEW app.b"),
    ("DROP MATERIALIZED VIEW m", "DROP MATERIALIZED VIEW", "", "-MATERIALIZED VIEW m"),
    ("DROP FOREIGN TABLE f", "DROP FOREIGN TABLE", "", "-FOREIGN TABLE f"),
    ("DROP FUNCTION f(int, text), g", "DROP FUNCTION", "", "-FUNCTION f, -FUNCTION g"),
    ("DROP PROCEDURE a.p(int)", "DROP PROCEDURE", "", "-PROCEDURE a.p"),
    ("DROP AGGREGATE g(*)", "DROP AGGREGATE", "", "-AGGREGATE g"),
    ("DROP TRIGGER x ON app.t", "DROP TRIGGER", "", "-TRIGGER app.t:x"),
    ("DROP POLICY IF EXISTS p ON t", "DROP POLICY", "", "-POLICY t:p"),
    ("DROP RULE r ON t CASCADE", "DROP RULE", "", "-RULE t:r"),
    ("DROP TYPE app.mood", "DROP TYPE", "", "-TYPE app.mood"),
    ("DROP DOMAIN d", "DROP DOMAIN", "", "-DOMAIN d"),
    ("DROP SCHEMA a, b", "DROP SCHEMA", "", "-SCHEMA a, -SCHEMA b"),
    ("DROP SEQUENCE app.s", "DROP SEQUENCE", "", "-SEQUENCE app.s"),
    ("DROP INDEX i", "DROP INDEX", "", "-INDEX i"),
    ("DROP INDEX CONCURRENTLY IF EXISTS i", "DROP INDEX", "concurrent", "-INDEX i"),
    ("DROP EXTENSION citext", "DROP EXTENSION", "", "-EXTENSION citext"),
    ("DROP ROLE a, b", "DROP ROLE", "", "-ROLE a, -ROLE b"),
    ("DROP USER a", "DROP ROLE", "", "-ROLE a"),
    ("DROP DATABASE d", "DROP DATABASE", "", "-DATABASE d"),
    ("DROP CAST (int AS text)", "DROP CAST", "", ""),
    ("DROP OPERATOR CLASS c USING btree", "DROP OPERATOR CLASS", "", ""),
]
ALTERED = [
    ("ALTER TABLE t DROP a", "ALTER TABLE", "", "-COLUMN t:a"),
    ("ALTER TABLE t DROP COLUMN IF EXISTS a", "ALTER TABLE", "", "-COLUMN t:a"),
    ("ALTER TABLE t ADD a int", "ALTER TABLE", "", "+COLUMN t:a"),
    ('ALTER TABLE ONLY "S"."T" ADD COLUMN "A b" int', "ALTER TABLE", "", "+COLUMN S.T:A b"),
    (
        "ALTER TABLE t ADD COLUMN IF NOT EXISTS a int DEFAULT 1, DROP b",
        "ALTER TABLE",
        "",
        "+COLUMN t:a, -COLUMN t:b",
    ),
    ("ALTER TABLE t ALTER c DROP DEFAULT", "ALTER TABLE", "", "-DEFAULT t:c"),
    ("ALTER TABLE t ALTER COLUMN c SET DEFAULT 1", "ALTER TABLE", "", "+DEFAULT t:c"),
    ("ALTER VIEW v ALTER c SET DEFAULT 1", "ALTER VIEW", "", "+DEFAULT v:c"),
    ("ALTER TABLE t ALTER c TYPE bigint", "ALTER TABLE", "", "~COLUMN t:c"),
    ("ALTER TABLE t ALTER c TYPE int USING c::int", "ALTER TABLE", "using", "~COLUMN t:c"),
    ("ALTER TABLE t ALTER c SET NOT NULL", "ALTER TABLE", "", "~COLUMN t:c"),
    ("ALTER TABLE t ALTER c ADD GENERATED ALWAYS AS IDENTITY", "ALTER TABLE", "", "~COLUMN t:c"),
    ("ALTER TABLE t ADD CONSTRAINT k CHECK (a > 0)", "ALTER TABLE", "", "+CONSTRAINT t:k"),
    ("ALTER TABLE t ADD PRIMARY KEY (a)", "ALTER TABLE", "", "+CONSTRAINT t"),
    ("ALTER TABLE t DROP CONSTRAINT k", "ALTER TABLE", "", "-CONSTRAINT t:k"),
    ("ALTER TABLE t VALIDATE CONSTRAINT k", "ALTER TABLE", "", "~CONSTRAINT t:k"),
    (
        "ALTER TABLE t RENAME CONSTRAINT a TO b",
        "ALTER TABLE",
        "",
        "-CONSTRAINT t:a, +CONSTRAINT t:b",
    ),
    ("ALTER TABLE t RENAME a TO b", "ALTER TABLE", "", "-COLUMN t:a, +COLUMN t:b"),
    ('ALTER TABLE t RENAME COLUMN "A b" TO c', "ALTER TABLE", "", "-COLUMN t:A b, +COLUMN t:c"),
    ("ALTER VIEW app.v RENAME a TO b", "ALTER VIEW", "", "-COLUMN app.v:a, +COLUMN app.v:b"),
    ("-- away\nALTER TABLE t RENAME TO old", "ALTER TABLE", "", "-TABLE t, +TABLE old"),
    ("ALTER TABLE app.t RENAME TO old", "ALTER TABLE", "", "-TABLE app.t, +TABLE app.old"),
    ("ALTER TABLE t SET SCHEMA b", "ALTER TABLE", "", "-TABLE t, +TABLE b.t"),
    ("ALTER TYPE mood RENAME TO old", "ALTER TYPE", "", "-TYPE mood, +TYPE old"),
    ("ALTER TYPE a.mood SET SCHEMA b", "ALTER TYPE", "", "-TYPE a.mood, +TYPE b.mood"),
    ("ALTER TYPE mood ADD VALUE 'x'", "ALTER TYPE", "", "~TYPE mood"),
    ("ALTER TYPE c ADD ATTRIBUTE a int", "ALTER TYPE", "", "~TYPE c"),
    ("ALTER TYPE c RENAME ATTRIBUTE a TO b", "ALTER TYPE", "", "~TYPE c"),
    ("ALTER DOMAIN d RENAME TO e", "ALTER DOMAIN", "", "-DOMAIN d, +DOMAIN e"),
    ("ALTER DOMAIN d DROP CONSTRAINT k", "ALTER DOMAIN", "", "~DOMAIN d"),
    ("ALTER DOMAIN d RENAME CONSTRAINT a TO b", "ALTER DOMAIN", "", "~DOMAIN d"),
    ("ALTER INDEX i RENAME TO j", "ALTER INDEX", "", "-INDEX i, +INDEX j"),
    ("ALTER SEQUENCE s RENAME TO u", "ALTER SEQUENCE", "", "-SEQUENCE s, +SEQUENCE u"),
    ("ALTER SEQUENCE s RESTART", "ALTER SEQUENCE", "", "~SEQUENCE s"),
    ("ALTER FUNCTION f(int) RENAME TO g", "ALTER FUNCTION", "", "-FUNCTION f, +FUNCTION g"),
    ("ALTER FUNCTION f() IMMUTABLE", "ALTER FUNCTION", "", "~FUNCTION f"),
    ("ALTER FUNCTION f() OWNER TO a", "ALTER FUNCTION", "", "~FUNCTION f"),
    ("ALTER TRIGGER x ON t RENAME TO y", "ALTER TRIGGER", "", "-TRIGGER t:x, +TRIGGER t:y"),
    ("ALTER POLICY p ON t RENAME TO q", "ALTER POLICY", "", "-POLICY t:p, +POLICY t:q"),
    ("ALTER POLICY p ON t USING (true)", "ALTER POLICY", "", "~POLICY t:p"),
    ("ALTER RULE r ON t RENAME TO s", "ALTER RULE", "", "-RULE t:r, +RULE t:s"),
    ("ALTER SCHEMA a RENAME TO b", "ALTER SCHEMA", "", "-SCHEMA a, +SCHEMA b"),
    ("ALTER ROLE a RENAME TO b", "ALTER ROLE", "", "-ROLE a, +ROLE b"),
    ("ALTER ROLE a SUPERUSER", "ALTER ROLE", "", "~ROLE a"),
    ("ALTER ROLE a SET search_path = b", "ALTER ROLE", "", "~ROLE a"),
    ("ALTER ROLE ALL SET search_path = b", "ALTER ROLE", "", ""),
    ("ALTER EXTENSION e UPDATE", "ALTER EXTENSION", "", "~EXTENSION e"),
    ("ALTER EXTENSION e SET SCHEMA a", "ALTER EXTENSION", "", "~EXTENSION e"),
    (
        "ALTER MATERIALIZED VIEW m RENAME TO n",
        "ALTER MATERIALIZED VIEW",
        "",
        "-MATERIALIZED VIEW m, +MATERIALIZED VIEW n",
    ),
    ("ALTER TABLE t DISABLE TRIGGER ALL", "ALTER TABLE", "", "-ENABLED TRIGGER t:ALL"),
    ("ALTER TABLE t DISABLE TRIGGER USER", "ALTER TABLE", "", "-ENABLED TRIGGER t:USER"),
    ("ALTER TABLE t DISABLE TRIGGER x", "ALTER TABLE", "", "-ENABLED TRIGGER t:x"),
    ("ALTER TABLE t ENABLE TRIGGER ALL", "ALTER TABLE", "", "+ENABLED TRIGGER t:ALL"),
    (
        "ALTER TABLE ONLY public.t ENABLE ALWAYS TRIGGER x",
        "ALTER TABLE",
        "",
        "+ENABLED TRIGGER public.t:x",
    ),
    ("ALTER TABLE t ENABLE REPLICA TRIGGER x", "ALTER TABLE", "", "+ENABLED TRIGGER t:x"),
    ("alter table if exists t disable rule r", "ALTER TABLE", "", "-ENABLED RULE t:r"),
    ("ALTER TABLE t ENABLE RULE r", "ALTER TABLE", "", "+ENABLED RULE t:r"),
    ("ALTER TABLE t DISABLE ROW LEVEL SECURITY", "ALTER TABLE", "", "-ROW LEVEL SECURITY t"),
    ("ALTER TABLE t ENABLE ROW LEVEL SECURITY", "ALTER TABLE", "", "+ROW LEVEL SECURITY t"),
    ("ALTER TABLE t NO FORCE ROW LEVEL SECURITY", "ALTER TABLE", "", "-FORCE ROW LEVEL SECURITY t"),
    ("ALTER TABLE t FORCE ROW LEVEL SECURITY", "ALTER TABLE", "", "+FORCE ROW LEVEL SECURITY t"),
    ("ALTER TABLE t ATTACH PARTITION p DEFAULT", "ALTER TABLE", "", "~TABLE t"),
    ("ALTER TABLE t DETACH PARTITION p", "ALTER TABLE", "", "~TABLE t"),
    ("ALTER TABLE t DETACH PARTITION p CONCURRENTLY", "ALTER TABLE", "concurrent", "~TABLE t"),
    ("ALTER TABLE t OWNER TO a", "ALTER TABLE", "", "~TABLE t"),
    ("ALTER INDEX i SET (fillfactor = 70)", "ALTER INDEX", "", "~INDEX i"),
]
VERSION_18 = [
    (
        "CREATE TABLE app.t (a int, b int GENERATED ALWAYS AS (a * 2) VIRTUAL)",
        "CREATE TABLE",
        "opaque",
        "+TABLE app.t",
    ),
    (
        "ALTER TABLE t ADD COLUMN b int GENERATED ALWAYS AS (a) VIRTUAL, DROP c",
        "ALTER TABLE",
        "opaque",
        "+COLUMN t:b, -COLUMN t:c",
    ),
    (
        'ALTER TABLE ONLY a."T" ADD CONSTRAINT k NOT NULL c NOT VALID',
        "ALTER TABLE",
        "opaque",
        "+CONSTRAINT a.T:k",
    ),
    (
        "CREATE TABLE t (id int, p daterange, PRIMARY KEY (id, p WITHOUT OVERLAPS))",
        "CREATE TABLE",
        "opaque",
        "+TABLE t",
    ),
    (
        "ALTER TABLE t ADD FOREIGN KEY (a, PERIOD b) REFERENCES u (a, PERIOD b)",
        "ALTER TABLE",
        "opaque",
        "+CONSTRAINT t",
    ),
    (
        "ALTER TABLE t ADD CONSTRAINT k CHECK (a > 0) NOT ENFORCED",
        "ALTER TABLE",
        "opaque",
        "+CONSTRAINT t:k",
    ),
    (
        "CREATE TEMP TABLE t (a int GENERATED ALWAYS AS (1) VIRTUAL)",
        "CREATE TABLE",
        "opaque bound",
        "+TABLE pg_temp.t",
    ),
]
DEFINING = CREATED + REMOVED + ALTERED + VERSION_18


def properties(statement: Statement) -> set[str]:
    """Return the names of the properties that hold."""
    return {name for name, holds in PROPERTIES.items() if holds(statement)}


def shown(change: Change) -> str:
    """Return a change in one word or two."""
    changed = change.object
    schema = f"{changed.schema}." if changed.schema is not None else ""
    part = f":{changed.part}" if changed.part else ""
    return f"{SIGNS[change.action]}{changed.kind} {schema}{changed.name}{part}"


@pytest.mark.parametrize(("text", "kind", "expected"), PLAIN)
def test_statements_that_define_nothing(text: str, kind: str, expected: str) -> None:
    """They have a kind and properties, and no changes."""
    statement = parse(text)
    assert (statement.kind, properties(statement)) == (kind, set(expected.split()))
    assert statement.changes == ()
    assert statement.statements == ()


@pytest.mark.parametrize(("text", "kind", "expected", "changes"), DEFINING)
def test_statements_that_define_objects(text: str, kind: str, expected: str, changes: str) -> None:
    """They have changes as well, in their order."""
    statement = parse(text)
    assert ", ".join(map(shown, statement.changes)) == changes
    assert (statement.kind, properties(statement)) == (kind, {"ddl", "write", *expected.split()})


SEVERAL = [
    ("SELECT 1; SELECT 2", "read"),
    ("SELECT 1; DROP VIEW v", "write ddl"),
    ("SELECT 1; DELETE FROM t", "write"),
    ("SET a.b = 1; SELECT 1", "write"),
    ("SET ROLE a; SET LOCAL b.c = 1", "write"),
    ("BEGIN; DELETE FROM t; COMMIT", "write bound"),
    ("ROLLBACK; SELECT 1", ""),
    ("COMMIT; VACUUM FULL t", "write ddl rewrites"),
    ("SELECT 1 FOR UPDATE; SELECT 2", "read bound"),
    ("DELETE FROM t; TRUNCATE t", "write ddl truncate"),
    ("SELECT %s; DELETE FROM t WHERE a = %(b)s", "write"),
    ("SELECT 1; \\g", "write opaque"),
]


@pytest.mark.parametrize(("text", "expected"), SEVERAL)
def test_several_statements(text: str, expected: str) -> None:
    """They have no kind, and no property of a setting or of transaction control."""
    statement = parse(text)
    assert (statement.kind, properties(statement)) == ("", set(expected.split()))
    assert [each.text for each in statement.each] == text.split("; ")


def test_changes_of_several_statements_are_in_order() -> None:
    """A view is dropped and created again."""
    statement = parse("DROP VIEW v; CREATE VIEW v AS SELECT 1")
    view = SchemaObject("VIEW", None, "v")
    assert statement.changes == (Change(Action.REMOVED, view), Change(Action.CREATED, view))
    assert statement.created == statement.removed == (view,)


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        (" SELECT 1 ; ", ["SELECT 1"]),
        ("SELECT 'é'; SELECT 'ü' -- é\n; SELECT 3;", ["SELECT 'é'", "SELECT 'ü' -- é", "SELECT 3"]),
        (
            "SELECT 'é%%', %(é)s; SELECT %s, 'ü'; SELECT %%",
            ["SELECT 'é%%', %(é)s", "SELECT %s, 'ü'", "SELECT %%"],
        ),
        ("/* a */ SELECT 1; /* b */ SELECT 2", ["/* a */ SELECT 1", "/* b */ SELECT 2"]),
        (";;SELECT 1;; ;SELECT 2;", ["SELECT 1", "SELECT 2"]),
    ],
)
def test_each_statement_has_its_own_text(text: str, statements: list[str]) -> None:
    """The parser counts bytes, and placeholders are replaced before it reads the text."""
    assert [statement.text for statement in parse(text).each] == statements


@pytest.mark.parametrize(
    ("text", "setting", "custom"),
    [
        ("SET LOCAL app.tenant = '1'", "app.tenant", ("app.tenant",)),
        ("SET TIME ZONE 'UTC'", "TimeZone", ()),
        ("SET timezone = 'UTC'", "TimeZone", ()),
        ("SET NAMES 'utf8'", "client_encoding", ()),
        ("SET SCHEMA 'a'", "search_path", ()),
        ("RESET search_path", "search_path", ()),
        ("RESET ALL", "", ()),
        ("SET TRANSACTION READ ONLY", "", ()),
        ("SET CONSTRAINTS ALL DEFERRED", "", ()),
        ("SET SESSION AUTHORIZATION a", "session_authorization", ()),
        ("SELECT set_config('App.b', 'x', true)", "App.b", ("App.b",)),
        (
            "SELECT set_config('a.b', 'x.y', true), set_config('c.d'::text, 'z', true)",
            "a.b",
            ("a.b", "c.d"),
        ),
        ("SELECT set_config(%s, 'a.b', true)", "", ()),
        ("SELECT 'a.b', t.c FROM t", "", ()),
        ("UPDATE t SET a = set_config('a.b', 'c', true)", "", ()),
    ],
)
def test_settings(text: str, setting: str, custom: tuple[str, ...]) -> None:
    """The parameter has the name that current_setting takes."""
    statement = parse(text)
    assert (statement.setting, statement.custom_settings) == (setting, custom)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SET LOCAL app.tenant = '1'", "SET SESSION app.tenant = '1'"),
        ("/* a */ set  local\ttime zone 'UTC';", "/* a */ set  SESSION\ttime zone 'UTC'"),
        ("SET LOCAL ROLE a", "SET SESSION ROLE a"),
        ("SET LOCAL a.b = 'SET LOCAL'", "SET SESSION a.b = 'SET LOCAL'"),
        ("SET SESSION a.b = 1", ""),
        ("SET a.b = 1", ""),
        ("RESET a.b", ""),
        ("SELECT set_config('a.b', 'c', true)", ""),
        ("SELECT 'SET LOCAL'", ""),
    ],
)
def test_as_session_setting(text: str, expected: str) -> None:
    """SET LOCAL becomes SET SESSION, and the rest of the text stays."""
    assert parse(text).as_session_setting == expected


def test_the_answer_is_kept() -> None:
    """A revision's statements are asked for again and again."""
    assert parse("SELECT 12345") is parse("SELECT 12345")


def test_a_deep_tree_is_read_the_same_from_any_depth() -> None:
    """The parser's JSON is read by recursion, and the caller may be deep already."""
    text = "SELECT 1" + " || 2" * 450
    answers = []

    def deep(levels: int) -> None:
        if levels:
            deep(levels - 1)
        else:
            answers.append(parse(text + " "))

    deep(400)
    assert answers[0] == parse(text)
    assert not answers[0].opaque


@pytest.fixture
def _small_stack() -> Iterator[None]:
    """Start threads with a stack of 1 MB, as some platforms do."""
    before = threading.stack_size(1 << 20)
    yield
    threading.stack_size(before)


@pytest.mark.usefixtures("_small_stack")
@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1" + " + 1" * 20_000,
        "SELECT 1" + " UNION SELECT 1" * 20_000,
        "SELECT 1 FROM a" + " CROSS JOIN a" * 20_000,
        "SELECT 1" + "::a" * 20_000,
        "SELECT " + "(" * 20_000 + "1" + ")" * 20_000,
        "SELECT " + "NOT " * 20_000 + "true",
    ],
)
def test_a_tree_that_would_exhaust_the_stack_is_opaque(text: str) -> None:
    """The parser would end the process."""
    answers: list[Statement] = []
    thread = threading.Thread(target=lambda: answers.append(parse(text)))
    thread.start()
    thread.join()
    assert properties(answers[0]) == {"read", "opaque"}


def test_a_long_insert_is_parsed() -> None:
    """Many rows make no deep tree."""
    statement = parse("INSERT INTO t VALUES " + ", ".join(["(-1, 'a', (2 + 3) * 4)"] * 5_000))
    assert (statement.kind, statement.opaque) == ("INSERT", False)
