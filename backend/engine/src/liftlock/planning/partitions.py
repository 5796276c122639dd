"""Recipes for indexes, unique constraints and foreign keys of partitioned tables.

Index or unique constraint::

    plain:  CREATE INDEX ix ON t (a)                         SHARE on t and all partitions during
                                                             all builds: blocks writes

    online: 1. CREATE INDEX ix ON ONLY t (a)                 SHARE on t, brief; ix is invalid
               or ALTER TABLE ONLY t ADD … UNIQUE (a)        ACCESS EXCLUSIVE on t, brief
            For each partition:
            2. CREATE INDEX CONCURRENTLY p_a_idx ON p (a)    SHARE UPDATE EXCLUSIVE on p
            3. For a constraint: ALTER TABLE p
               ADD CONSTRAINT … UNIQUE USING INDEX p_a_idx   ACCESS EXCLUSIVE on p, brief
            4. ALTER INDEX ix ATTACH PARTITION p_a_idx       brief
            ix becomes valid with the last partition that is attached.

    crash:  The index of the parent stays invalid; queries use those of the finished partitions. The
            next run drops the invalid index of an interrupted build and continues with that
            partition. A partition that was created meanwhile has its own index already.

Foreign key of a partitioned table::

    plain:  ALTER TABLE t ADD CONSTRAINT fk FOREIGN KEY …    SHARE ROW EXCLUSIVE on both tables
                                                             during a scan of all partitions

    online: For each partition that holds rows:
            1. ADD CONSTRAINT fk FOREIGN KEY … NOT VALID     SHARE ROW EXCLUSIVE, brief
            2. VALIDATE CONSTRAINT fk                        SHARE UPDATE EXCLUSIVE, full scan
            Then, on the partitioned table:
            3. ADD CONSTRAINT fk FOREIGN KEY …               SHARE ROW EXCLUSIVE, brief: PostgreSQL
                                                             takes over the valid keys of the
                                                             partitions and doesn't scan them

    crash:  Some partitions have the key. The next run continues with the others. An orphan that
            step 2 finds drops the keys of all partitions.

https://www.postgresql.org/docs/current/ddl-partitioning.html#DDL-PARTITIONING-DECLARATIVE-MAINTENANCE
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from liftlock.model.lock import LockMode
from liftlock.model.operation import ConstraintDetails
from liftlock.model.step import Pace, Step
from liftlock.model.table import Partition, Table
from liftlock.planning.naming import automatic_name, in_schema_of
from liftlock.planning.steps import build_index, execute_exclusively, validate
from liftlock.sql import quote_name, same_definition

_LABELS = {"": "idx", "UNIQUE": "key", "PRIMARY KEY": "pkey"}


@dataclass(frozen=True, slots=True)
class PartitionedIndex:
    """An index of a partitioned table, possibly that of a constraint.

    Parameters:
        relation: the partitioned table as SQL text.
        name: the index's name, which is also the constraint's.
        unique: true for a unique index.
        definition: the SQL text that follows the table's name in CREATE INDEX.
        columns: the columns, as PostgreSQL writes them in the names that it generates.
        present: the equal indexes that partitions already have, by the partition. PostgreSQL would
            take them over instead of building others, so they are attached.
        constraint: UNIQUE or PRIMARY KEY, for the index of a constraint.
        details: the constraint's details.
    """

    relation: str
    name: str
    unique: bool
    definition: str
    columns: tuple[str, ...]
    present: Mapping[str, str]
    constraint: str = ""
    details: ConstraintDetails | None = None

    def steps(self, partitions: Sequence[Partition]) -> Iterator[Step]:
        """Create the parent's index, then build and attach the index of each partition.

        Parameters:
            partitions: the partitions; parents come before their children.
        """
        yield self._create_on_only(self.relation, self.name, "add")
        indexes: dict[str, str] = {}
        names = {self.name}
        complete: set[str] = set()
        for partition in partitions:
            parent_index = indexes.get(partition.parent, in_schema_of(self.relation, self.name))
            if partition.parent in complete:
                # The attached index of its parent includes one on this partition.
                complete.add(partition.relation)
            elif partition.relation in self.present:
                complete.add(partition.relation)
                yield _attach(partition, parent_index, self.present[partition.relation])
            else:
                name = self._index_name(partition, names)
                names.add(name)
                index = in_schema_of(partition.relation, name)
                indexes[partition.relation] = index
                for step in self._create_on_partition(partition, name):
                    yield replace(step, partition=partition.relation)
                yield _attach(partition, parent_index, index)

    def _create_on_partition(self, partition: Partition, name: str) -> Iterator[Step]:
        if partition.leaf:
            yield from self._build(partition, name)
        else:
            yield self._create_on_only(partition.relation, name, f"add to {partition.name}")

    def _create_on_only(self, relation: str, name: str, step_name: str) -> Step:
        """Create the invalid index (or constraint) of a partitioned table.

        ONLY withholds the builds on the partitions, which would all run under this one lock.
        """
        if self.details is not None:
            definition = f"ADD CONSTRAINT {quote_name(name)} {self.details.definition}"
            return execute_exclusively(step_name, f"ALTER TABLE ONLY {relation} {definition}")
        create = f"CREATE {self._unique}INDEX {quote_name(name)}"
        sql = f"{create} ON ONLY {relation} {self.definition}"
        return Step(name=step_name, sql=sql, pace=Pace.BRIEF, lock=LockMode.SHARE)

    def _build(self, partition: Partition, name: str) -> Iterator[Step]:
        """Build the index of a leaf concurrently, and make it a constraint where there is one.

        Duplicates in this partition drop the parent's index with all indexes attached to it.
        """
        create = f"CREATE {self._unique}INDEX CONCURRENTLY {quote_name(name)}"
        sql = f"{create} ON {partition.relation} {self.definition}"
        build = build_index(sql, in_schema_of(partition.relation, name), partition.relation)
        yield replace(build, name=f"build on {partition.name}", undo=(self._drop,))
        if self.details is not None:
            constraint = f"ADD CONSTRAINT {quote_name(name)} {self.constraint}"
            using = f"USING INDEX {quote_name(name)}{self.details.deferral}"
            alter = f"ALTER TABLE {partition.relation} {constraint} {using}"
            yield execute_exclusively(f"constrain {partition.name}", alter)

    def _index_name(self, partition: Partition, names: set[str]) -> str:
        """Return the name that PostgreSQL would give the partition's index."""
        columns = () if self.constraint == "PRIMARY KEY" else self.columns
        taken = partition.relation_names | names
        return automatic_name(partition.name, columns, _LABELS[self.constraint], taken)

    @property
    def _unique(self) -> str:
        return "UNIQUE " if self.unique else ""

    @property
    def _drop(self) -> str:
        if self.details is not None:
            return f"ALTER TABLE {self.relation} DROP CONSTRAINT IF EXISTS {quote_name(self.name)}"
        return f"DROP INDEX IF EXISTS {in_schema_of(self.relation, self.name)}"


