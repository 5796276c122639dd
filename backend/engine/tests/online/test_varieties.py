"""Operations on tables and columns of less common kinds: plain Alembic's schema and rows."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest
from helpers import Project, connected
from online.storms import child, expected, nothing_is_left, state
from online.varieties import TABLES, VARIETIES

pytestmark = pytest.mark.storms
KEYS = {
    "plain": 'op.create_foreign_key("there", "stop", "city", ["city", "zone"], ["id", "zone"])',
    "with actions": (
        'op.create_foreign_key(None, "stop", "city", ["city", "zone"], ["id", "zone"], match="FULL", '
        'ondelete="SET NULL", onupdate="CASCADE", deferrable=True, initially="DEFERRED")'
    ),
}
TWIN = 'op.alter_column("kept", "city", type_=sa.BigInteger())'


@pytest.fixture
def both(
    pair: Callable[[str, str], tuple[Project, Project]],
) -> Callable[[str], tuple[Project, Project]]:
    """Makes a project to run with plain Alembic, and one to run with liftlock, with these tables."""
    return functools.partial(pair, TABLES)


@pytest.mark.parametrize("name", VARIETIES)
def test_same_schema_of_less_common_kinds(
    both: Callable[[str], tuple[Project, Project]], name: str
) -> None:
    """And the same rows."""
    plain, ours = both(VARIETIES[name])
    wanted = expected(plain, "upgrade", "head", moved=True)
    assert child(ours, "upgrade") == 0
    assert state(ours.database, moved=True) == wanted
    nothing_is_left(ours.database)


@pytest.mark.parametrize("name", KEYS)
def test_same_schema_of_a_key_to_a_partitioned_table(
    both: Callable[[str], tuple[Project, Project]], name: str
) -> None:
    """Before PostgreSQL 18 there is no online way to it."""
    plain, ours = both(KEYS[name])
    wanted = expected(plain, "upgrade", "head")
    with connected(ours.database) as session:
        proves = session.info.server_version >= 180000
    done = ours.run("upgrade", LIFTLOCK_SMALL_TABLE="0")
    assert (done.returncode, "LL-TABLE-REWRITE" in done.stderr) == (
        (0, False) if proves else (3, True)
    ), done.stderr
    assert child(ours, "upgrade", LIFTLOCK_ALLOW="LL-TABLE-REWRITE") == 0
    assert state(ours.database) == wanted
    nothing_is_left(ours.database)


def test_a_column_with_a_key_to_a_partitioned_table_has_no_twin(
    both: Callable[[str], tuple[Project, Project]],
) -> None:
    """What the key has for each partition would keep the names that it had before the twin took its place."""
    _, ours = both(TWIN)
    done = ours.run("upgrade", LIFTLOCK_SMALL_TABLE="0")
    assert (
        done.returncode,
        "LL-TABLE-REWRITE" in done.stderr,
        "foreign key there of kept" in done.stderr,
    ) == (3, True, True), done.stderr
