"""Random sequences of operations, with random kills, compared with plain Alembic."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest
from acceptance.support.databases import (
    assert_nothing_is_left,
    database_state,
    state_by_plain_alembic,
)
from acceptance.support.kill_points import kill_at_commit
from acceptance.support.processes import run_liftlock
from helpers import Project
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = [pytest.mark.every_major, pytest.mark.kills]
INDEPENDENT_OPERATIONS = [
    'op.create_index("ix_a", "Person", ["email"])',
    'op.create_index("ix_b", "Person", [sa.text("lower(email)"), "age"], unique=True)',
    'op.create_unique_constraint(None, "Person", ["code"])',
    'op.create_check_constraint(None, "Person", "code > 0")',
    'op.create_foreign_key(None, "Person", "country", ["country"], ["code"])',
    'op.alter_column("Person", "age", nullable=False)',
    'op.alter_column("Person", "country", type_=sa.String(90))',
    'op.alter_column("Person", "Nick name", new_column_name="nick", comment="short")',
    'op.alter_column("Person", "country", server_default="Ax", nullable=False)',
    (
        'op.add_column("Person", sa.Column("token", sa.Uuid,'
        ' server_default=sa.text("gen_random_uuid()"), nullable=False))'
    ),
    (
        'op.add_column("Person", sa.Column("born", sa.Date,'
        " sa.CheckConstraint(\"born > '1900-01-01'\"), index=True))"
    ),
    (
        'op.add_column("visit", sa.Column("place", sa.String(2), sa.ForeignKey("country.code"),'
        ' server_default="Bx"))'
    ),
    'op.drop_index("ix_person_age")',
    'op.drop_column("Person", "created")',
    'op.execute("UPDATE visit SET what = upper(what)")',
    (
        "op.get_bind().execute(sa.text("
        "\"UPDATE visit SET at = at + interval '1 day' WHERE person_id < 100\"))"
    ),
    (
        'op.create_table("letter", sa.Column("id", sa.Integer, primary_key=True),'
        ' sa.Column("to_id", sa.Integer, sa.ForeignKey("Person.id")))'
    ),
    'op.add_column("Person", sa.Column("draw", sa.Integer, sa.Identity(always=True)))',
    'op.create_primary_key(None, "visit", ["person_id", "at"])',
    'op.alter_column("Person", "code", type_=sa.BigInteger())',
    'op.alter_column("Person", "id", type_=sa.BigInteger())',
    'op.alter_column("visit", "person_id", type_=sa.BigInteger())',
    'op.alter_column("Person", "age", type_=sa.Text(), server_default="0")',
    'op.create_index("ix_reading", "reading", ["value", sa.text("lower(country)")])',
    'op.create_unique_constraint(None, "reading", ["at", "sensor", "country"])',
    (
        'op.add_column("reading", sa.Column("token", sa.Uuid,'
        ' server_default=sa.text("gen_random_uuid()")))'
    ),
    (
        'with op.batch_alter_table("visit") as batch:\n'
        '    batch.alter_column("what", nullable=False)\n'
        '    batch.drop_constraint("visit_person_id_fkey")'
    ),
    'assert op.get_bind().execute(sa.text("SELECT count(*) FROM visit")).scalar() == 300',
]
"""Operations none of which depends on another, so that any order is a plausible history."""


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(drawn=st.data())
def test_random_sequence_of_operations_matches_plain_alembic(
    seeded_project: Callable[[], Project], drawn: st.DataObject
) -> None:
    """In one revision or two, killed now and then.

    The catalogs and rows are those of plain Alembic.
    """
    sequences = st.lists(
        st.sampled_from(INDEPENDENT_OPERATIONS), min_size=2, max_size=8, unique=True
    )
    operations = drawn.draw(sequences)
    in_first_revision = drawn.draw(st.integers(1, len(operations)))
    killed_at = drawn.draw(st.lists(st.integers(4, 25), max_size=3))
    plain = seeded_project()
    ours = seeded_project()
    for project in (plain, ours):
        project.revision("r1", "r0", "\n".join(operations[:in_first_revision]))
        project.revision("r2", "r1", "\n".join(operations[in_first_revision:]) or "pass")
    any_column_order = any("type_=" in operation for operation in operations)
    expected = state_by_plain_alembic(plain, "upgrade", "head", any_column_order=any_column_order)
    for number in killed_at:
        kill = kill_at_commit(number, before=bool(number % 2))
        assert run_liftlock(ours, "upgrade", kill) in {-signal.SIGKILL, 0}
    assert run_liftlock(ours, "upgrade") == 0
    assert database_state(ours.database, any_column_order=any_column_order) == expected
    assert_nothing_is_left(ours.database)