def add_foreign_keys(
    table: Table, key: ConstraintDetails, name: str, add_to_parent: Step
) -> Iterator[Step]:
    """Add and validate a foreign key on each leaf partition, then add the parent's.

    A leaf that already has an equal, validated key is left out: PostgreSQL takes that one over.

    Parameters:
        table: the partitioned table.
        key: the details of the foreign key.
        name: its name.
        add_to_parent: the step that adds the key of the partitioned table.
    """
    leaves = [leaf for leaf in table.partitions if leaf.leaf and not _has_key(leaf, key)]
    quoted = quote_name(name)
    undo = [
        f"ALTER TABLE IF EXISTS {leaf.relation} DROP CONSTRAINT IF EXISTS {quoted}"
        for leaf in leaves
    ]
    for leaf in leaves:
        # NOT VALID withholds the scan from the statement that blocks writes to both tables.
        definition = f"ADD CONSTRAINT {quoted} {key.definition} NOT VALID"
        yield Step(
            name=f"add to {leaf.name}",
            sql=f"ALTER TABLE {leaf.relation} {definition}",
            pace=Pace.BRIEF,
            lock=LockMode.SHARE_ROW_EXCLUSIVE,
            tables=tuple(dict.fromkeys([key.refers, leaf.relation])),
            partition=leaf.relation,
        )
        yield replace(
            validate(leaf.relation, name, *undo),
            name=f"validate {leaf.name}",
            partition=leaf.relation,
        )
    yield add_to_parent


def _attach(partition: Partition, parent_index: str, index: str) -> Step:
    sql = f"ALTER INDEX {parent_index} ATTACH PARTITION {index}"
    attach = execute_exclusively(f"attach {partition.name}", sql)
    return replace(attach, partition=partition.relation)


def _has_key(partition: Partition, key: ConstraintDetails) -> bool:
    return any(same_definition(key.definition, definition) for definition in partition.keys)
