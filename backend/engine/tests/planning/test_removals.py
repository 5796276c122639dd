"""Objects that a revision removes for a while."""

from __future__ import annotations

import pytest

from liftlock.planning.removals import (
    Leftover,
    Missing,
    created_by,
    is_same,
    not_restored,
    owners,
    removed_by,
    restored_by,
    usually_restored,
    visible_changes,
)
from liftlock.sql import Action, SchemaObject

RESTORED = [
    (
        "ALTER TABLE t DISABLE TRIGGER ALL",
        "ALTER TABLE ONLY public.t ENABLE ALWAYS TRIGGER x",
    ),
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
    (
        "DROP TRIGGER x ON t",
        "CREATE CONSTRAINT TRIGGER x AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
    ),
    (
        "DROP TRIGGER x ON t",
        "CREATE CONSTRAINT TRIGGER x AFTER INSERT ON t EXECUTE FUNCTION f()",
    ),
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
    ("ALTER TABLE t DROP a", "ALTER TABLE t ADD a int"),
    ("DROP VIEW v", "CREATE TABLE v (a int)"),
    ("DROP VIEW v", "CREATE TABLE v (a int, b int GENERATED ALWAYS AS (a) VIRTUAL)"),
    (r"SELECT E'it\'s; --'; DROP VIEW v", "CREATE VIEW v AS SELECT 1"),
    ('DROP VIEW "a.b"', 'CREATE VIEW "a.b" AS SELECT 1'),
    ("ALTER TABLE t SET SCHEMA old", "CREATE TABLE t (a int)"),
    ("ALTER TABLE t DISABLE TRIGGER x", "ALTER TABLE t ENABLE TRIGGER USER"),
]
NOT_RESTORED = [
    ("DROP VIEW v", "CREATE VIEW w AS SELECT 1"),
    ("DROP VIEW v; CREATE VIEW v AS SELECT 1", "CREATE VIEW v AS SELECT 2"),
    ("ALTER TABLE t DISABLE TRIGGER x", "ALTER TABLE u ENABLE TRIGGER x"),
    ("ALTER TABLE t DISABLE TRIGGER x", "ALTER TABLE t ENABLE TRIGGER y"),
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
    ("DO $$ BEGIN DROP VIEW v; END $$", "CREATE VIEW v AS SELECT 1"),
    ("DROP VIEW v", "CREATE TEMP VIEW v AS SELECT 1"),
    ("CREATE TEMP TABLE t (a int); ALTER TABLE pg_temp.t DROP a", "ALTER TABLE t ADD a int"),
    ("DROP INDEX i", "CREATE INDEX i ON t (a)"),
    ("ALTER TABLE t DROP CONSTRAINT k", "ALTER TABLE t ADD CONSTRAINT k CHECK (a > 0)"),
    ("ALTER TABLE t ALTER c TYPE int", "ALTER TABLE t ALTER c TYPE bigint"),
    ("ALTER TABLE t DROP a, ADD a int", "ALTER TABLE t ADD a text"),
    ("/* /* DROP VIEW v; */ DROP VIEW v */ SELECT 1", "CREATE VIEW v AS SELECT 1"),
]


@pytest.mark.parametrize(("removal", "restoration"), RESTORED)
def test_a_restored_object_is_known(removal: str, restoration: str) -> None:
    """Other statements may stand between, and afterwards nothing is missing that comes again."""
    missing = removed_by(removal)
    assert restored_by(missing, ["SELECT 1", restoration, "SELECT 2"])
    assert not restored_by(missing, ["SELECT 1"])
    assert not restored_by(not_restored(missing, restoration), [restoration])


@pytest.mark.parametrize(("first", "second"), NOT_RESTORED)
def test_other_objects_restore_nothing(first: str, second: str) -> None:
    """The second statement is about another object, or nothing is missing between the two."""
    assert restored_by(removed_by(first), [second]) == []


