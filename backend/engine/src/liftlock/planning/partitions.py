"""Partitioned tables: what is built or proven leaf by leaf, and then taken over by the table above.

An index ``ON ONLY`` the table is invalid until each partition has its own attached; a foreign key finds those of the
leaves and believes them:
https://www.postgresql.org/docs/current/ddl-partitioning.html#DDL-PARTITIONING-DECLARATIVE-MAINTENANCE
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from liftlock.model.lock import LockMode
from liftlock.model.operation import ConstraintDetails, quote_name
from liftlock.model.step import Pace, Step
from liftlock.model.table import Partition, Table
from liftlock.planning.naming import automatic
from liftlock.planning.sequences import in_schema_of
from liftlock.planning.steps import build_index, exclusive_step, validate


@dataclass(frozen=True, slots=True)
class PartitionedIndex:
    """An index of a partitioned table, by itself or behind a constraint.

    Parameters:
        relation: the table as SQL text.
        name: the index's name, which is the constraint's too.
        unique: whether it forbids duplicates.
        rest: what stands behind the table's name in CREATE INDEX.
        columns: its columns, as PostgreSQL names them in the names it gives.
        present: partitions' own indexes that are like it, by the partition: PostgreSQL takes them over, so they are attached.
        constraint: UNIQUE or PRIMARY KEY, where there is one.
        parts: of the constraint, where there is one.
    """

    relation: str
    name: str
    unique: bool
    rest: str
    columns: tuple[str, ...]
    present: Mapping[str, str]
    constraint: str = ""
    parts: ConstraintDetails | None = None

    def steps(self, partitions: Sequence[Partition]) -> Iterator[Step]:
        """The index of the table above, then that of each partition, built and attached."""
        yield self._only(self.relation, self.name, "add")
        for one, steps in self._of_each(partitions):
            yield from (replace(step, partition=one.relation) for step in steps)

    def _of_each(self, partitions: Sequence[Partition]) -> Iterator[tuple[Partition, list[Step]]]:
        indexes, taken, whole = dict[str, str](), {self.name}, set[str]()
        for one in partitions:
            above = indexes.get(one.parent, in_schema_of(self.relation, self.name))
            if one.parent in whole:
                whole.add(one.relation)
                continue
            if one.relation in self.present:
                whole.add(one.relation)
                yield (
                    one,
                    [
                        exclusive_step(
                            f"attach {one.name}",
                            f"ALTER INDEX {above} ATTACH PARTITION {self.present[one.relation]}",
                        )
                    ],
                )
                continue
            name = self._named(one, taken)
            taken.add(name)
            target = indexes[one.relation] = in_schema_of(one.relation, name)
            made = (
                self._built(one, name, target)
                if one.leaf
                else [self._only(one.relation, name, f"add to {one.name}")]
            )
            yield (
                one,
                [
                    *made,
                    exclusive_step(
                        f"attach {one.name}", f"ALTER INDEX {above} ATTACH PARTITION {target}"
                    ),
                ],
            )

    def _named(self, one: Partition, taken: set[str]) -> str:
        label = {"": "idx", "UNIQUE": "key", "PRIMARY KEY": "pkey"}[self.constraint]
        columns = () if self.constraint == "PRIMARY KEY" else self.columns
        return automatic(
            one.name, columns, label, lambda name: name in one.relation_names or name in taken
        )

    def _only(self, relation: str, name: str, part: str) -> Step:
        if self.parts is not None:
            words = f"ADD CONSTRAINT {quote_name(name)} {self.parts.definition}"
            return exclusive_step(part, f"ALTER TABLE ONLY {relation} {words}")
        unique = "UNIQUE " if self.unique else ""
        sql = f"CREATE {unique}INDEX {quote_name(name)} ON ONLY {relation} {self.rest}"
        return Step(name=part, sql=sql, pace=Pace.BRIEF, lock=LockMode.SHARE)

    def _drop(self) -> str:
        """Takes back what is there, with all that is attached to it: rows of a later partition break it."""
        if self.parts is not None:
            return f"ALTER TABLE {self.relation} DROP CONSTRAINT IF EXISTS {quote_name(self.name)}"
        return f"DROP INDEX IF EXISTS {in_schema_of(self.relation, self.name)}"

    def _built(self, one: Partition, name: str, target: str) -> Iterator[Step]:
        unique = "UNIQUE " if self.unique else ""
        sql = f"CREATE {unique}INDEX CONCURRENTLY {quote_name(name)} ON {one.relation} {self.rest}"
        yield replace(
            build_index(sql, target, one.relation),
            name=f"build on {one.name}",
            undo=(self._drop(),),
        )
        if self.parts is not None:
            words = f"ADD CONSTRAINT {quote_name(name)} {self.constraint} USING INDEX {quote_name(name)}{self.parts.deferral}"
            yield exclusive_step(f"constrain {one.name}", f"ALTER TABLE {one.relation} {words}")


def foreign_key(table: Table, parts: ConstraintDetails, name: str, above: Step) -> Iterator[Step]:
    """Each leaf's own key, unproven and then validated; that of the table above takes over these, and any that were there, without a scan.

    Parameters:
        table: the table above.
        parts: of the key.
        name: its name.
        above: the step that makes the key of the table above.
    """
    leaves = [
        one
        for one in table.partitions
        if one.leaf and _bare(parts.definition) not in map(_bare, one.keys)
    ]
    undo = tuple(
        f"ALTER TABLE IF EXISTS {one.relation} DROP CONSTRAINT IF EXISTS {quote_name(name)}"
        for one in leaves
    )
    for one in leaves:
        yield Step(
            name=f"add to {one.name}",
            sql=f"ALTER TABLE {one.relation} ADD CONSTRAINT {quote_name(name)} {parts.definition} NOT VALID",
            pace=Pace.BRIEF,
            lock=LockMode.SHARE_ROW_EXCLUSIVE,
            tables=tuple(dict.fromkeys([parts.refers, one.relation])),
            partition=one.relation,
        )
        yield replace(
            validate(one.relation, name),
            name=f"validate {one.name}",
            undo=undo,
            partition=one.relation,
        )
    yield above


def _bare(definition: str) -> str:
    """A key's definition without what is only spelling."""
    return re.sub(r'[\s"]', "", definition).lower()
