"""SERIAL and IDENTITY columns."""

from __future__ import annotations

from dataclasses import replace

from planning.examples import BIG, REWRITES, add_column, facts, names, statements

from liftlock.planning.plan import plan

SERIAL = add_column("n", "integer", special="SERIAL", not_null=True)
IDENTITY = add_column(
    "n",
    "integer",
    special="IDENTITY",
    identity="GENERATED ALWAYS AS IDENTITY (START WITH 3)",
    not_null=True,
)
NOT_NULL = ["look at n", "add helper for n", "validate helper for n", "set n", "drop helper for n"]


def test_serial_column_is_numbered_by_its_sequence() -> None:
    """The sequence has the name that SERIAL would give it."""
    steps = plan(SERIAL, facts(dry_run=REWRITES))
    assert statements(steps)[:5] == [
        'CREATE SEQUENCE "t_n_seq" AS integer',
        'ALTER TABLE t ADD COLUMN "n" integer DEFAULT NULL',
        'ALTER TABLE t ALTER COLUMN "n" SET DEFAULT nextval(\'"t_n_seq"\'::regclass)',
        'ALTER SEQUENCE "t_n_seq" OWNED BY t."n"',
        'UPDATE t SET "n" = nextval(\'"t_n_seq"\'::regclass) WHERE "n" IS NULL',
    ]
    assert names(steps)[5:] == NOT_NULL


def test_serial_column_that_may_be_null() -> None:
    """It is numbered as well."""
    details = replace(SERIAL.details, not_null=False)
    steps = plan(replace(SERIAL, details=details), facts(dry_run=REWRITES))
    assert names(steps) == ["create sequence", "add", "default", "own sequence", "backfill"]


def test_sequence_avoids_a_name_in_use() -> None:
    """As PostgreSQL does."""
    table = replace(BIG, relation_names=frozenset({"t_n_seq"}))
    steps = plan(SERIAL, facts(table, dry_run=REWRITES))
    assert steps[0].sql == 'CREATE SEQUENCE "t_n_seq1" AS integer'


def test_identity_continues_the_numbers_of_a_helper_sequence() -> None:
    """The column must be NOT NULL before it becomes an identity."""
    steps = plan(IDENTITY, facts(dry_run=REWRITES))
    helper = steps[0].sql.split()[2]
    assert steps[0].sql == f"CREATE SEQUENCE {helper} AS integer START WITH 3"
    assert names(steps)[1:4] == ["add", "default", "backfill"]
    assert names(steps)[4:9] == NOT_NULL
    assert statements(steps[9:]) == [
        'ALTER TABLE t ALTER COLUMN "n" DROP DEFAULT',
        'ALTER TABLE t ALTER COLUMN "n" ADD GENERATED ALWAYS AS IDENTITY (START WITH 3)',
        f"SELECT setval(pg_get_serial_sequence('t', 'n'), last_value, is_called) FROM {helper}",
        f"DROP SEQUENCE {helper}",
    ]


def test_default_becomes_identity_in_one_step() -> None:
    """Between two steps, a new row would have no number, or a duplicate one."""
    steps = plan(IDENTITY, facts(dry_run=REWRITES))
    (identity,) = [step for step in steps if step.name == "identity"]
    assert len(identity.more_sql) == 2


def test_violation_drops_the_helper_sequence() -> None:
    """The column doesn't own it."""
    steps = plan(IDENTITY, facts(dry_run=REWRITES))
    helper = steps[0].sql.split()[2]
    (validate,) = [step for step in steps if step.name.startswith("validate")]
    assert validate.undo[1:] == (
        'ALTER TABLE t DROP COLUMN IF EXISTS "n"',
        f"DROP SEQUENCE IF EXISTS {helper}",
    )
