"""The schema and rows of each operation's online form, compared with plain Alembic."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest
from acceptance.support import uncommon_tables
from acceptance.support.databases import (
    assert_nothing_is_left,
    database_state,
    state_by_plain_alembic,
)
from acceptance.support.operations import CASES
from acceptance.support.processes import run_liftlock
from helpers import (
    ALL_TABLES_LARGE,
    PairFactory,
    Project,
    ProjectFactory,
    assert_refused,
    assert_succeeded,
    connected,
    rows,
)

pytestmark = [pytest.mark.every_major, pytest.mark.kills]
TARGETS = {"upgrade": "head", "downgrade": "r0"}


def assert_same_as_plain_alembic(plain: Project, ours: Project) -> None:
    """Upgrade a project with plain Alembic and one with liftlock, and compare the databases."""
    expected = state_by_plain_alembic(plain, "upgrade", "head", any_column_order=True)
    assert run_liftlock(ours, "upgrade") == 0
    assert database_state(ours.database, any_column_order=True) == expected
    assert_nothing_is_left(ours.database)


@pytest.mark.parametrize("case", CASES)
def test_operation_matches_plain_alembic(case_project: ProjectFactory, case: str) -> None:
    """Up and down, the catalogs and rows are those of plain Alembic.

    The plan contains the step that proves that the online form was taken.
    """
    plain = case_project(case)
    ours = case_project(case)
    compared = {"any_column_order": CASES[case].reorders_columns, "gapless": True}
    for command, target in TARGETS.items():
        expected = state_by_plain_alembic(plain, command, target, **compared)
        assert run_liftlock(ours, command) == 0
        assert database_state(ours.database, **compared) == expected
        assert_nothing_is_left(ours.database)
    steps = rows(ours.database, "SELECT DISTINCT does FROM liftlock.steps")
    assert CASES[case].step in {"", *steps}


@pytest.mark.parametrize("case", uncommon_tables.CASES)
def test_operation_on_uncommon_table_matches_plain_alembic(
    uncommon_pair: PairFactory, case: str
) -> None:
    """On partitioned, inherited and other tables, the catalogs and rows are plain Alembic's."""
    assert_same_as_plain_alembic(*uncommon_pair(uncommon_tables.CASES[case].upgrade))


FOREIGN_KEYS = {
    "plain": 'op.create_foreign_key("there", "stop", "city", ["city", "zone"], ["id", "zone"])',
    "with actions": (
        'op.create_foreign_key(None, "stop", "city", ["city", "zone"], ["id", "zone"],'
        ' match="FULL", ondelete="SET NULL", onupdate="CASCADE", deferrable=True,'
        ' initially="DEFERRED")'
    ),
}


@pytest.mark.parametrize("name", FOREIGN_KEYS)
def test_foreign_key_to_partitioned_table_matches_plain_alembic(
    uncommon_pair: PairFactory, name: str
) -> None:
    """Before PostgreSQL 18 there is no online form.

    It is refused there; with an allowance it runs as plain Alembic runs it.
    """
    plain, ours = uncommon_pair(FOREIGN_KEYS[name])
    expected = state_by_plain_alembic(plain, "upgrade", "head")
    with connected(ours.database) as session:
        has_online_form = session.info.server_version >= 180000
    done = ours.run("upgrade", **ALL_TABLES_LARGE)
    if has_online_form:
        assert_succeeded(done)
        assert "LL-TABLE-REWRITE" not in done.stderr
    else:
        assert_refused(done, "LL-TABLE-REWRITE")
    assert run_liftlock(ours, "upgrade", LIFTLOCK_ALLOW="LL-TABLE-REWRITE") == 0
    assert database_state(ours.database) == expected
    assert_nothing_is_left(ours.database)


TABLE_OF_THE_SAME_NAME = """
CREATE TABLE public.thing (id integer PRIMARY KEY, label text, "Odd col" integer DEFAULT 3);
INSERT INTO public.thing SELECT i, 'p' || i FROM generate_series(1, 30) AS i;
"""
SET_LOCAL = 'op.execute("SET LOCAL search_path TO other, public")\n'
BODIES_THAT_DEPEND_ON_THE_SESSION = {
    "backfill": (
        f'{SET_LOCAL}op.backfill("thing", set="label = label || \'!\'",'
        " where=\"label NOT LIKE '%!'\")"
    ),
    "index": f'{SET_LOCAL}op.create_index("ix_here", "thing", ["label"])',
    "check": f'{SET_LOCAL}op.create_check_constraint("ck_here", "thing", "id > 0")',
    "replacement column": (
        f'{SET_LOCAL}op.alter_column("thing", "Odd col", type_=sa.BigInteger())'
    ),
    "enum": """
op.execute("CREATE TYPE public.state AS ENUM ('on', 'off')")
op.execute("SET search_path TO other, public")
kind = sa.Enum("on", "off", name="state")
op.create_table("letter", sa.Column("id", sa.Integer), sa.Column("s", kind))
""",
    "temporary table": """
op.create_table("tmp", sa.Column("i", sa.Integer), prefixes=["TEMPORARY"],
    postgresql_on_commit="DELETE ROWS")
op.execute("INSERT INTO tmp SELECT 1")
op.create_index("ix_v", "visit", ["person_id"])
op.execute("UPDATE visit SET person_id = person_id FROM tmp")
op.execute("INSERT INTO other.thing (id) SELECT 100 + i FROM tmp")
""",
}


@pytest.fixture
def same_name_pair(
    project_pair: Callable[[str, str], tuple[Project, Project]],
) -> PairFactory:
    """Make two projects with tables of one name in two schemas."""
    return functools.partial(project_pair, uncommon_tables.TABLES + TABLE_OF_THE_SAME_NAME)


@pytest.mark.parametrize("name", BODIES_THAT_DEPEND_ON_THE_SESSION)
def test_search_path_and_temporary_tables_apply_to_online_forms(
    same_name_pair: PairFactory, name: str
) -> None:
    """A search_path or temporary table of the revision applies to all transactions of its steps."""
    assert_same_as_plain_alembic(*same_name_pair(BODIES_THAT_DEPEND_ON_THE_SESSION[name]))
