"""A type change by a twin: a second column of the new type, kept equal by a trigger, takes the place of the first.

Everything that stands on the column is made anew on its twin while the traffic goes on: indexes concurrently, checks
and foreign keys unproven and then validated. One brief transaction swaps the two. Until then, all of it can be taken back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from liftlock.model.lock import LockMode
from liftlock.model.operation import ColumnDetails, Operation, digest, quote_name
from liftlock.model.replacement import DependentIndex, DependentSequence, ReplacementColumn
from liftlock.model.step import Pace, Phase, Step
from liftlock.model.table import Facts, Table
from liftlock.planning.default import phase, row_identifier
from liftlock.planning.naming import automatic
from liftlock.planning.not_null import not_null
from liftlock.planning.sequences import in_schema_of
from liftlock.planning.steps import CONVERTS, build_index, exclusive_step, fill, validate


def replacement_name(operation: Operation) -> str:
    """The name of a column's twin, for as long as there are two."""
    return f"liftlock_{digest(operation.sql)}"


def column_state(relation: str, column: str) -> str:
    """A query for the fingerprint of all that a twin takes over from its column.

    Parameters:
        relation: the table as SQL text.
        column: its column's name.
    """
    table, name = (text.replace("'", "''") for text in (relation, column))
    ties = (
        "SELECT count(*) FROM pg_catalog.pg_depend AS d WHERE d.refclassid = 'pg_catalog.pg_class'::regclass"
        " AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum"
    )
    default = "SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_catalog.pg_attrdef AS d WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum"
    more = "a.attnotnull, a.attidentity, a.attacl::text, a.attstattarget, a.attoptions, a.attstorage, col_description(a.attrelid, a.attnum)"
    return (
        f"SELECT md5(jsonb_build_array(({ties}), ({default}), {more})::text) AS state"
        f" FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = '{table}'::regclass AND a.attname = '{name}'"
    )


def validated_constraints(
    operation: Operation, twin: ReplacementColumn, then: Step, facts: Facts
) -> list[Step]:
    """Where only checks would be proven anew, under the strongest lock: they are unproven for a moment instead.

    No row can break them meanwhile, since NOT VALID checks are enforced for whatever is written.
    """
    alter = f"ALTER TABLE {operation.relation}"
    first, *more = [f"{alter} DROP CONSTRAINT {quote_name(one.name)}" for one in twin.checks]
    more.append(operation.sql)
    for one in twin.checks:
        more.append(f"{alter} ADD CONSTRAINT {quote_name(one.name)} {_unproven(one.definition)}")
        more += _comment(
            "CONSTRAINT", f"{quote_name(one.name)} ON {operation.relation}", one.comment
        )
    change = replace(
        exclusive_step("alter", first), more_sql=tuple(more), phase=phase(operation, facts)
    )
    proofs = [
        replace(validate(operation.relation, one.name), name=f"validate {one.name}")
        for one in twin.checks
        if one.validated
    ]
    return [change, then, *proofs]


def replace_column(
    operation: Operation, parts: ColumnDetails, table: Table, twin: ReplacementColumn, facts: Facts
) -> list[Step]:
    """The steps by which a twin takes a column's place."""
    return list(_Replacement(operation, parts, table, twin, phase(operation, facts)).steps())


