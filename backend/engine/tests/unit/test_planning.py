"""Recipes, without a database: which steps an operation becomes, and in which order."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.errors import UnsafeRevision
from liftlock.model.lock import LockMode
from liftlock.model.operation import ColumnDetails, ConstraintDetails, IndexDetails, Operation
from liftlock.model.replacement import DependentConstraint, DependentIndex, ReplacementColumn
from liftlock.model.step import Pace, Phase, Step, StepKind
from liftlock.model.table import Column, Constraint, DryRun, Facts, Index, Table
from liftlock.planning import cost
from liftlock.planning.column_type import replacement_name
from liftlock.planning.naming import automatic
from liftlock.planning.plan import phase_of, plan

BIG = Table(
    oid=1,
    name="t",
    kind="r",
    bytes=1 << 30,
    rows=1e7,
    columns=(Column("id", "integer", not_null=True), Column("a", "integer", not_null=False)),
    constraints=(
        Constraint("t_pkey", "p", ("id",), "", validated=True),
        Constraint("t_a_fkey", "f", ("a",), "o", validated=True),
    ),
    indexes=(
        Index(
            "ix",
            ("a",),
            columns_only=True,
            unique=False,
            valid=True,
            immediate=True,
            constraint=False,
        ),
    ),
)
SMALL = 1 << 20


def facts(table: Table | None = BIG, **more: object) -> Facts:
    """Facts of one table."""
    return replace(
        Facts(small_table_bytes=SMALL, tables={"t": table} if table else {}, dry_run=DryRun()),
        **more,
    )  # type: ignore[arg-type]


def parts(steps: tuple[Step, ...]) -> list[str]:
    """What the steps do."""
    return [step.name for step in steps]


INDEX = Operation(
    "create_index",
    "t",
    "CREATE UNIQUE INDEX ix2 ON t (a)",
    relation="t",
    details=IndexDetails("ix2", "ix2", unique=True),
)
NOT_NULL = Operation(
    "alter_nullable",
    "t",
    "ALTER TABLE t ALTER COLUMN a SET NOT NULL",
    relation="t",
    details=ColumnDetails("a"),
)
FOREIGN_KEY = Operation(
    "create_foreign_key",
    "t",
    "ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES o (id)",
    relation="t",
    others=("o",),
    details=ConstraintDetails(
        None, "FOREIGN KEY (a) REFERENCES o (id)", ("a",), refers="o", refers_columns=("id",)
    ),
)
DEFAULT = Operation(
    "add_column",
    "t",
    "ALTER TABLE t ADD COLUMN b uuid DEFAULT gen_random_uuid() NOT NULL",
    relation="t",
    details=ColumnDetails("b", "uuid", "gen_random_uuid()", not_null=True),
)
TYPE = Operation(
    "alter_type",
    "t",
    "ALTER TABLE t ALTER COLUMN a TYPE bigint",
    relation="t",
    details=ColumnDetails("a"),
)


@pytest.mark.parametrize("operation", [INDEX, NOT_NULL, FOREIGN_KEY, DEFAULT, TYPE])
@pytest.mark.parametrize(
    "table",
    [None, replace(BIG, created_by_run=True), replace(BIG, bytes=100)],
    ids=["absent", "new", "small_table_bytes"],
)
def test_nothing_is_rewritten_where_nobody_waits(operation: Operation, table: Table | None) -> None:
    """A table that is not there yet, or new, or small keeps the plain form."""
    steps = plan(operation, facts(table, dry_run=DryRun(rewrites=True)))
    assert steps[0].sql == operation.sql
    assert steps[0].pace is Pace.BRIEF


def test_an_index_is_built_concurrently_and_can_be_repaired() -> None:
    """With its uniqueness; an interrupted build is dropped concurrently too."""
    (step,) = plan(INDEX, facts())
    assert step.sql == "CREATE UNIQUE INDEX CONCURRENTLY ix2 ON t (a)"
    assert (step.kind, step.pace, step.repair) == (
        StepKind.CONCURRENT,
        Pace.ONLINE,
        "DROP INDEX CONCURRENTLY IF EXISTS ix2",
    )


def test_not_null_is_proven_before_it_is_set() -> None:
    """And the helper is dropped by a statement of its own, or the proof would be lost."""
    steps = plan(NOT_NULL, facts())
    assert parts(steps) == [
        "look at a",
        "add helper for a",
        "validate helper for a",
        "set a",
        "drop helper for a",
    ]
    assert steps[2].lock is LockMode.SHARE_UPDATE_EXCLUSIVE
    assert phase_of(steps) is Phase.CONTRACT
    assert (
        plan(NOT_NULL, facts(replace(BIG, columns=(Column("a", "integer", not_null=True),)))) == ()
    )


def test_a_foreign_key_locks_the_referred_table_first() -> None:
    """An application that writes parent before child can't deadlock with it then; and the name is PostgreSQL's own."""
    look, add, validate = plan(FOREIGN_KEY, facts())
    assert look.kind is StepKind.LOOK
    assert add.tables == ("o", "t")
    assert '"t_a_fkey"' in plan(FOREIGN_KEY, facts(replace(BIG, constraints=())))[1].sql
    assert (
        '"t_a_fkey1"'
        in plan(FOREIGN_KEY, facts(replace(BIG, constraint_names=frozenset({"t_a_fkey"}))))[1].sql
    )
    assert validate.undo


def test_a_volatile_default_comes_before_the_backfill_and_the_constraint_after() -> None:
    """New rows have it at once, so the backfill comes to an end."""
    steps = plan(DEFAULT, facts(dry_run=DryRun(rewrites=True)))
    assert parts(steps)[:3] == ["add", "default", "backfill"]
    assert parts(steps)[-1] == "drop helper for b"
    assert steps[2].where == '"b" IS NULL'
    assert plan(DEFAULT, facts())[0].sql == DEFAULT.sql


@pytest.mark.parametrize(
    "dry_run",
    [None, DryRun(rewrites=True), DryRun(rebuilds=True)],
    ids=["unknown", "rewrites", "rebuilds an index"],
)
def test_what_rewrites_is_refused_unless_somebody_allows_it(dry_run: DryRun | None) -> None:
    """By the revision with a reason, or by the operator; the message says how."""
    with pytest.raises(UnsafeRevision) as caught:
        plan(TYPE, facts(dry_run=dry_run))
    assert "LIFTLOCK_ALLOW=LL-TABLE-REWRITE" in str(caught.value)
    assert (
        parts(
            plan(replace(TYPE, allowed={"LL-TABLE-REWRITE": "it is night"}), facts(dry_run=dry_run))
        )[0]
        == "plain"
    )
    assert parts(plan(TYPE, facts(dry_run=dry_run, allowed=frozenset({"LL-TABLE-REWRITE"})))) == [
        "plain",
        "analyze",
    ]


CHECK = DependentConstraint("c", "t", "CHECK ((a > 0))", "", validated=True, comment="'positive'")
TWIN = ReplacementColumn(
    type="bigint",
    default="7",
    not_null="",
    attributes=("SET STATISTICS 50",),
    grants=(),
    comment="'it''s'",
    indexes=(
        DependentIndex(
            "ix",
            "ix",
            "USING btree (x)",
            False,
            "",
            "",
            None,
            None,
            column_only=True,
            replica_identity=False,
            clustered=False,
        ),
    ),
    checks=(CHECK,),
    keys=(),
    sequences=(),
    obstacles=(),
    state="0cc175b9c0f1b6a831c399e269772661",
)


def test_a_check_is_unproven_for_a_moment_while_the_type_changes() -> None:
    """PostgreSQL would prove it anew while it holds its strongest lock, even where nothing is rewritten."""
    assert parts(plan(TYPE, facts())) == ["plain", "analyze"]
    change, _, proof = plan(TYPE, facts(dry_run=DryRun(replacement=TWIN)))
    assert (change.sql, *change.more_sql) == (
        'ALTER TABLE t DROP CONSTRAINT "c"',
        TYPE.sql,
        'ALTER TABLE t ADD CONSTRAINT "c" CHECK ((a > 0)) NOT VALID',
        """COMMENT ON CONSTRAINT "c" ON t IS 'positive'""",
    )
    assert proof.pace is Pace.ONLINE


def test_a_twin_is_added_filled_proven_and_swapped() -> None:
    """All before the swap can be taken back; the swap is one step, and the only one that breaks the old release."""
    steps = plan(TYPE, facts(dry_run=DryRun(rewrites=True, replacement=TWIN)))
    name = replacement_name(TYPE)
    assert parts(steps)[:2] == ["add", "backfill"]
    assert parts(steps)[-5:] == ["build ix", "add c", "validate c", "analyze", "swap"]
    assert all(
        step.undo and f'ALTER TABLE t DROP COLUMN IF EXISTS "{name}"' in step.undo
        for step in steps[:-1]
    )
    assert [step.phase for step in steps] == [Phase.EXPAND] * (len(steps) - 1) + [Phase.CONTRACT]
    drop, rename = 'ALTER TABLE t DROP COLUMN "a"', f'ALTER TABLE t RENAME COLUMN "{name}" TO "a"'
    assert steps[-1].more_sql.index(rename) == steps[-1].more_sql.index(drop) + 1


def test_tenants_with_the_same_type_change_have_a_function_each() -> None:
    """Their tables are called the same, in schemas of their own; the functions stand in one."""
    adds = [
        plan(TYPE, facts(replace(BIG, oid=oid), dry_run=DryRun(rewrites=True, replacement=TWIN)))[0]
        for oid in (1, 2)
    ]
    made = {
        sql.split("(")[0]
        for one in adds
        for sql in one.more_sql
        if sql.startswith("CREATE FUNCTION")
    }
    assert len(made) == 2


def test_what_a_twin_cannot_carry_over_is_named() -> None:
    """Before anything is done."""
    twin = replace(TWIN, obstacles=("view v", "policy p on t"))
    with pytest.raises(UnsafeRevision, match="because of view v; policy p on t"):
        plan(TYPE, facts(dry_run=DryRun(rewrites=True, replacement=twin)))


def test_dropping_a_foreign_key_locks_both_tables_in_one_order() -> None:
    """It takes the strongest lock on both."""
    drop = Operation(
        "drop_constraint",
        "t",
        "ALTER TABLE t DROP CONSTRAINT t_a_fkey",
        relation="t",
        details=ConstraintDetails("t_a_fkey"),
    )
    assert plan(drop, facts())[0].tables == ("o", "t")


def test_a_revision_is_contract_when_any_step_is() -> None:
    """Dropping a column breaks the release that still reads it; on a table of the revision's own it breaks nobody."""
    add, drop = (Operation(kind, "t", "…", relation="t") for kind in ("add_column", "drop_column"))
    assert phase_of(plan(add, facts())) is Phase.EXPAND
    assert phase_of(plan(add, facts()) + plan(drop, facts())) is Phase.CONTRACT
    assert (
        phase_of(plan(drop, facts(replace(BIG, created_by_run=True, created_by_revision=True))))
        is Phase.EXPAND
    )


