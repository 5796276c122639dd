"""ALTER COLUMN … TYPE."""

from __future__ import annotations

from dataclasses import replace

import pytest
from planning.examples import BIG, CHANGE_TYPE, facts, names, statements

from liftlock.errors import UnsafeRevision
from liftlock.model.operation import ColumnDetails
from liftlock.model.replacement import (
    DependentConstraint,
    DependentIndex,
    DependentSequence,
    ReplacementColumn,
)
from liftlock.model.step import Pace, Phase, Step
from liftlock.model.table import DryRun, Table
from liftlock.planning.column_type import column_state, replacement_name
from liftlock.planning.plan import plan

NAME = replacement_name(CHANGE_TYPE)
CHECK = DependentConstraint("c", "t", "CHECK ((a > 0))", "", validated=True, comment="'positive'")
OWN_KEY = DependentConstraint(
    "fk", "t", f'FOREIGN KEY ("{NAME}") REFERENCES o(id)', "o", validated=True, comment=None
)
OTHER_KEY = DependentConstraint(
    "fk2", "u", f'FOREIGN KEY (x) REFERENCES t("{NAME}")', "t", validated=False, comment=None
)
INDEX = DependentIndex(
    "ix",
    "ix",
    "USING btree (x)",
    unique=False,
    constraint="",
    deferral="",
    comment=None,
    constraint_comment=None,
    column_only=True,
    replica_identity=False,
    clustered=False,
)
NEW = ReplacementColumn(
    type="bigint",
    default="7",
    not_null=None,
    attributes=("SET STATISTICS 50",),
    grants=("SELECT (a) ON t TO PUBLIC",),
    comment="'it''s'",
    indexes=(INDEX,),
    checks=(CHECK,),
    keys=(),
    sequences=(),
    obstacles=(),
    fingerprint="0cc175b9c0f1b6a831c399e269772661",
)


def replace_column(new: ReplacementColumn = NEW, table: Table = BIG) -> tuple[Step, ...]:
    """Return the steps of a type change by a replacement column."""
    return plan(CHANGE_TYPE, facts(table, dry_run=DryRun(rewrites=True, replacement=new)))


def swap(new: ReplacementColumn, table: Table = BIG) -> list[str]:
    """Return the statements of the swap, without the check of the column's state."""
    return list(replace_column(new, table)[-1].more_sql)


def test_type_change_without_rewrite_is_analyzed() -> None:
    """It deletes the column's statistics."""
    assert statements(plan(CHANGE_TYPE, facts())) == [CHANGE_TYPE.sql, 'ANALYZE t ("a")']


def test_checks_are_not_valid_while_the_type_changes() -> None:
    """PostgreSQL would test them for each row under ACCESS EXCLUSIVE."""
    unproven = replace(CHECK, name="c2", validated=False, comment=None)
    new = replace(NEW, checks=(CHECK, unproven))
    change, _, *validations = plan(CHANGE_TYPE, facts(dry_run=DryRun(replacement=new)))
    assert statements([change]) == [
        'ALTER TABLE t DROP CONSTRAINT "c"',
        'ALTER TABLE t DROP CONSTRAINT "c2"',
        CHANGE_TYPE.sql,
        'ALTER TABLE t ADD CONSTRAINT "c" CHECK ((a > 0)) NOT VALID',
        """COMMENT ON CONSTRAINT "c" ON t IS 'positive'""",
        'ALTER TABLE t ADD CONSTRAINT "c2" CHECK ((a > 0)) NOT VALID',
    ]
    assert names(validations) == ["validate c"]
    assert validations[0].pace is Pace.ONLINE


@pytest.mark.parametrize("dry_run", [DryRun(rewrites=True), DryRun(rebuilds=True)])
def test_replacement_is_filled_and_validated_before_the_swap(dry_run: DryRun) -> None:
    """A rebuilt index takes a replacement column as well as a rewritten table."""
    steps = plan(CHANGE_TYPE, facts(dry_run=replace(dry_run, replacement=NEW)))
    assert names(steps) == [
        "add",
        "backfill",
        "build ix",
        "add c",
        "validate c",
        "analyze",
        "swap",
    ]


def test_only_the_swap_is_contract() -> None:
    """Until then the application uses the old column, and each step can be reversed."""
    *before, last = replace_column()
    assert {step.phase for step in before} == {Phase.EXPAND}
    assert last.phase is Phase.CONTRACT
    for step in before:
        assert f'ALTER TABLE t DROP COLUMN IF EXISTS "{NAME}"' in step.undo


