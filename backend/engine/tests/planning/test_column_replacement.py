"""The replacement column of a type change."""

from __future__ import annotations

from dataclasses import replace

from planning.examples import (
    BIG,
    CHANGE_TYPE,
    DEPENDENT_KEY,
    REFERENCING_KEY,
    REPLACEMENT,
    REPLACEMENT_NAME,
    facts,
    names,
    replace_column,
)

from liftlock.model.operation import ColumnDetails
from liftlock.model.table import DryRun
from liftlock.planning.plan import plan


def test_replacement_that_is_not_null() -> None:
    """NOT NULL is proved before the swap."""
    steps = replace_column(replace(REPLACEMENT, not_null=""))
    assert f"set {REPLACEMENT_NAME}" in names(steps)


def test_triggers_copy_the_old_column() -> None:
    """The backfill doesn't fire them; the session's settings convert the values."""
    add = replace_column()[0]
    function = f'liftlock."{REPLACEMENT_NAME}_1"'
    assert add.sql == f'ALTER TABLE t ADD COLUMN "{REPLACEMENT_NAME}" bigint DEFAULT NULL'
    *attributes, create, insert, _, update, _ = add.more_sql
    assert attributes == [
        f'ALTER TABLE t ALTER COLUMN "{REPLACEMENT_NAME}" DROP DEFAULT',
        f'ALTER TABLE t ALTER COLUMN "{REPLACEMENT_NAME}" SET STATISTICS 50',
        "GRANT SELECT (a) ON t TO PUBLIC",
        f"COMMENT ON COLUMN t.\"{REPLACEMENT_NAME}\" IS 'it''s'",
    ]
    assert create.startswith(f"CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SET")
    assert f'NEW."{REPLACEMENT_NAME}" := NEW."a";' in create
    assert "SECURITY DEFINER" not in create
    assert insert.endswith(f"BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION {function}()")
    assert (
        f'WHEN (OLD."{REPLACEMENT_NAME}" IS NOT NULL OR NEW."{REPLACEMENT_NAME}" IS NULL)' in update
    )


def test_using_expression_is_evaluated_in_the_trigger() -> None:
    """It may name the table, and needs the search path of the revision."""
    details = ColumnDetails("a", using="t.a::bigint")
    operation = replace(CHANGE_TYPE, details=details)
    add, copy, *_ = plan(operation, facts(dry_run=DryRun(rewrites=True, replacement=REPLACEMENT)))
    function, revoke, path = add.more_sql[-7:-4]
    assert ':= (SELECT t.a::bigint FROM (SELECT NEW.*) AS "t");' in function
    assert "SET search_path FROM CURRENT SECURITY DEFINER" in function
    assert revoke.startswith("REVOKE ALL ON FUNCTION liftlock.")
    assert "SET search_path = '" in path.replace("''", "'")
    assert copy.where == f'"{REPLACEMENT_NAME}" IS NULL AND (t.a::bigint) IS NOT NULL'


def test_tenants_have_a_trigger_function_each() -> None:
    """Equal tables in several schemas share the name of the replacement column."""
    functions = {replace_column(table=replace(BIG, oid=oid))[0].more_sql[-5] for oid in (1, 2)}
    assert len(functions) == 2


def test_foreign_keys_of_a_replacement() -> None:
    """One that was NOT VALID stays so; the undo drops those of other tables."""
    steps = replace_column(
        replace(REPLACEMENT, indexes=(), checks=(), keys=(DEPENDENT_KEY, REFERENCING_KEY))
    )
    assert names(steps)[2:-3] == ["add fk", "validate fk", "add fk2"]
    assert [step.tables for step in steps[2:5:2]] == [("o", "t"), ("t", "u")]
    assert steps[0].undo[1].startswith("ALTER TABLE u DROP CONSTRAINT IF EXISTS")
    assert steps[-1].tables == ("o", "t", "u")
