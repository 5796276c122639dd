from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from helpers import connected

from liftlock.model.revision import Revision
from liftlock.model.step import Phase
from liftlock.postgres.applied import (
    AppliedRevision,
    applied,
    chain_of,
    current_heads,
    describe_applied,
    describe_execution,
    unfinished,
)
from liftlock.postgres.session import connect
from liftlock.settings import Address

APPLIED = AppliedRevision(
    Revision("b2", ("a1",), (), "add a column"),
    Phase.EXPAND,
    datetime(2024, 1, 2, 3, 4, tzinfo=UTC),
    1.5,
    "migrator on host-1",
)


def test_the_ledgers_revisions_make_a_chain() -> None:
    """It relates unknown revisions to those of a build."""
    next_revision = replace(APPLIED, revision=Revision("c3", ("b2",)))
    chain = chain_of([APPLIED, next_revision])
    assert chain.heads == {"c3"}
    assert chain.ancestors(["c3"]) == {"b2", "c3"}


def test_revisions_are_described_in_one_line() -> None:
    """Each with its time, and the role and host of its run."""
    line = "b2 (add a column), 2024-01-02 03:04, by migrator on host-1"
    assert describe_applied([APPLIED, APPLIED]) == f"{line}; {line}"
    assert describe_applied([]) == ""


@pytest.mark.parametrize(
    ("direction", "text"), [("up", "upgrade of b2"), ("down", "downgrade of b2")]
)
def test_an_execution_is_described_by_its_command(direction: str, text: str) -> None:
    """Of liftlock and Alembic."""
    assert describe_execution({"direction": direction, "revision": "b2"}) == text


def test_a_database_without_a_ledger_has_no_applied_and_unfinished_revisions(
    database: Address,
) -> None:
    """Nor has one without a version table any heads."""
    with contextlib.closing(connect(database, "test")) as session:
        assert applied(session, "public.alembic_version") == []
        assert unfinished(session, "public.alembic_version") == ""
        assert current_heads(session, "public.alembic_version") == frozenset()


def test_the_heads_are_read_from_a_version_table_with_any_name(database: Address) -> None:
    """The name is quoted."""
    with connected(database) as session:
        session.execute('CREATE SCHEMA "Tenant"')
        session.execute('CREATE TABLE "Tenant"."my ""versions" (version_num text)')
        session.execute("""INSERT INTO "Tenant"."my ""versions" VALUES ('a1'), ('b2')""")
    with contextlib.closing(connect(database, "test")) as session:
        assert current_heads(session, 'Tenant.my "versions') == {"a1", "b2"}
