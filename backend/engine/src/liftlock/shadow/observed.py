"""What a statement did, as PostgreSQL itself reported it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from liftlock.model.lock import LockMode
from liftlock.model.operation import Operation


@dataclass(frozen=True, slots=True, order=True)
class ObservedLock:
    """A lock on a relation that other sessions can see.

    Parameters:
        relation: its name as SQL text, as the others know it.
        mode: of the lock.
        kind: ``r`` table, ``p`` partitioned table, ``i`` index, ``m`` materialized view, ``v`` view, ``S`` sequence and so on.
        oid: its identity, whatever it is called.
        table: the table of an index; empty for others.
    """

    relation: str
    mode: LockMode
    kind: str = "r"
    oid: int = 0
    table: str = ""

    @property
    def blocks(self) -> str:
        """Which of an application's queries wait for it: to plan one, all indexes of its tables are looked at."""
        return (
            self.mode.blocks
            if self.kind not in {"i", "I"} or self.mode is LockMode.ACCESS_EXCLUSIVE
            else "nothing"
        )


@dataclass(frozen=True, slots=True)
class ServerWork:
    """Work whose time grows with a table, by the names of the tables; those that others can't see are left out.

    Parameters:
        rewrites: written anew.
        scans: read from end to end, to prove something.
        builds: an index of theirs was built.
        validates: foreign keys that were proven, by their names.
        updates: whose rows are changed or deleted, as many as a condition meets.
        proven: told by the server to need no scan, since a constraint says so already.
    """

    rewrites: frozenset[str] = frozenset()
    scans: frozenset[str] = frozenset()
    builds: frozenset[str] = frozenset()
    validates: frozenset[str] = frozenset()
    updates: frozenset[str] = frozenset()
    proven: frozenset[str] = frozenset()

    @property
    def long(self) -> bool:
        """Whether there is any that nothing in the statement limits."""
        return bool(self.rewrites or self.scans or self.builds or self.validates)

    def told(self) -> str:
        """The work, for people; empty for none."""
        parts = [
            f"{verb} {', '.join(sorted(names))}"
            for verb, names in (
                ("rewrites", self.rewrites),
                ("scans", self.scans),
                ("builds an index on", self.builds),
                ("validates", self.validates),
                ("changes rows of", self.updates),
            )
            if names
        ]
        return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class ObservedStatement:
    """One statement.

    Parameters:
        sql: the statement.
        revision: the revision that it belongs to.
        operation: what of the revision it is sent for; of the kind ``connection`` for what is sent over that.
        own: the identity of that operation's table; 0 where it isn't there.
        transaction: counts the transactions of a run; statements of one share their locks.
        taken: the locks that it took, and that weren't held before.
        held: all locks that were held when it had ended, these among them.
        work: what grew with the tables.
        batched: whether it stands for all batches of a backfill, each in a transaction of its own.
        returns: whether it returned rows.
        error: the server's words, where it failed.
    """

    sql: str
    revision: str = ""
    operation: Operation = field(default_factory=lambda: Operation("", None, ""))
    own: int = 0
    transaction: int = 0
    taken: frozenset[ObservedLock] = frozenset()
    held: frozenset[ObservedLock] = frozenset()
    work: ServerWork = field(default_factory=ServerWork)
    batched: bool = False
    returns: bool = False
    error: str = ""

    @property
    def kind(self) -> str:
        """The kind of its operation, such as ``add_column``."""
        return self.operation.kind

    @property
    def line(self) -> int | None:
        """Where the revision's file asks for it; None where that isn't known."""
        return self.operation.line

    @property
    def strongest(self) -> LockMode | None:
        """The strongest lock that is held on the operation's own table."""
        order = list(LockMode)
        return max(
            (one.mode for one in self.held if self.own and one.oid == self.own),
            key=order.index,
            default=None,
        )

    @property
    def blocked(self) -> dict[str, set[str]]:
        """Who waits while it runs: the relations, by which of an application's queries wait for them."""
        felt = {
            one.table or one.relation: one.blocks
            for one in sorted(self.held, key=lambda one: list(LockMode).index(one.mode))
            if one.blocks != "nothing"
        }
        return {
            who: {name for name, blocks in felt.items() if blocks == who}
            for who in sorted(set(felt.values()))
        }

    @property
    def locks_rows(self) -> frozenset[str]:
        """Tables of which it locks rows, as many as it changes, until its transaction ends."""
        return frozenset() if self.batched else self.work.updates

    def as_dict(self) -> dict[str, Any]:
        """The statement for programs."""
        sets = {name: sorted(names) for name, names in asdict(self.work).items()}
        return {
            "sql": self.sql,
            "line": self.line,
            "operation": self.kind,
            "transaction": self.transaction,
            "locks": [
                {"relation": one.relation, "mode": one.mode.value, "blocks": one.blocks}
                for one in sorted(self.taken)
            ],
            "held": [
                {"relation": one.relation, "mode": one.mode.value, "blocks": one.blocks}
                for one in sorted(self.held)
            ],
            **sets,
            "batched": self.batched,
            "error": self.error,
        }
