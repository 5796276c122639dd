"""The swap of a column with its replacement column."""

from __future__ import annotations

from dataclasses import replace

from planning.examples import (
    BIG,
    DEPENDENT_INDEX,
    REPLACEMENT,
    REPLACEMENT_NAME,
    replace_column,
)

from liftlock.model.replacement import DependentSequence, ReplacementColumn
from liftlock.model.table import Table


def swap(new: ReplacementColumn, table: Table = BIG) -> list[str]:
    """Return the statements of the swap, without the check of the column's state."""
    return list(replace_column(new, table)[-1].more_sql)


def test_swap_stops_when_the_column_was_changed() -> None:
    """An index that was created meanwhile would be dropped with the column."""
    check = replace_column()[-1].sql
    assert f"IS DISTINCT FROM '{REPLACEMENT.fingerprint}'" in check
    assert 'RAISE EXCEPTION \'column "a" of t was changed' in check


def test_swap_renames_the_replacement() -> None:
    """The old column is dropped, with its indexes and checks, right before."""
    bare = replace(REPLACEMENT, indexes=(), checks=(), default=None)
    assert swap(bare) == [
        f'DROP TRIGGER "~{REPLACEMENT_NAME}_insert" ON t',
        f'DROP TRIGGER "~{REPLACEMENT_NAME}_update" ON t',
        f'DROP FUNCTION liftlock."{REPLACEMENT_NAME}_1"()',
        'ALTER TABLE t DROP COLUMN "a"',
        f'ALTER TABLE t RENAME COLUMN "{REPLACEMENT_NAME}" TO "a"',
    ]


def test_swap_moves_the_default_and_the_owned_sequence() -> None:
    """Before DROP COLUMN, which would drop the sequence."""
    sequence = DependentSequence("t_a_seq", "t_a_seq", "", ())
    moved = swap(replace(REPLACEMENT, sequences=(sequence,)))
    drop = moved.index('ALTER TABLE t DROP COLUMN "a"')
    assert moved[drop - 2 : drop] == [
        f'ALTER SEQUENCE t_a_seq OWNED BY t."{REPLACEMENT_NAME}"',
        f'ALTER TABLE t ALTER COLUMN "{REPLACEMENT_NAME}" SET DEFAULT 7',
    ]


def test_swap_creates_an_identity_that_continues_the_numbers() -> None:
    """PostgreSQL can't move an identity's sequence."""
    sequence = DependentSequence(
        "t_a_seq",
        "t_a_seq",
        "GENERATED ALWAYS AS IDENTITY (START WITH 3)",
        ("USAGE ON t_a_seq",),
        "'it''s'",
    )
    written = swap(replace(REPLACEMENT, default=None, sequences=(sequence,)))
    (add,) = [sql for sql in written if "ADD GENERATED" in sql]
    temporary = add.split("SEQUENCE NAME ")[1].split()[0]
    assert add.endswith(f"AS IDENTITY (SEQUENCE NAME {temporary} START WITH 3)")
    unquoted = temporary.strip('"')
    setval = written.index(f"SELECT setval('\"{unquoted}\"', last_value, is_called) FROM t_a_seq")
    assert written[setval - 1] == "ALTER SEQUENCE t_a_seq START WITH 3"  # locks out nextval()
    assert "COMMENT ON SEQUENCE \"t_a_seq\" IS 'it''s'" in written
    rename = written.index(f'ALTER SEQUENCE {temporary} RENAME TO "t_a_seq"')
    assert rename > written.index('ALTER TABLE t DROP COLUMN "a"')
    assert written[rename + 1] == "GRANT USAGE ON t_a_seq"


def test_swap_gives_indexes_their_names_and_roles() -> None:
    """A constraint's index is attached, which renames it; comments and roles follow."""
    unique = replace(
        DEPENDENT_INDEX,
        name="u",
        unique=True,
        constraint="UNIQUE",
        deferral=" DEFERRABLE",
        comment="'index'",
        constraint_comment="'constraint'",
        column_only=False,
        replica_identity=True,
    )
    clustered = replace(DEPENDENT_INDEX, clustered=True)
    written = swap(replace(REPLACEMENT, indexes=(unique, clustered), checks=()))
    assert [sql.replace("liftlock_", "") for sql in written[-7:] if '"liftlock_' not in sql] == [
        "COMMENT ON CONSTRAINT \"u\" ON t IS 'constraint'",
        "COMMENT ON INDEX \"u\" IS 'index'",
        'ALTER TABLE t REPLICA IDENTITY USING INDEX "u"',
        'ALTER TABLE t CLUSTER ON "ix"',
    ]
    (attach,) = [sql for sql in written if "USING INDEX" in sql and "ADD CONSTRAINT" in sql]
    assert attach.startswith('ALTER TABLE t ADD CONSTRAINT "u" UNIQUE USING INDEX "liftlock_')
    assert attach.endswith('" DEFERRABLE')
    assert written[-3].endswith(f' RENAME COLUMN "{REPLACEMENT_NAME}" TO "a"')


def test_swap_gives_constraints_their_names() -> None:
    """From PostgreSQL 18 on, NOT NULL has a name as well."""
    written = swap(replace(REPLACEMENT, indexes=(), not_null="t_a_not_null"))
    assert written[-3].endswith(' TO "c"')
    assert written[-2] == """COMMENT ON CONSTRAINT "c" ON t IS 'positive'"""
    assert written[-1] == (
        f'ALTER TABLE t RENAME CONSTRAINT "t_{REPLACEMENT_NAME}_not_null" TO "t_a_not_null"'
    )