def test_replacement_that_is_not_null() -> None:
    """NOT NULL is proved before the swap."""
    steps = replace_column(replace(NEW, not_null=""))
    assert f"set {NAME}" in names(steps)


@pytest.mark.parametrize(
    ("column", "table", "expected"),
    [
        (("view v", "policy p on t"), (), "because of view v; policy p on t"),
        ((), ("rule r",), "because of rule r"),
    ],
)
def test_obstacles_of_a_replacement_are_named(
    column: tuple[str, ...], table: tuple[str, ...], expected: str
) -> None:
    """Before any step runs."""
    with pytest.raises(UnsafeRevision, match=expected):
        replace_column(replace(NEW, obstacles=column), replace(BIG, obstacles=table))


@pytest.mark.parametrize(
    ("clause", "using", "value"),
    [("", "", '"a"'), (" USING a::bigint + 1", "a::bigint + 1", "a::bigint + 1")],
)
def test_refusal_has_code_for_a_second_column(clause: str, using: str, value: str) -> None:
    """With the type and the expression of the statement."""
    details = ColumnDetails("a", using=using)
    operation = replace(CHANGE_TYPE, sql=CHANGE_TYPE.sql + clause, details=details)
    with pytest.raises(UnsafeRevision, match=r"type change of t\.a") as caught:
        plan(operation, facts(dry_run=None))
    assert caught.value.now.split("\n")[1:3] == [
        "  op.execute('ALTER TABLE t ADD COLUMN \"a_new\" bigint')",
        f"""  op.backfill("t", set='"a_new" = {value}', where='"a_new" IS NULL')""",
    ]


def test_state_query_quotes_its_names() -> None:
    """A name may contain a quote."""
    query = column_state('app."it\'s"', "a'b")
    assert "'app.\"it''s\"'::regclass" in query
    assert "a.attname = 'a''b'" in query


def test_triggers_copy_the_old_column() -> None:
    """The backfill doesn't fire them; the session's settings convert the values."""
    add = replace_column()[0]
    function = f'liftlock."{NAME}_1"'
    assert add.sql == f'ALTER TABLE t ADD COLUMN "{NAME}" bigint DEFAULT NULL'
    *attributes, create, insert, _, update, _ = add.more_sql
    assert attributes == [
        f'ALTER TABLE t ALTER COLUMN "{NAME}" DROP DEFAULT',
        f'ALTER TABLE t ALTER COLUMN "{NAME}" SET STATISTICS 50',
        "GRANT SELECT (a) ON t TO PUBLIC",
        f"COMMENT ON COLUMN t.\"{NAME}\" IS 'it''s'",
    ]
    assert create.startswith(f"CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SET")
    assert f'NEW."{NAME}" := NEW."a";' in create
    assert insert.endswith(f"BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION {function}()")
    assert f'WHEN (OLD."{NAME}" IS NOT NULL OR NEW."{NAME}" IS NULL)' in update


def test_using_expression_is_evaluated_in_the_trigger() -> None:
    """It may name the table, and needs the search path of the revision."""
    details = ColumnDetails("a", using="t.a::bigint")
    operation = replace(CHANGE_TYPE, details=details)
    add, copy, *_ = plan(operation, facts(dry_run=DryRun(rewrites=True, replacement=NEW)))
    function = add.more_sql[-5]
    assert ':= (SELECT t.a::bigint FROM (SELECT NEW.*) AS "t");' in function
    assert "SET search_path FROM CURRENT" in function
    assert copy.where == f'"{NAME}" IS NULL AND (t.a::bigint) IS NOT NULL'


def test_tenants_have_a_trigger_function_each() -> None:
    """Equal tables in several schemas share the name of the replacement column."""
    functions = {replace_column(table=replace(BIG, oid=oid))[0].more_sql[-5] for oid in (1, 2)}
    assert len(functions) == 2


def test_foreign_keys_of_a_replacement() -> None:
    """One that was NOT VALID stays so; the undo drops those of other tables."""
    steps = replace_column(replace(NEW, indexes=(), checks=(), keys=(OWN_KEY, OTHER_KEY)))
    assert names(steps)[2:-2] == ["add fk", "validate fk", "add fk2"]
    assert [step.tables for step in steps[2:5:2]] == [("o", "t"), ("t", "u")]
    assert steps[0].undo[1].startswith("ALTER TABLE u DROP CONSTRAINT IF EXISTS")
    assert steps[-1].tables == ("o", "t", "u")


