"""ALTER COLUMN … TYPE."""

from __future__ import annotations

from dataclasses import replace

import pytest
from planning.examples import (
    BIG,
    CHANGE_TYPE,
    DEPENDENT_CHECK,
    REPLACEMENT,
    REPLACEMENT_NAME,
    facts,
    names,
    replace_column,
    statements,
)

from liftlock.errors import UnsafeRevision
from liftlock.model.operation import ColumnDetails
from liftlock.model.step import Pace, Phase
from liftlock.model.table import DryRun
from liftlock.planning.column_type import column_state
from liftlock.planning.plan import plan


def test_type_change_without_rewrite_is_analyzed() -> None:
    """It deletes the column's statistics."""
    assert statements(plan(CHANGE_TYPE, facts())) == [CHANGE_TYPE.sql, 'ANALYZE t ("a")']


def test_checks_are_not_valid_while_the_type_changes() -> None:
    """PostgreSQL would test them for each row under ACCESS EXCLUSIVE."""
    unproven = replace(DEPENDENT_CHECK, name="c2", validated=False, comment=None)
    new = replace(REPLACEMENT, checks=(DEPENDENT_CHECK, unproven))
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
    steps = plan(CHANGE_TYPE, facts(dry_run=replace(dry_run, replacement=REPLACEMENT)))
    assert names(steps) == [
        "add",
        "backfill",
        "build ix",
        "add c",
        "validate c",
        "analyze",
        "await snapshots",
        "swap",
    ]


def test_only_the_swap_is_contract() -> None:
    """Until then the application uses the old column, and each step can be reversed."""
    *before, last = replace_column()
    assert {step.phase for step in before} == {Phase.EXPAND}
    assert last.phase is Phase.CONTRACT
    for step in before:
        assert f'ALTER TABLE t DROP COLUMN IF EXISTS "{REPLACEMENT_NAME}"' in step.undo


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
        replace_column(replace(REPLACEMENT, obstacles=column), replace(BIG, obstacles=table))


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
