"""What a revision takes away and puts back is known by its words."""

from __future__ import annotations

import pytest

from liftlock.model.operation import Operation
from liftlock.planning.removals import put_back, still_missing, taken

PAIRS = [
    ("ALTER TABLE t DISABLE TRIGGER ALL", "ALTER TABLE ONLY public.t ENABLE ALWAYS TRIGGER x"),
    ("alter table if exists t disable rule r", "ALTER TABLE t ENABLE RULE r"),
    ("ALTER TABLE t DISABLE ROW LEVEL SECURITY", "ALTER TABLE t ENABLE ROW LEVEL SECURITY"),
    ("ALTER TABLE t NO FORCE ROW LEVEL SECURITY", "ALTER TABLE t FORCE ROW LEVEL SECURITY"),
    ("ALTER TABLE t ENABLE ROW LEVEL SECURITY", "CREATE POLICY p ON app.t USING (true)"),
    ("DROP POLICY p ON t", "CREATE POLICY p ON t USING (owner = current_user)"),
    (
        "ALTER TABLE t ADD COLUMN x int, ALTER c DROP DEFAULT",
        "ALTER TABLE t ALTER COLUMN c SET DEFAULT 1",
    ),
    ("DROP VIEW IF EXISTS a, app.b CASCADE", "CREATE OR REPLACE VIEW b AS SELECT 1"),
    ("DROP MATERIALIZED VIEW m", "CREATE MATERIALIZED VIEW IF NOT EXISTS m AS SELECT 1"),
    (
        "DROP FUNCTION f(int, text), g(int)",
        "/* again */ CREATE FUNCTION g(a int) RETURNS int LANGUAGE sql AS $$ SELECT 1; $$",
    ),
    ("DROP TRIGGER x ON t", "CREATE CONSTRAINT TRIGGER x AFTER INSERT ON t EXECUTE FUNCTION f()"),
    ("-- away\nALTER TABLE t RENAME TO old", "ALTER TABLE fresh RENAME TO t"),
    ("DROP TABLE t", 'CREATE TABLE public."t" (a int)'),
    ("ALTER TYPE mood RENAME TO mood_old; CREATE TYPE mood AS ENUM ('a')", "DROP TYPE mood_old"),
    ("ALTER TYPE mood RENAME TO mood_old", "CREATE TYPE mood AS ENUM ('a'); DROP TYPE mood_old"),
    ("DROP RULE r ON t", "CREATE RULE r AS ON INSERT TO app.t DO INSTEAD NOTHING"),
    (
        "ALTER TRIGGER x ON t RENAME TO y",
        "CREATE TRIGGER x BEFORE UPDATE OF a ON t EXECUTE FUNCTION f()",
    ),
    ('ALTER TABLE t RENAME COLUMN "A b" TO c', 'ALTER TABLE t ADD COLUMN "A b" int'),
    ("ALTER TABLE t DROP COLUMN a", "ALTER TABLE t RENAME b TO a"),
    ("SELECT 1; DROP VIEW v", "SELECT 1; CREATE VIEW v AS SELECT 1"),
]
APART = [
    ("DROP VIEW v", "CREATE VIEW w AS SELECT 1"),
    ("DROP VIEW v; CREATE VIEW v AS SELECT 1", "CREATE VIEW v AS SELECT 2"),
    ("ALTER TABLE t DISABLE TRIGGER x", "ALTER TABLE u ENABLE TRIGGER x"),
    ("ALTER TABLE t ALTER c DROP DEFAULT", "ALTER TABLE t ALTER d SET DEFAULT 1"),
    ("ALTER TABLE t ADD COLUMN c int", "ALTER TABLE t DROP COLUMN c"),
    ("CREATE VIEW v AS SELECT 1", "DROP VIEW v"),
    ("COMMENT ON TABLE t IS 'DROP VIEW v'", "CREATE VIEW v AS SELECT 1"),
    ('ALTER TABLE t RENAME TO "T"', "CREATE TABLE u (a int)"),
    ("ALTER TABLE visit RENAME TO visits", "DROP TABLE visits"),
    ("DROP TRIGGER x ON t", "CREATE TRIGGER x BEFORE INSERT ON u EXECUTE FUNCTION f()"),
    ("DROP POLICY p ON t", "CREATE POLICY p ON u USING (true)"),
    ("DROP RULE r ON t", "CREATE RULE r AS ON INSERT TO u DO INSTEAD NOTHING"),
    ("DROP VIEW red.v", "CREATE VIEW blue.v AS SELECT 1"),
    ("ALTER TABLE red.t DISABLE TRIGGER x", "ALTER TABLE blue.t ENABLE TRIGGER x"),
    (
        "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $f$ BEGIN; DROP VIEW v; END $f$",
        "CREATE VIEW v AS SELECT 1",
    ),
]


def _asked(*statements: str) -> list[Operation]:
    return [Operation(kind="execute", table=None, sql=one) for one in statements]


@pytest.mark.parametrize(("away", "back"), PAIRS)
def test_a_pair_is_known(away: str, back: str) -> None:
    """Whatever stands between, and nothing is missing any more behind it."""
    operation, *coming = _asked(away, "SELECT 1", back, "SELECT 2")
    missing = taken(operation.sql)
    found = put_back(missing, coming)
    assert found
    assert not put_back(missing, coming[:1])
    assert not put_back(still_missing(missing, back), _asked(back))


@pytest.mark.parametrize(("first", "second"), APART)
def test_what_is_no_pair_is_not(first: str, second: str) -> None:
    """Another thing, or nothing is missing between."""
    operation, *coming = _asked(first, second)
    assert put_back(taken(operation.sql), coming) == []


def test_what_is_left_over_comes_to_its_end_behind_what_takes_its_place() -> None:
    """Step by step."""
    missing = taken("ALTER TYPE mood RENAME TO mood_old")
    for statement in (
        "CREATE TYPE mood AS ENUM ('a')",
        "ALTER TABLE t ALTER c TYPE mood USING c::text::mood",
    ):
        missing = still_missing(missing, statement)
        assert [thing.kind for thing in put_back(missing, _asked("DROP TYPE mood_old"))] == [
            "left over"
        ]
    assert still_missing(missing, "DROP TYPE mood_old") == ()
