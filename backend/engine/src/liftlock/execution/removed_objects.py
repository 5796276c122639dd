"""What the transaction that is open has taken away from others, and when it may be committed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from liftlock.model.operation import Operation
from liftlock.model.table import Facts
from liftlock.planning.removals import (
    Thing,
    changes,
    mostly_comes_back,
    put_back,
    still_missing,
    taken,
    wholes,
)
from liftlock.planning.unsafe import refuse_unless_allowed
from liftlock.postgres.advisory_lock import MigrationLock

_MEANWHILE = "If that were committed before, others would miss meanwhile what is taken away."
_ELSEWHERE = "Move it before the one or behind the other"
_DEFAULT = "Where each INSERT names the column nobody misses its default"


class RemovedObjects:
    """What is missing, and the operations that took it.

    Parameters:
        flight: a second session, which sees what others see.

    ``held`` is the operation whose taking away is known to be put back, so that nothing may be committed before that.
    """

    def __init__(self, flight: MigrationLock) -> None:
        self._flight = flight
        self._missing: dict[Thing, Operation] = {}
        self._own: defaultdict[str, list[Thing]] = defaultdict(list)
        self._theirs: defaultdict[str, list[Thing]] = defaultdict(list)
        self.held: Operation | None = None

    def look_ahead(self, coming: Sequence[Operation]) -> None:
        """See whether what is missing is put back by what the revision asks for next, as far as that is known."""
        back = put_back(self._missing, coming) if self._missing else []
        self.held = next(
            (
                self._missing[one]
                for one in back
                if self._flight.visible_to_others(one.kind, one.name.name, one.part)
            ),
            None,
        )

    def passed(self, operation: Operation, *, ran: bool) -> None:
        """The revision has come past an operation.

        Parameters:
            operation: it may make tables and columns, and what it takes away of its own nobody misses.
            ran: it was run; else it was done on an earlier attempt, and is committed.
        """
        for away, thing in changes(operation.sql):
            if away and not _among(self._own, wholes(thing)):
                self._theirs[thing.name.name].append(thing)
            elif (
                not away and thing.kind in {"TABLE", "COLUMN"} and not _among(self._theirs, [thing])
            ):
                self._own[thing.name.name].append(thing)
        takes = [thing for thing in taken(operation.sql) if not _among(self._own, wholes(thing))]
        if ran:
            self._missing = {
                still: by
                for one, by in self._missing.items()
                for still in still_missing((one,), operation.sql)
            }
            self._missing |= dict.fromkeys(takes, operation)

    def hold_what_mostly_comes_back(self) -> bool:
        """Hold, though nobody knows what comes next, a trigger or a view; but no table or column. Returns whether there is one."""
        held = (
            by
            for one, by in self._missing.items()
            if mostly_comes_back(one)
            and self._flight.visible_to_others(one.kind, one.name.name, one.part)
        )
        self.held = next(held, None)
        return self.held is not None

    def commit(self, operation: Operation | None, allowed: frozenset[str]) -> None:
        """The transaction is about to be committed, for an operation that can't share it.

        Raises:
            UnsafeRevision: others would see what lies between two operations, and nobody allows it.
        """
        if self.held is not None and operation is not None:
            default = any(
                one.kind == "DEFAULT" for one, by in self._missing.items() if by is self.held
            )
            refuse_unless_allowed(
                "LL-NON-ATOMIC-REPLACE",
                operation,
                Facts(allowed=allowed),
                what=f"this takes too long for the transaction in which\n{self.held.sql[:300]}\ntakes away what is put back behind it",
                why=_MEANWHILE,
                remedy=_DEFAULT if default else _ELSEWHERE,
            )
        self.clear()

    def clear(self) -> None:
        """It is committed: others miss it already."""
        self._missing, self.held = {}, None


def _among(things: Mapping[str, Sequence[Thing]], wanted: Iterable[Thing]) -> bool:
    return any(one.same(thing) for thing in wanted for one in things.get(thing.name.name, ()))
