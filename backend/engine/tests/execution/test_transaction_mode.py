from __future__ import annotations

import itertools

import pytest
from execution.pages import TRANSACTIONS, table

from liftlock.execution.transaction_mode import TRANSITIONS, Mode, ModeEvent

S, A, C, B = Mode.STEPWISE, Mode.ATOMIC, Mode.AUTOCOMMIT, Mode.ATOMIC_BLOCK
EXPECTED = [
    (ModeEvent.REQUIRE_ATOMIC, [A, A, B, B]),
    (ModeEvent.ENTER_AUTOCOMMIT, [C, C, C, C]),
    (ModeEvent.REFUSE_AUTOCOMMIT, [B, B, B, B]),
    (ModeEvent.LEAVE_AUTOCOMMIT, [S, A, S, A]),
]
"""The mode after each event, for the modes in the order of their definition."""


def test_every_mode_has_a_transition_for_every_event() -> None:
    """No pair of mode and event is missing."""
    assert set(TRANSITIONS) == set(itertools.product(Mode, ModeEvent))


@pytest.mark.parametrize(("event", "modes"), EXPECTED)
def test_mode_after_event(event: ModeEvent, modes: list[Mode]) -> None:
    """The whole table, column by column."""
    assert [TRANSITIONS[mode, event] for mode in (S, A, C, B)] == modes


@pytest.mark.parametrize(
    ("mode", "is_atomic", "is_block"),
    [(S, False, False), (A, True, False), (C, False, True), (B, True, True)],
)
def test_properties_of_a_mode(mode: Mode, *, is_atomic: bool, is_block: bool) -> None:
    """The four modes are the four combinations of both properties."""
    assert mode.is_atomic is is_atomic
    assert mode.is_block is is_block


@pytest.mark.parametrize("mode", Mode)
def test_an_autocommit_block_never_permits_more_commits_than_before(mode: Mode) -> None:
    """After a refused block the mode is as atomic as within it."""
    refused = TRANSITIONS[mode, ModeEvent.REFUSE_AUTOCOMMIT]
    assert refused.is_atomic
    assert TRANSITIONS[refused, ModeEvent.LEAVE_AUTOCOMMIT].is_atomic


@pytest.mark.parametrize("mode", Mode)
def test_requiring_atomicity_lasts_until_autocommit_is_entered(mode: Mode) -> None:
    """Neither the end of a block nor a refused one begins to commit between steps again."""
    required = TRANSITIONS[mode, ModeEvent.REQUIRE_ATOMIC]
    others = set(ModeEvent) - {ModeEvent.ENTER_AUTOCOMMIT}
    assert all(TRANSITIONS[required, event].is_atomic for event in others)


def test_documentation_shows_the_same_table() -> None:
    """docs/explanation/transactions.md has a row for each mode and a column for each event."""
    documented = {
        (Mode(row["mode"]), event): Mode(row[event.value])
        for row in table(TRANSACTIONS, "mode")
        for event in ModeEvent
    }
    assert documented == TRANSITIONS


@pytest.mark.parametrize("member", [*Mode, *ModeEvent])
def test_documentation_explains_each_mode_and_event(member: Mode | ModeEvent) -> None:
    """Each has a sentence of its own in the page."""
    assert f"\n- **{member.value}**: " in TRANSACTIONS.read_text()
