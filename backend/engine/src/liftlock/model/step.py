"""A step: one statement run under one policy. The unit of run, retry and resume."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from liftlock.model.lock import LockMode


class Pace(StrEnum):
    """How long a step takes and who feels it."""

    BRIEF = "brief"
    ONLINE = "online"
    BATCHED = "batched"


class Phase(StrEnum):
    """Whether the old release keeps working after the step."""

    EXPAND = "expand"
    CONTRACT = "contract"


class Means(StrEnum):
    """How a step is run, where its pace alone doesn't say it.

    Members:
        STATEMENT: one statement in a transaction.
        PLAIN: the operation just as Alembic sends it, with its parameters.
        CONCURRENT: one statement that refuses a transaction; what an interrupted one leaves is repaired.
        LOOK: a query whose rows break what comes next; nothing is changed when it finds any.
        BACKFILL: ``sql`` is the SET clause and ``where`` says which rows still need it.
    """

    STATEMENT = "statement"
    PLAIN = "plain"
    CONCURRENT = "concurrent"
    LOOK = "look"
    BACKFILL = "backfill"


_TUPLES = ("tables", "undo", "then")


@dataclass(frozen=True, slots=True)
class Step:
    """One statement of a plan.

    Parameters:
        part: what it does in its operation's recipe, such as ``validate``.
        sql: the statement.
        pace: *brief*, *online* or *batched*.
        lock: the strongest lock it takes on a table that others can see; None for none.
        phase: *expand* or *contract*.
        means: how it is run.
        tables: the tables that it locks, as SQL text, in the order in which they are to be locked.
        repair: for a concurrent step, the statement that removes what an interrupted try left.
        witness: for a concurrent step, the index (as SQL text) that tells whether it is done.
        undo: what takes the recipe's earlier parts back when this step finds rows that break it.
        where: which rows a backfill is still to do.
        then: more statements, in the same transaction.
        partition: the partition that it is about, as SQL text; where that is gone meanwhile, nothing is to be done.
    """

    part: str
    sql: str
    pace: Pace
    lock: LockMode | None
    phase: Phase = Phase.EXPAND
    means: Means = Means.STATEMENT
    tables: tuple[str, ...] = ()
    repair: str = ""
    witness: str = ""
    undo: tuple[str, ...] = ()
    where: str = ""
    then: tuple[str, ...] = ()
    partition: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The step for programs, and for the ledger."""
        lists = {name: list(getattr(self, name)) for name in _TUPLES}
        return asdict(self) | lists | {"blocks": self.lock.blocks if self.lock else "nothing"}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Step:
        """A step from what ``as_dict`` made of it."""
        given = {name: values[name] for name in cls.__dataclass_fields__ if name in values}
        given["pace"], given["phase"], given["means"] = Pace(given["pace"]), Phase(given["phase"]), Means(given["means"])
        given["lock"] = LockMode(given["lock"]) if given["lock"] else None
        return cls(**{**given, **{name: tuple(given[name]) for name in _TUPLES}})