def test_swap_stops_when_the_column_was_changed() -> None:
    """An index that was created meanwhile would be dropped with the column."""
    check = replace_column()[-1].sql
    assert f"IS DISTINCT FROM '{NEW.fingerprint}'" in check
    assert 'RAISE EXCEPTION \'column "a" of t was changed' in check


def test_swap_renames_the_replacement() -> None:
    """The old column is dropped, with its indexes and checks, right before."""
    bare = replace(NEW, indexes=(), checks=(), default=None)
    assert swap(bare) == [
        f'DROP TRIGGER "~{NAME}_insert" ON t',
        f'DROP TRIGGER "~{NAME}_update" ON t',
        f'DROP FUNCTION liftlock."{NAME}_1"()',
        'ALTER TABLE t DROP COLUMN "a"',
        f'ALTER TABLE t RENAME COLUMN "{NAME}" TO "a"',
    ]


def test_swap_moves_the_default_and_the_owned_sequence() -> None:
    """Before DROP COLUMN, which would drop the sequence."""
    sequence = DependentSequence("t_a_seq", "t_a_seq", "", ())
    moved = swap(replace(NEW, sequences=(sequence,)))
    drop = moved.index('ALTER TABLE t DROP COLUMN "a"')
    assert moved[drop - 2 : drop] == [
        f'ALTER SEQUENCE t_a_seq OWNED BY t."{NAME}"',
        f'ALTER TABLE t ALTER COLUMN "{NAME}" SET DEFAULT 7',
    ]


def test_swap_creates_an_identity_that_continues_the_numbers() -> None:
    """PostgreSQL can't move an identity's sequence."""
    sequence = DependentSequence(
        "t_a_seq", "t_a_seq", "GENERATED ALWAYS AS IDENTITY (START WITH 3)", ("USAGE ON t_a_seq",)
    )
    written = swap(replace(NEW, default=None, sequences=(sequence,)))
    (add,) = [sql for sql in written if "ADD GENERATED" in sql]
    temporary = add.split("SEQUENCE NAME ")[1].split()[0]
    assert add.endswith(f"AS IDENTITY (SEQUENCE NAME {temporary} START WITH 3)")
    unquoted = temporary.strip('"')
    assert f"SELECT setval('\"{unquoted}\"', last_value, is_called) FROM t_a_seq" in written
    rename = written.index(f'ALTER SEQUENCE {temporary} RENAME TO "t_a_seq"')
    assert rename > written.index('ALTER TABLE t DROP COLUMN "a"')
    assert written[rename + 1] == "GRANT USAGE ON t_a_seq"


def test_swap_gives_indexes_their_names_and_roles() -> None:
    """A constraint's index is attached, which renames it; comments and roles follow."""
    unique = replace(
        INDEX,
        name="u",
        unique=True,
        constraint="UNIQUE",
        deferral=" DEFERRABLE",
        comment="'index'",
        constraint_comment="'constraint'",
        column_only=False,
        replica_identity=True,
    )
    clustered = replace(INDEX, clustered=True)
    written = swap(replace(NEW, indexes=(unique, clustered), checks=()))
    assert [sql.replace("liftlock_", "") for sql in written[-7:] if '"liftlock_' not in sql] == [
        "COMMENT ON CONSTRAINT \"u\" ON t IS 'constraint'",
        "COMMENT ON INDEX \"u\" IS 'index'",
        'ALTER TABLE t REPLICA IDENTITY USING INDEX "u"',
        'ALTER TABLE t CLUSTER ON "ix"',
    ]
    (attach,) = [sql for sql in written if "USING INDEX" in sql and "ADD CONSTRAINT" in sql]
    assert attach.startswith('ALTER TABLE t ADD CONSTRAINT "u" UNIQUE USING INDEX "liftlock_')
    assert attach.endswith('" DEFERRABLE')
    assert written[-3].endswith(f' RENAME COLUMN "{NAME}" TO "a"')


def test_swap_gives_constraints_their_names() -> None:
    """From PostgreSQL 18 on, NOT NULL has a name as well."""
    written = swap(replace(NEW, indexes=(), not_null="t_a_not_null"))
    assert written[-3].endswith(' TO "c"')
    assert written[-2] == """COMMENT ON CONSTRAINT "c" ON t IS 'positive'"""
    assert written[-1] == (f'ALTER TABLE t RENAME CONSTRAINT "t_{NAME}_not_null" TO "t_a_not_null"')