def test_a_leftover_is_dropped_after_another_object_takes_its_place() -> None:
    """An enum is replaced step by step."""
    missing = removed_by("ALTER TYPE mood RENAME TO mood_old")
    replaced = SchemaObject("TYPE", None, "mood")
    assert missing == (replaced, Leftover(None, "mood_old", replaced))
    assert restored_by(missing, ["DROP TYPE mood_old"]) == []
    for statement in (
        "CREATE TYPE mood AS ENUM ('a')",
        "ALTER TABLE t ALTER c TYPE mood USING c::text::mood",
    ):
        missing = not_restored(missing, statement)
        assert missing == (Leftover(None, "mood_old"),)
        assert restored_by(missing, ["DROP TYPE mood_old"]) == [Leftover(None, "mood_old")]
    assert not_restored(missing, "DROP TYPE mood_old") == ()


def test_a_leftover_waits_for_both() -> None:
    """It is restored where the new object comes as well as its own end."""
    missing = removed_by("ALTER TABLE app.t RENAME TO t_old")
    coming = ["CREATE TABLE app.t (a int)", "DROP TABLE app.t_old"]
    assert restored_by(missing, coming) == list(missing)
    assert restored_by(missing, coming[:1]) == list(missing[:1])


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("ALTER TABLE app.t ALTER c DROP DEFAULT", ["DEFAULT c", "TABLE ", "COLUMN c"]),
        ("DROP TRIGGER x ON app.t", ["TRIGGER x", "TABLE "]),
        ("DROP TABLE app.t", ["TABLE ", "TABLE "]),
    ],
)
def test_owners(sql: str, expected: list[str]) -> None:
    """The application never saw the trigger of a table that the revision itself has created."""
    (missing,) = removed_by(sql)
    found = list(owners(missing))
    assert [f"{one.kind} {one.part}" for one in found] == expected
    assert {(one.schema, one.name) for one in found} == {("app", "t")}


def test_owners_of_a_leftover() -> None:
    """It is the object that it was, and later none."""
    was = SchemaObject("TYPE", None, "mood")
    assert list(owners(Leftover(None, "mood_old", was))) == [was]
    assert list(owners(Leftover(None, "mood_old"))) == []


@pytest.mark.parametrize(
    ("sql", "restored"),
    [
        ("DROP VIEW v", [True]),
        ("DROP TRIGGER x ON t", [True]),
        ("ALTER TABLE t DISABLE TRIGGER ALL", [True]),
        ("ALTER TABLE t ALTER c DROP DEFAULT", [True]),
        ("DROP TABLE t", [False]),
        ("ALTER TABLE t DROP c", [False]),
        ("ALTER TYPE a RENAME TO b", [True, False]),
    ],
)
def test_usually_restored(sql: str, restored: list[bool]) -> None:
    """Tables and columns are usually removed for good."""
    assert [usually_restored(one) for one in removed_by(sql)] == restored


def test_visible_changes_are_in_order() -> None:
    """A rename creates the new name and removes the old one."""
    view, old = SchemaObject("VIEW", None, "v"), SchemaObject("VIEW", None, "w")
    changes: list[tuple[Action, Missing]] = [
        (Action.CREATED, old),
        (Action.REMOVED, view),
        (Action.REMOVED, Leftover(None, "w", view)),
        (Action.CREATED, view),
        (Action.REMOVED, old),
        (Action.CREATED, Leftover(None, "w")),
    ]
    sql = "ALTER VIEW v RENAME TO w; CREATE VIEW v AS SELECT 1; DROP VIEW w"
    assert list(visible_changes(sql)) == changes
    assert created_by(sql) == (old, view, Leftover(None, "w"))
    assert removed_by(sql) == (old,)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (SchemaObject("VIEW", None, "v"), SchemaObject("TABLE", "app", "v")),
        (Leftover(None, "a"), Leftover("app", "a", SchemaObject("TYPE", None, "b"))),
    ],
)
def test_the_same_object(one: Missing, other: Missing) -> None:
    """A name without a schema fits any, and a table may replace a view."""
    assert is_same(one, other)
    assert is_same(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (SchemaObject("VIEW", "app", "v"), SchemaObject("VIEW", "public", "v")),
        (SchemaObject("TYPE", None, "v"), SchemaObject("TABLE", None, "v")),
        (SchemaObject("TRIGGER", None, "t", "x"), SchemaObject("TRIGGER", None, "t", "y")),
        (Leftover(None, "a"), SchemaObject("TYPE", None, "a")),
    ],
)
def test_different_objects(one: Missing, other: Missing) -> None:
    """They differ in the schema, the kind or the part."""
    assert not is_same(one, other)
    assert not is_same(other, one)
