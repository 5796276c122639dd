from __future__ import annotations

import itertools

import pytest
from execution.pages import TRANSACTIONS, table

from liftlock.execution.memory import Escalation, RunMemory

STATEMENT = ("a1", ("shape", 0))


def test_a_statement_begins_in_the_open_transaction() -> None:
    """Nothing is known about it."""
    assert RunMemory().escalation(STATEMENT) is Escalation.SHARED


@pytest.mark.parametrize(("first", "second"), list(itertools.product(Escalation, Escalation)))
def test_an_escalation_never_goes_back(first: Escalation, second: Escalation) -> None:
    """The higher one of both counts, in either order."""
    memory = RunMemory()
    memory.escalate(STATEMENT, first)
    memory.escalate(STATEMENT, second)
    assert memory.escalation(STATEMENT) is max(first, second)


@pytest.mark.parametrize("other", [("b2", ("shape", 0)), ("a1", ("shape", 1)), ("a1", ("x", 0))])
def test_each_statement_of_each_revision_has_its_own_escalation(
    other: tuple[str, tuple[str, int]],
) -> None:
    """The key is the revision, the shape, and how many of that shape came before."""
    memory = RunMemory()
    memory.escalate(STATEMENT, Escalation.NO_TIMEOUT)
    assert memory.escalation(other) is Escalation.SHARED


def test_documentation_lists_the_escalations_in_order() -> None:
    """docs/explanation/transactions.md has a row for each."""
    documented = [row["escalation"] for row in table(TRANSACTIONS, "escalation")]
    assert documented == [member.name.lower().replace("_", " ") for member in Escalation]


def test_unrecorded_writes_are_committed_only_for_revisions_that_need_it() -> None:
    """Another revision of the same run may not."""
    memory = RunMemory()
    assert not memory.may_commit_unrecorded("a1")
    memory.allow_unrecorded_commit("a1")
    assert memory.may_commit_unrecorded("a1")
    assert not memory.may_commit_unrecorded("b2")


def test_commits_are_deferred_only_for_revisions_that_need_it() -> None:
    """Another revision of the same run commits between its steps."""
    memory = RunMemory()
    assert not memory.commits_late("a1")
    memory.commit_late("a1")
    assert memory.commits_late("a1")
    assert not memory.commits_late("b2")
    assert not memory.may_commit_unrecorded("a1")


def test_finished_steps_are_added_up() -> None:
    """A step that is only begun counts nothing."""
    memory = RunMemory()
    memory.count_finished(2)
    memory.count_finished(0)
    memory.count_finished(1)
    assert memory.finished == 3


def test_tables_under_maintenance_are_taken_once() -> None:
    """The next attempt doesn't wait for them again."""
    memory = RunMemory()
    assert memory.take_maintained() == ()
    memory.note_maintained(["a", "b"])
    assert memory.take_maintained() == ("a", "b")
    assert memory.take_maintained() == ()


def test_tables_under_maintenance_are_those_of_the_last_refusal() -> None:
    """A refusal without maintenance forgets the tables of the one before."""
    memory = RunMemory()
    memory.note_maintained(["a"])
    memory.note_maintained([])
    assert memory.take_maintained() == ()