@dataclass(frozen=True, slots=True)
class _Replacement:
    operation: Operation
    parts: ColumnDetails
    table: Table
    twin: ReplacementColumn
    phase: Phase

    def steps(self) -> Iterator[Step]:
        """All of them; each but the last can be taken back."""
        undo = self._undo()
        for step in (
            self._add(),
            self._copy(),
            *self._not_null(),
            *self._indexes(),
            *self._constraints(),
            self._analyze(),
        ):
            yield replace(step, undo=undo)
        yield self._swap()

    # Names.

    @property
    def _relation(self) -> str:
        return self.operation.relation

    @property
    def _alter(self) -> str:
        return f"ALTER TABLE {self._relation}"

    @property
    def _name(self) -> str:
        return quote_name(replacement_name(self.operation))

    @property
    def _function(self) -> str:
        """Of this table alone: those of tenants have the same names in schemas of their own."""
        return f"liftlock.{quote_name(f'{replacement_name(self.operation)}_{self.table.oid}')}"

    @property
    def _triggers(self) -> tuple[str, str]:
        """Triggers fire in the order of their names; these are to see what all others have done."""
        name = replacement_name(self.operation)
        return quote_name(f"~{name}_insert"), quote_name(f"~{name}_update")

    def _temporary(self, name: str) -> str:
        """What stands on the twin is called so until the swap."""
        return f"liftlock_{digest(f'{replacement_name(self.operation)} {name}')}"

    def _beside(self, name: str) -> str:
        return in_schema_of(self._relation, name)

    # Steps.

    def _add(self) -> Step:
        """The twin, and the triggers that give it its value in every row that is written from now on.

        A batch of the copy fires none: it changes the twin of rows that have none yet.
        """
        alter = f"{self._alter} ALTER COLUMN {self._name}"
        insert, update = self._triggers
        row, column = f"BEFORE INSERT ON {self._relation} FOR EACH ROW", quote_name(self.parts.name)
        change = f"BEFORE UPDATE ON {self._relation} FOR EACH ROW WHEN (OLD.{self._name} IS NOT NULL OR NEW.{self._name} IS NULL)"
        value, setting = f"NEW.{column}", "".join(f" SET {name} FROM CURRENT" for name in CONVERTS)
        if self.parts.using:
            value = (
                f"(SELECT {self.parts.using} FROM (SELECT NEW.*) AS {quote_name(self.table.name)})"
            )
            setting += " SET search_path FROM CURRENT"
        function = (
            f"CREATE FUNCTION {self._function}() RETURNS trigger LANGUAGE plpgsql{setting} AS $liftlock$\n"
            f"#variable_conflict use_column\nBEGIN\n    NEW.{self._name} := {value};\n    RETURN NEW;\nEND\n$liftlock$"
        )
        more = [f"{alter} {words}" for words in ("DROP DEFAULT", *self.twin.attributes)]
        more += [f"GRANT {words}" for words in self.twin.grants]
        more += _comment("COLUMN", f"{self._relation}.{self._name}", self.twin.comment)
        more.append(function)
        for name, when in ((insert, row), (update, change)):
            more.append(f"CREATE TRIGGER {name} {when} EXECUTE FUNCTION {self._function}()")
            more.append(f"{self._alter} ENABLE ALWAYS TRIGGER {name}")
        step = exclusive_step(
            "add", f"{self._alter} ADD COLUMN {self._name} {self.twin.type} DEFAULT NULL"
        )  # a domain may have another
        return replace(step, more_sql=tuple(more))

    def _undo(self) -> tuple[str, ...]:
        keys = [
            f"ALTER TABLE {one.relation} DROP CONSTRAINT IF EXISTS {quote_name(self._temporary(one.name))}"
            for one in self.twin.keys
        ]
        drop = f"{self._alter} DROP COLUMN IF EXISTS {self._name}"
        return (*keys, f"DROP FUNCTION IF EXISTS {self._function}() CASCADE", drop)

    def _copy(self) -> Step:
        value = self.parts.using or quote_name(self.parts.name)
        return fill(
            self._relation,
            f"{self._name} = {value}",
            f"{self._name} IS NULL AND ({value}) IS NOT NULL",
        )

    def _not_null(self) -> list[Step]:
        if self.twin.not_null is None:
            return []
        return not_null(
            self._relation,
            replacement_name(self.operation),
            Phase.EXPAND,
            row_identifier(self.table),
        )

    def _indexes(self) -> Iterator[Step]:
        for one in self.twin.indexes:
            name = self._temporary(one.name)
            unique = "UNIQUE " if one.unique else ""
            sql = f"CREATE {unique}INDEX CONCURRENTLY {quote_name(name)} ON {self._relation} {one.definition}"
            yield replace(
                build_index(sql, self._beside(name), self._relation), name=f"build {one.name}"
            )

    def _constraints(self) -> Iterator[Step]:
        for one in (*self.twin.checks, *self.twin.keys):
            name = self._temporary(one.name)
            add = f"ALTER TABLE {one.relation} ADD CONSTRAINT {quote_name(name)} {_unproven(one.definition)}"
            tables = tuple(dict.fromkeys([one.refers, one.relation])) if one.refers else ()
            lock = LockMode.SHARE_ROW_EXCLUSIVE if one.refers else LockMode.ACCESS_EXCLUSIVE
            yield Step(name=f"add {one.name}", sql=add, pace=Pace.BRIEF, lock=lock, tables=tables)
            if one.validated:
                yield replace(validate(one.relation, name), name=f"validate {one.name}")

    def _analyze(self) -> Step:
        sql = f"ANALYZE {self._relation} ({self._name})"
        return Step(name="analyze", sql=sql, pace=Pace.ONLINE, lock=LockMode.SHARE_UPDATE_EXCLUSIVE)

    # The swap.

    def _swap(self) -> Step:
        """All at once. Foreign keys that refer to the column go first: its index can't be dropped before."""
        first, *more = [*self._freed(), *self._moved(), *self._renamed()]
        referred = sorted({one.refers for one in self.twin.keys} - {self._relation})
        referring = sorted({one.relation for one in self.twin.keys} - {self._relation})
        tables = tuple(dict.fromkeys([*referred, self._relation, *referring]))
        return replace(
            exclusive_step("swap", first), more_sql=tuple(more), tables=tables, phase=self.phase
        )

    def _freed(self) -> Iterator[str]:
        """Nothing is lost that was put on the column meanwhile; then it loses its triggers and foreign keys."""
        yield self._guard()
        for name in self._triggers:
            yield f"DROP TRIGGER {name} ON {self._relation}"
        yield f"DROP FUNCTION {self._function}()"
        for one in self.twin.keys:
            yield f"ALTER TABLE {one.relation} DROP CONSTRAINT {quote_name(one.name)}"

    def _guard(self) -> str:
        """What was made on the column, or changed of it, since the recipe was would go with it."""
        named = f"column {quote_name(self.parts.name)} of {self._relation}"
        told = f"{named} was changed, or something was made on it, since its type change was begun: undo that, run again, and do it afterwards"
        text = told.replace("'", "''").replace("%", "%%")
        changed = f"({column_state(self._relation, self.parts.name)}) IS DISTINCT FROM '{self.twin.state}'"
        return f"DO $liftlock$ BEGIN IF {changed} THEN RAISE EXCEPTION '{text}'; END IF; END $liftlock$"

    def _moved(self) -> Iterator[str]:
        """What counts the column counts its twin; then the twin takes its name."""
        alter = f"{self._alter} ALTER COLUMN {self._name}"
        for one in self.twin.sequences:
            if not one.identity:
                yield f"ALTER SEQUENCE {one.relation} OWNED BY {self._relation}.{self._name}"
        if self.twin.default is not None:
            yield f"{alter} SET DEFAULT {self.twin.default}"
        identities = [one for one in self.twin.sequences if one.identity]
        for one in identities:
            yield from self._counted(one, alter)
        yield f"{self._alter} DROP COLUMN {quote_name(self.parts.name)}"
        yield f"{self._alter} RENAME COLUMN {self._name} TO {quote_name(self.parts.name)}"
        for one in identities:
            yield f"ALTER SEQUENCE {self._beside(self._temporary(one.name))} RENAME TO {quote_name(one.name)}"
            yield from (f"GRANT {words}" for words in one.grants)

    def _counted(self, one: DependentSequence, alter: str) -> Iterator[str]:
        """An identity's own sequence can't be handed over; another goes on from where it is."""
        name = self._beside(self._temporary(one.name))
        text = name.replace("'", "''")
        kind, options = one.identity.split("(", 1)
        yield f"{alter} ADD {kind}(SEQUENCE NAME {name} {options}"
        yield f"SELECT setval('{text}', last_value, is_called) FROM {one.relation}"

    def _renamed(self) -> Iterator[str]:
        """Indexes and constraints take the names of those that went with the column, and their comments."""
        for one in self.twin.indexes:
            yield from self._index(one)
        for key in (*self.twin.checks, *self.twin.keys):
            alter = f"ALTER TABLE {key.relation}"
            yield f"{alter} RENAME CONSTRAINT {quote_name(self._temporary(key.name))} TO {quote_name(key.name)}"
            yield from _comment(
                "CONSTRAINT", f"{quote_name(key.name)} ON {key.relation}", key.comment
            )
        if self.twin.not_null:
            made = automatic(
                self.table.name,
                (replacement_name(self.operation),),
                "not_null",
                lambda name: name in self.table.constraint_names,
            )
            yield f"{self._alter} RENAME CONSTRAINT {quote_name(made)} TO {quote_name(self.twin.not_null)}"

    def _index(self, one: DependentIndex) -> Iterator[str]:
        name = self._temporary(one.name)
        if one.column_only:
            yield f"ALTER TABLE {self._beside(name)} RENAME COLUMN {self._name} TO {quote_name(self.parts.name)}"
        if one.constraint:
            yield f"{self._alter} ADD CONSTRAINT {quote_name(one.name)} {one.constraint} USING INDEX {quote_name(name)}{one.deferral}"
            yield from _comment(
                "CONSTRAINT", f"{quote_name(one.name)} ON {self._relation}", one.constraint_comment
            )
        else:
            yield f"ALTER INDEX {self._beside(name)} RENAME TO {quote_name(one.name)}"
        yield from _comment("INDEX", self._beside(one.name), one.comment)
        if one.replica_identity:
            yield f"{self._alter} REPLICA IDENTITY USING INDEX {quote_name(one.name)}"
        if one.clustered:
            yield f"{self._alter} CLUSTER ON {quote_name(one.name)}"


def _unproven(definition: str) -> str:
    return definition if definition.endswith(" NOT VALID") else f"{definition} NOT VALID"


def _comment(kind: str, name: str, literal: str | None) -> list[str]:
    return [f"COMMENT ON {kind} {name} IS {literal}"] if literal else []