def test_a_step_comes_back_from_the_ledger_as_it_was() -> None:
    """A resumed run ends with the recipe that was begun."""
    for operation in (INDEX, NOT_NULL, FOREIGN_KEY):
        for step in plan(operation, facts()):
            assert Step.from_dict(step.as_dict()) == step


@given(
    table=st.text(min_size=1, max_size=70),
    columns=st.lists(st.text(min_size=1, max_size=70), min_size=1, max_size=5),
)
def test_automatic_names_fit(table: str, columns: list[str]) -> None:
    """PostgreSQL's identifiers have 63 bytes; whole characters are kept, and the label always."""
    name = automatic(
        table.replace("\0", "-"),
        [one.replace("\0", "-") for one in columns],
        "key",
        lambda _name: False,
    )
    assert len(name.encode()) <= 63
    assert name.endswith("_key")


@pytest.mark.parametrize(
    ("operation", "part", "words"),
    [
        (INDEX, "build", "up to 2 minutes"),
        (DEFAULT, "backfill", "up to 20 minutes"),
        (DEFAULT, "add", "milliseconds"),
    ],
)
def test_estimates_go_by_size(operation: Operation, part: str, words: str) -> None:
    """A gigabyte and ten million rows."""
    step = next(
        one for one in plan(operation, facts(dry_run=DryRun(rewrites=True))) if one.name == part
    )
    assert cost.describe_duration(cost.seconds_of_step(step, BIG)) == words
    assert cost.seconds_of_step(replace(step, pace=Pace.ONLINE), None) is None


def test_an_exclusion_constraint_is_refused_on_a_table_that_is_in_use() -> None:
    """PostgreSQL can't build its index concurrently."""
    exclude = Operation(
        "create_exclude_constraint",
        "t",
        "ALTER TABLE t ADD EXCLUDE USING gist (a WITH =)",
        relation="t",
    )
    with pytest.raises(UnsafeRevision, match="LL-EXCLUSION-CONSTRAINT"):
        plan(exclude, facts())
    assert parts(plan(exclude, facts(replace(BIG, created_by_run=True)))) == ["plain"]
