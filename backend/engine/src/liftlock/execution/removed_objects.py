"""Objects that the open transaction removed, and whether it may be committed without them.

Example: a revision drops a view, rewrites a table and re-creates the view. If liftlock committed
before the rewrite, the application would fail on the missing view for as long as that takes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from liftlock.model.operation import Operation
from liftlock.model.table import Facts
from liftlock.planning.removals import (
    Missing,
    is_same,
    not_restored,
    owners,
    removed_by,
    restored_by,
    usually_restored,
    visible_changes,
)
from liftlock.planning.unsafe import refuse_unless_allowed
from liftlock.postgres.monitor import SessionMonitor
from liftlock.sql import Action, excerpt

_WITHIN_TABLE = frozenset({"TABLE", "COLUMN"})
_MOVE = "Move this step before the removal or after the restoration"
_KEEP_DEFAULT = "If each INSERT of the application names the column, its default isn't needed"


class RemovedObjects:
    """The objects that the open transaction removed, with the operations that did so.

    Parameters:
        monitor: has a second session, which sees what other sessions see.
    """

    def __init__(self, monitor: SessionMonitor) -> None:
        self._monitor = monitor
        self._missing: dict[Missing, Operation] = {}
        self._created: defaultdict[str, list[Missing]] = defaultdict(list)
        self._foreign: defaultdict[str, list[Missing]] = defaultdict(list)
        self._awaited: Operation | None = None

    @property
    def awaits_restoration(self) -> bool:
        """Return whether the revision restores an object later; until then nothing is committed."""
        return self._awaited is not None

    @property
    def exposes(self) -> bool:
        """Return whether others would miss an object if the transaction were committed now."""
        return self._first_remover(self._missing) is not None

    def look_ahead(self, coming: Sequence[Operation]) -> None:
        """Find whether an operation that the revision has already sent restores a missing object.

        Parameters:
            coming: the operations that follow, as far as they are known.
        """
        if not self._missing:
            self._awaited = None
            return
        restored = restored_by(self._missing, [operation.sql for operation in coming])
        self._awaited = self._first_remover(restored)

    def await_usual_restoration(self) -> bool:
        """Wait for the restoration of objects that revisions usually restore.

        Use this where the operations that follow aren't known: triggers, views and defaults are
        usually restored, tables and columns aren't. Return whether there is such an object.
        """
        self._awaited = self._first_remover(
            [missing for missing in self._missing if usually_restored(missing)]
        )
        return self.awaits_restoration

    def passed(self, operation: Operation, *, ran: bool) -> None:
        """Note the effects of an operation.

        An object that the revision itself created isn't missed by others when it is removed.

        Parameters:
            operation: the operation.
            ran: whether it ran in the open transaction; else an earlier attempt committed it.
        """
        for action, changed in visible_changes(operation.sql):
            if action is Action.REMOVED and not _are_among(self._created, owners(changed)):
                self._foreign[changed.name].append(changed)
            elif action is Action.CREATED and changed.kind in _WITHIN_TABLE:
                self._note_created(changed)
        if ran:
            self._missing = dict(self._still_missing(operation))
            removed = (
                missing
                for missing in removed_by(operation.sql)
                if not _are_among(self._created, owners(missing))
            )
            self._missing |= dict.fromkeys(removed, operation)

    def refuse_commit_between(self, operation: Operation | None, allowed: frozenset[str]) -> None:
        """Refuse a commit between a removal and its restoration; else forget what is missing.

        Parameters:
            operation: the operation that can't share the transaction; None for the engine itself.
            allowed: codes that the operator allows.

        Raises:
            UnsafeRevision: the revision restores an object later, and no allowance permits that
                others miss it until then.
        """
        if self._awaited is not None and operation is not None:
            removed = self._awaited
            default = any(
                missing.kind == "DEFAULT"
                for missing, remover in self._missing.items()
                if remover is removed
            )
            refuse_unless_allowed(
                "LL-NON-ATOMIC-REPLACE",
                operation,
                Facts(allowed=allowed),
                what="this step takes too long for the transaction of\n"
                f"{excerpt(removed.sql)}\nwhich a later operation of the revision restores",
                why="Committing in between would leave the application without the removed object.",
                remedy=_KEEP_DEFAULT if default else _MOVE,
            )
        self.clear()

    def clear(self) -> None:
        """Forget what is missing: it is committed."""
        self._missing = {}
        self._awaited = None

    def _first_remover(self, restored: Iterable[Missing]) -> Operation | None:
        """Return the operation that removed the first of these objects that others still see."""
        for missing in restored:
            if self._monitor.visible_to_others(missing.kind, missing.name, missing.part):
                return self._missing[missing]
        return None

    def _still_missing(self, operation: Operation) -> Iterator[tuple[Missing, Operation]]:
        for missing, remover in self._missing.items():
            for still in not_restored((missing,), operation.sql):
                yield still, remover

    def _note_created(self, changed: Missing) -> None:
        if not _are_among(self._foreign, [changed]):
            self._created[changed.name].append(changed)


def _are_among(objects: Mapping[str, Sequence[Missing]], wanted: Iterable[Missing]) -> bool:
    return any(
        is_same(known, missing) for missing in wanted for known in objects.get(missing.name, ())
    )
