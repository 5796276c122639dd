"""The modes of a revision's transaction, and the events that change them.

``docs/explanation/transactions.md`` shows this table to readers; a test keeps both equal.
"""

from __future__ import annotations

from enum import Enum


class Mode(Enum):
    """When the open transaction of a revision is committed.

    Members:
        STEPWISE: between steps, whenever the stall budget or a long step asks for it.
        ATOMIC: at the end of the revision only, as with plain Alembic.
        AUTOCOMMIT: after each statement: an autocommit block, or after a COMMIT.
        ATOMIC_BLOCK: at the end of the revision only, although the revision asked for autocommit.
    """

    STEPWISE = "stepwise"
    ATOMIC = "atomic"
    AUTOCOMMIT = "autocommit"
    ATOMIC_BLOCK = "atomic block"

    @property
    def is_atomic(self) -> bool:
        """Return whether nothing may be committed before the end of the revision."""
        return self in {Mode.ATOMIC, Mode.ATOMIC_BLOCK}

    @property
    def is_block(self) -> bool:
        """Return whether the revision asked for autocommit, and sent no BEGIN since."""
        return self in {Mode.AUTOCOMMIT, Mode.ATOMIC_BLOCK}


class ModeEvent(Enum):
    """An event that may change the mode.

    Members:
        REQUIRE_ATOMIC: a statement makes sense only together with the rest of its transaction.
        ENTER_AUTOCOMMIT: the revision asked for autocommit, and everything before is committed.
        REFUSE_AUTOCOMMIT: the revision asked for autocommit, and nothing may be committed.
        LEAVE_AUTOCOMMIT: the autocommit block ended, or the revision sent BEGIN.
    """

    REQUIRE_ATOMIC = "require atomic"
    ENTER_AUTOCOMMIT = "enter autocommit"
    REFUSE_AUTOCOMMIT = "refuse autocommit"
    LEAVE_AUTOCOMMIT = "leave autocommit"


TRANSITIONS: dict[tuple[Mode, ModeEvent], Mode] = {
    (Mode.STEPWISE, ModeEvent.REQUIRE_ATOMIC): Mode.ATOMIC,
    (Mode.STEPWISE, ModeEvent.ENTER_AUTOCOMMIT): Mode.AUTOCOMMIT,
    (Mode.STEPWISE, ModeEvent.REFUSE_AUTOCOMMIT): Mode.ATOMIC_BLOCK,
    (Mode.STEPWISE, ModeEvent.LEAVE_AUTOCOMMIT): Mode.STEPWISE,
    (Mode.ATOMIC, ModeEvent.REQUIRE_ATOMIC): Mode.ATOMIC,
    (Mode.ATOMIC, ModeEvent.ENTER_AUTOCOMMIT): Mode.AUTOCOMMIT,
    (Mode.ATOMIC, ModeEvent.REFUSE_AUTOCOMMIT): Mode.ATOMIC_BLOCK,
    (Mode.ATOMIC, ModeEvent.LEAVE_AUTOCOMMIT): Mode.ATOMIC,
    (Mode.AUTOCOMMIT, ModeEvent.REQUIRE_ATOMIC): Mode.ATOMIC_BLOCK,
    (Mode.AUTOCOMMIT, ModeEvent.ENTER_AUTOCOMMIT): Mode.AUTOCOMMIT,
    (Mode.AUTOCOMMIT, ModeEvent.REFUSE_AUTOCOMMIT): Mode.ATOMIC_BLOCK,
    (Mode.AUTOCOMMIT, ModeEvent.LEAVE_AUTOCOMMIT): Mode.STEPWISE,
    (Mode.ATOMIC_BLOCK, ModeEvent.REQUIRE_ATOMIC): Mode.ATOMIC_BLOCK,
    (Mode.ATOMIC_BLOCK, ModeEvent.ENTER_AUTOCOMMIT): Mode.AUTOCOMMIT,
    (Mode.ATOMIC_BLOCK, ModeEvent.REFUSE_AUTOCOMMIT): Mode.ATOMIC_BLOCK,
    (Mode.ATOMIC_BLOCK, ModeEvent.LEAVE_AUTOCOMMIT): Mode.ATOMIC,
}
