"""Tests of the server's messages: each means work of one kind."""

from __future__ import annotations

import pytest

from liftlock.shadow.notices import work_in
from liftlock.shadow.observed import ServerWork

T = frozenset({"t"})


@pytest.mark.parametrize(
    ("message", "work"),
    [
        ('rewriting table "t"', ServerWork(rewrites=T)),
        ('verifying table "t"', ServerWork(scans=T)),
        ('building index "ix" on table "t" serially', ServerWork(builds=T)),
        ('building index "ix" on table "t" with request for 1 worker', ServerWork(builds=T)),
        ('validating foreign key constraint "t"', ServerWork(validates=T)),
        (
            'existing constraints on column "t.a" are sufficient to prove that it has no nulls',
            ServerWork(proven=T),
        ),
        (
            'partition constraint for table "t" is implied by existing constraints',
            ServerWork(proven=T),
        ),
        (
            'updated partition constraint for default partition "t" is implied by existing ones',
            ServerWork(proven=T),
        ),
        ("CREATE TABLE / PRIMARY KEY will create implicit index", ServerWork()),
        ('note: rewriting table "t"', ServerWork()),
    ],
)
def test_work_of_a_message(message: str, work: ServerWork) -> None:
    """The texts are those of PostgreSQL 13 to 18."""
    assert work_in([message]) == work


def test_work_of_several_messages_is_collected() -> None:
    """Names may have spaces and dots."""
    messages = ['rewriting table "my table"', 'verifying table "a.b"', 'verifying table "t"']
    assert work_in(messages) == ServerWork(
        rewrites=frozenset({"my table"}), scans=frozenset({"a.b", "t"})
    )
