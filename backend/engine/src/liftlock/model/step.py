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


class StepKind(StrEnum):
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


_PERSISTED_NAMES = {"name": "part", "kind": "means", "index": "witness", "more_sql": "then"}
"""Names of fields in the ledger and in JSON, where they differ: users' databases hold them."""
_LISTS = ("tables", "undo", "then")
_LISTS_BY_FIELD = ("tables", "undo", "more_sql")


@dataclass(frozen=True, slots=True)
class Step:
    """One statement of a plan.

    Parameters:
        name: what it does in its operation's recipe, such as ``validate``.
        sql: the statement.
        pace: *brief*, *online* or *batched*.
        lock: the strongest lock it takes on a table that others can see; None for none.
        phase: *expand* or *contract*.
        kind: how it is run.
        tables: the tables that it locks, as SQL text, in the order in which they are to be locked.
        repair: for a concurrent step, the statement that removes what an interrupted try left.
        index: for a concurrent step, the index (as SQL text) that tells whether it is done.
        undo: what takes the recipe's earlier parts back when this step finds rows that break it.
        where: which rows a backfill is still to do.
        more_sql: more statements, in the same transaction.
        partition: the partition that it is about, as SQL text; where that is gone meanwhile, nothing is to be done.
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
        """Return the step as the ledger and ``--format json`` have it."""
        values = {_PERSISTED_NAMES.get(name, name): value for name, value in asdict(self).items()}
        lists = {name: list(values[name]) for name in _LISTS}
        return values | lists | {"blocks": self.lock.blocks if self.lock else "nothing"}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Step:
        """Return the step that ``as_dict`` described; a step of an earlier release may lack fields."""
        fields = {name: _PERSISTED_NAMES.get(name, name) for name in cls.__dataclass_fields__}
        given = {name: values[key] for name, key in fields.items() if key in values}
        given |= {name: tuple(given[name]) for name in _LISTS_BY_FIELD}
        given["pace"] = Pace(given["pace"])
        given["phase"] = Phase(given["phase"])
        given["kind"] = StepKind(given["kind"])
        given["lock"] = LockMode(given["lock"]) if given["lock"] else None
        return cls(**given)
