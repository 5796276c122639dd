"""The effects of a statement, as PostgreSQL reported them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from liftlock.model.lock import LockMode
from liftlock.model.operation import Operation

_INDEXES = frozenset({"i", "I"})
_MODES = list(LockMode)


@dataclass(frozen=True, slots=True, order=True)
class ObservedLock:
    """A lock on a relation that other sessions can see.

    Relations that the running transaction created aren't among them: nothing can wait for those.

    Parameters:
        relation: the name as SQL text, as other sessions know it; the transaction may have renamed
            the relation.
        mode: the lock mode.
        kind: ``pg_class.relkind``: ``r`` table, ``p`` partitioned table, ``i`` index, ``I``
            partitioned index, ``m`` materialized view, ``v`` view, ``S`` sequence, and so on.
        oid: the relation's OID, which stays the same when it is renamed.
        table: the table of an index; empty for other relations.
    """

    relation: str
    mode: LockMode
    kind: str = "r"
    oid: int = 0
    table: str = ""

    @property
    def blocks(self) -> str:
        """The queries of an application that are blocked: nothing, writes, or reads and writes.

        A lock on an index blocks queries if it is ACCESS EXCLUSIVE: to plan a query, PostgreSQL
        opens all indexes of its tables.
        """
        is_weak_on_index = self.kind in _INDEXES and self.mode is not LockMode.ACCESS_EXCLUSIVE
        return "nothing" if is_weak_on_index else self.mode.blocks


@dataclass(frozen=True, slots=True)
class ServerWork:
    """The work of a statement that takes longer the larger a table is.

    Fields hold the names of tables, except ``validates``. Relations that the running transaction
    created are left out: they are empty, or small.

    Parameters:
        rewrites: tables that are rewritten: PostgreSQL says so, or the relation has another
            ``relfilenode`` afterwards.
        scans: tables that are read from end to end to validate a constraint, NOT NULL included.
        builds: tables of which an index is built.
        validates: the names of foreign keys that are validated.
        updates: tables of which rows are updated or deleted, as many as its condition meets.
        proven: tables that need no scan, because a valid constraint implies the new one already.
    """

    rewrites: frozenset[str] = frozenset()
    scans: frozenset[str] = frozenset()
    builds: frozenset[str] = frozenset()
    validates: frozenset[str] = frozenset()
    updates: frozenset[str] = frozenset()
    proven: frozenset[str] = frozenset()

    @property
    def long(self) -> bool:
        """True if some work reads a whole table; an UPDATE or DELETE may reach a few rows only."""
        return bool(self.rewrites or self.scans or self.builds or self.validates)

    def describe(self) -> str:
        """Describe the work in one line; empty if there is none."""
        phrases = {
            "rewrites": self.rewrites,
            "scans": self.scans,
            "builds an index on": self.builds,
            "validates": self.validates,
            "changes rows of": self.updates,
        }
        return "; ".join(
            f"{verb} {', '.join(sorted(names))}" for verb, names in phrases.items() if names
        )


@dataclass(frozen=True, slots=True)
class ObservedStatement:
    """A statement of a revision, and its effects.

    Parameters:
        sql: the statement.
        revision: the revision that sent it.
        operation: the operation of the revision that needs it; of the kind ``connection`` if the
            revision sent it over the connection itself.
        own: the OID of that operation's table; 0 if the table doesn't exist.
        transaction: the number of its transaction within the run. Locks are held until the end of
            the transaction.
        taken: the locks that it acquired.
        held: all locks that its transaction holds at its end, including ``taken``.
        work: the work that takes longer the larger a table is.
        batched: whether it stands for all batches of a backfill, each of which is committed.
        returns: whether it returned rows.
        error: the server's message, if it failed.
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
        """The line of the revision's file that sends it; None if that isn't known."""
        return self.operation.line

    @property
    def strongest(self) -> LockMode | None:
        """The strongest lock that is held on the operation's own table; None if there is none."""
        modes = [lock.mode for lock in self.held if self.own and lock.oid == self.own]
        return max(modes, key=_MODES.index, default=None)

    @property
    def blocked(self) -> dict[str, set[str]]:
        """The relations of which queries are blocked while it runs.

        The keys are ``writes`` and ``reads and writes``. An index counts as its table, and a table
        with several locks by the strongest one.
        """
        strongest: dict[str, str] = {}
        for lock in sorted(self.held, key=lambda lock: _MODES.index(lock.mode)):
            if lock.blocks != "nothing":
                strongest[lock.table or lock.relation] = lock.blocks
        relations: dict[str, set[str]] = {blocks: set() for blocks in sorted(strongest.values())}
        for relation, blocks in strongest.items():
            relations[blocks].add(relation)
        return relations

    @property
    def locks_rows(self) -> frozenset[str]:
        """The tables whose changed rows stay locked until the end of the transaction.

        A batch of a backfill is committed, so it locks its rows for a short time only.
        """
        return frozenset() if self.batched else self.work.updates

    def as_dict(self) -> dict[str, Any]:
        """Return the statement for the JSON report."""
        work = {name: sorted(relations) for name, relations in asdict(self.work).items()}
        return {
            "sql": self.sql,
            "line": self.line,
            "operation": self.kind,
            "transaction": self.transaction,
            "locks": _as_dicts(self.taken),
            "held": _as_dicts(self.held),
            **work,
            "batched": self.batched,
            "error": self.error,
        }


def _as_dicts(locks: Iterable[ObservedLock]) -> list[dict[str, str]]:
    return [
        {"relation": lock.relation, "mode": lock.mode.value, "blocks": lock.blocks}
        for lock in sorted(locks)
    ]
