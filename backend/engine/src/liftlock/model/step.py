"""A step: one statement run under one policy. The unit of run, retry and resume."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from liftlock.model.lock import LockMode


class Pace(StrEnum):
    """The duration of a step and its effect on the application's queries.

    Members:
        BRIEF: milliseconds, possibly under a strong lock.
        ONLINE: as long as it takes; reads and writes continue.
        BATCHED: rows in batches, each in its own short transaction.
    """

    BRIEF = "brief"
    ONLINE = "online"
    BATCHED = "batched"


class Phase(StrEnum):
    """The effect of a step on the running release.

    Members:
        EXPAND: the old release keeps working.
        CONTRACT: the old release stops working.
    """

    EXPAND = "expand"
    CONTRACT = "contract"


class StepKind(StrEnum):
    """The way in which a step is run, where its pace alone doesn't determine it.

    Members:
        STATEMENT: a statement in a transaction.
        PLAIN: the operation exactly as Alembic sends it, with its parameters.
        CONCURRENT: a statement that can't run in a transaction; an interrupted one may leave an
            invalid object, which ``repair`` removes.
        LOOK: a query for rows that violate a later constraint; rows end the run with an error.
        SNAPSHOTS: a wait for the end of the transactions that see the table as it was before the
            last step; ``sql`` is a comment.
        BACKFILL: an update in batches; ``sql`` is the SET clause and ``where`` its condition.
    """

    STATEMENT = "statement"
    PLAIN = "plain"
    CONCURRENT = "concurrent"
    LOOK = "look"
    SNAPSHOTS = "snapshots"
    BACKFILL = "backfill"


# The keys in the ledger and in JSON, for the fields that have another name: users' databases hold
# recipes that were begun under these keys.
_PERSISTED_NAMES = {"name": "part", "kind": "means", "index": "witness", "more_sql": "then"}
_LISTS = ("tables", "undo", "then")
_LISTS_BY_FIELD = ("tables", "undo", "more_sql")


@dataclass(frozen=True, slots=True)
class Step:
    """One statement of a plan.

    Parameters:
        name: its name in the recipe, such as ``validate``.
        sql: the statement.
        pace: *brief*, *online* or *batched*.
        lock: the strongest lock that it takes on a table visible to other sessions, if any.
        phase: *expand* or *contract*.
        kind: the way in which it is run.
        tables: the tables to lock before the statement, as SQL text, in this order.
        repair: for a concurrent step, the statement that removes the result of an interrupted try.
        index: for a concurrent step, the index (as SQL text) whose state shows if it is finished.
        undo: the statements that reverse the recipe's earlier steps when this step fails because
            of the rows it meets.
        where: for a backfill, the condition of the rows that still need it.
        more_sql: further statements, run in the same transaction.
        partition: the partition that it changes, as SQL text; the step is skipped once that
            partition is dropped or detached.
    """

    name: str
    sql: str
    pace: Pace
    lock: LockMode | None
    phase: Phase = Phase.EXPAND
    kind: StepKind = StepKind.STATEMENT
    tables: tuple[str, ...] = ()
    repair: str = ""
    index: str = ""
    undo: tuple[str, ...] = ()
    where: str = ""
    more_sql: tuple[str, ...] = ()
    partition: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the step as the ledger and ``--format json`` represent it."""
        values = {_PERSISTED_NAMES.get(name, name): value for name, value in asdict(self).items()}
        lists = {name: list(values[name]) for name in _LISTS}
        return values | lists | {"blocks": self.lock.blocks if self.lock else "nothing"}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Step:
        """Return the step that ``as_dict`` wrote.

        A step that an earlier release wrote may lack fields.
        """
        fields = {name: _PERSISTED_NAMES.get(name, name) for name in cls.__dataclass_fields__}
        given = {name: values[key] for name, key in fields.items() if key in values}
        given |= {name: tuple(given[name]) for name in _LISTS_BY_FIELD}
        given["pace"] = Pace(given["pace"])
        given["phase"] = Phase(given["phase"])
        given["kind"] = StepKind(given["kind"])
        given["lock"] = LockMode(given["lock"]) if given["lock"] else None
        return cls(**given)
