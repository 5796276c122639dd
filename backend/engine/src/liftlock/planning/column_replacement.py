"""The replacement column of a type change: its triggers, its values, its indexes and constraints.

All objects get temporary names until the swap (``column_swap``). Each step before the swap can be
reversed, and none changes what the application reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from liftlock.model.lock import LockMode
from liftlock.model.operation import ColumnDetails, digest
from liftlock.model.replacement import DependentConstraint, ReplacementColumn
from liftlock.model.step import Pace, Phase, Step
from liftlock.model.table import Table
from liftlock.planning.naming import in_schema_of, quote_literal
from liftlock.planning.not_null import set_not_null
from liftlock.planning.steps import (
    CONVERSION_SETTINGS,
    add_bare_column,
    analyze_column,
    await_snapshots,
    backfill_rows,
    build_index,
    validate,
)
from liftlock.planning.unchanged import row_identifier
from liftlock.sql import quote_name


@dataclass(frozen=True, slots=True)
class Replacement:
    """The replacement of a column by one of another type.

    Parameters:
        relation: the table as SQL text.
        table: the table.
        column: the details of the type change, with the column's name.
        name: the name of the replacement column until the swap.
        new: the properties of the replacement column, and the objects to create on it.
        phase: the phase of the swap.
    """

    relation: str
    table: Table
    column: ColumnDetails
    name: str
    new: ReplacementColumn
    phase: Phase

    def steps(self) -> Iterator[Step]:
        """Return the steps before the swap."""
        undo = self._undo()
        for step in (
            self._add(),
            self._copy(),
            *self._set_not_null(),
            *self._build_indexes(),
            *self._add_constraints(),
            analyze_column(self.relation, self.name),
            await_snapshots(),
        ):
            yield replace(step, undo=undo)

    # The names of the objects, as SQL text. ``column_swap`` uses them as well.

    @property
    def alter(self) -> str:
        """Return ALTER TABLE with the table."""
        return f"ALTER TABLE {self.relation}"

    @property
    def quoted_name(self) -> str:
        """Return the name of the replacement column."""
        return quote_name(self.name)

    @property
    def old_name(self) -> str:
        """Return the name of the old column."""
        return quote_name(self.column.name)

    @property
    def function(self) -> str:
        """Return the name of the trigger function, which is in liftlock's schema.

        The oid makes it unique: tenants have equal tables in schemas of their own.
        """
        return f"liftlock.{quote_name(f'{self.name}_{self.table.oid}')}"

    @property
    def triggers(self) -> tuple[str, str]:
        """Return the names of the triggers for INSERT and for UPDATE.

        Triggers fire in alphabetical order. The tilde puts these after all others, so that they
        copy the value that the others have set.
        """
        return quote_name(f"~{self.name}_insert"), quote_name(f"~{self.name}_update")

    def temporary_name(self, name: str) -> str:
        """Return the name, until the swap, of an object on the replacement column.

        Parameters:
            name: the name of the corresponding object on the old column.
        """
        return f"liftlock_{digest(f'{self.name} {name}')}"

    def in_schema(self, name: str) -> str:
        """Return a name as SQL text, in the schema of the table."""
        return in_schema_of(self.relation, name)

    def _undo(self) -> tuple[str, ...]:
        """Return the statements that remove the replacement column and all its objects.

        CASCADE drops the triggers. The foreign keys of other tables go first: they depend on an
        index that goes with the column.
        """
        drop_keys = [
            f"ALTER TABLE {key.relation} DROP CONSTRAINT IF EXISTS "
            f"{quote_name(self.temporary_name(key.name))}"
            for key in self.new.keys
        ]
        return (
            *drop_keys,
            f"DROP FUNCTION IF EXISTS {self.function}() CASCADE",
            f"{self.alter} DROP COLUMN IF EXISTS {self.quoted_name}",
        )

    def _add(self) -> Step:
        """Add the replacement column and the triggers that copy the old column's value to it.

        The triggers exist before the backfill begins, so that no row is missed. The column's
        default is withheld until the swap: it would fill the existing rows, and the backfill finds
        the rows without a value by their nulls. DEFAULT NULL is written, because the column's
        domain may have a default of its own.
        """
        alter_column = f"{self.alter} ALTER COLUMN {self.quoted_name}"
        more_sql = [f"{alter_column} DROP DEFAULT"]
        more_sql += [f"{alter_column} {attribute}" for attribute in self.new.attributes]
        more_sql += [f"GRANT {grant}" for grant in self.new.grants]
        more_sql += comment_on("COLUMN", f"{self.relation}.{self.quoted_name}", self.new.comment)
        more_sql += self._create_function()
        more_sql += self._create_triggers()
        definition = f"{self.quoted_name} {self.new.type} DEFAULT NULL"
        return replace(add_bare_column(self.relation, definition), more_sql=tuple(more_sql))

    def _create_function(self) -> Iterator[str]:
        """Create the trigger function.

        It converts with the settings of this session; those of the application may differ.
        """
        settings = list(CONVERSION_SETTINGS)
        value = f"NEW.{self.old_name}"
        options = " SET search_path = pg_catalog, pg_temp"
        if self.column.using:
            table = quote_name(self.table.name)
            value = f"(SELECT {self.column.using} FROM (SELECT NEW.*) AS {table})"
            options = " SET search_path FROM CURRENT SECURITY DEFINER"
        set_clauses = "".join(f" SET {setting} FROM CURRENT" for setting in settings)
        yield (
            f"CREATE FUNCTION {self.function}() RETURNS trigger"
            f" LANGUAGE plpgsql{set_clauses}{options} AS $liftlock$\n"
            "#variable_conflict use_column\n"
            "BEGIN\n"
            f"    NEW.{self.quoted_name} := {value};\n"
            "    RETURN NEW;\n"
            "END\n"
            "$liftlock$"
        )
        if self.column.using:
            yield from self._secure_function()

    def _secure_function(self) -> Iterator[str]:
        """Keep other roles from misusing the function, which runs in the role of the revision.

        ALTER COLUMN … TYPE evaluates USING in that role, too; the application may not be allowed
        to call its functions. A temporary object must not hide one that the expression names:
        https://www.postgresql.org/docs/current/sql-createfunction.html#SQL-CREATEFUNCTION-SECURITY
        And no other role may make a trigger of its own of the function.
        """
        yield f"REVOKE ALL ON FUNCTION {self.function}() FROM PUBLIC"
        alter = quote_literal(f"ALTER FUNCTION {self.function}() SET search_path = ")
        # SET search_path = '' makes it two quotes, which ALTER FUNCTION takes for a name
        path = "pg_catalog.replace(pg_catalog.current_setting('search_path'), '\"\"', '')"
        yield (
            "DO LANGUAGE plpgsql $liftlock$BEGIN EXECUTE pg_catalog.concat("
            f"{alter}, {path}, CASE WHEN pg_catalog.length({path}) OPERATOR(pg_catalog.>) 0"
            " THEN ', ' END, 'pg_temp'); END$liftlock$"
        )

    def _create_triggers(self) -> Iterator[str]:
        """Create the triggers for INSERT and UPDATE.

        The condition keeps the backfill from firing the one for UPDATE: it sets the replacement
        column in rows where that is null. ENABLE ALWAYS makes both fire in the sessions of logical
        replication, too.
        """
        insert, update = self.triggers
        not_backfill = f"OLD.{self.quoted_name} IS NOT NULL OR NEW.{self.quoted_name} IS NULL"
        events = {
            insert: f"BEFORE INSERT ON {self.relation} FOR EACH ROW",
            update: f"BEFORE UPDATE ON {self.relation} FOR EACH ROW WHEN ({not_backfill})",
        }
        for name, event in events.items():
            yield f"CREATE TRIGGER {name} {event} EXECUTE FUNCTION {self.function}()"
            yield f"{self.alter} ENABLE ALWAYS TRIGGER {name}"

    def _copy(self) -> Step:
        """Backfill the replacement column; rows whose value is null need no update."""
        value = self.column.using or self.old_name
        return backfill_rows(
            self.relation,
            f"{self.quoted_name} = {value}",
            f"{self.quoted_name} IS NULL AND ({value}) IS NOT NULL",
        )

    def _set_not_null(self) -> list[Step]:
        if self.new.not_null is None:
            return []
        shown = row_identifier(self.table)
        return set_not_null(self.relation, self.name, Phase.EXPAND, shown)

    def _build_indexes(self) -> Iterator[Step]:
        for index in self.new.indexes:
            name = self.temporary_name(index.name)
            unique = "UNIQUE " if index.unique else ""
            create = f"CREATE {unique}INDEX CONCURRENTLY {quote_name(name)}"
            sql = f"{create} ON {self.relation} {index.definition}"
            build = build_index(sql, self.in_schema(name), self.relation)
            yield replace(build, name=f"build {index.name}")

    def _add_constraints(self) -> Iterator[Step]:
        for constraint in (*self.new.checks, *self.new.keys):
            name = self.temporary_name(constraint.name)
            yield self._add_constraint(constraint, name)
            if constraint.validated:
                yield replace(
                    validate(constraint.relation, name), name=f"validate {constraint.name}"
                )

    def _add_constraint(self, constraint: DependentConstraint, name: str) -> Step:
        """Add a check or a foreign key; NOT VALID withholds the scan from the strong lock."""
        definition = f"{quote_name(name)} {without_validation(constraint.definition)}"
        lock = LockMode.ACCESS_EXCLUSIVE
        tables: tuple[str, ...] = ()
        if constraint.refers:
            lock = LockMode.SHARE_ROW_EXCLUSIVE
            tables = tuple(dict.fromkeys([constraint.refers, constraint.relation]))
        return Step(
            name=f"add {constraint.name}",
            sql=f"ALTER TABLE {constraint.relation} ADD CONSTRAINT {definition}",
            pace=Pace.BRIEF,
            lock=lock,
            tables=tables,
        )


def without_validation(definition: str) -> str:
    """Return a constraint's definition with NOT VALID."""
    if definition.endswith(" NOT VALID"):
        return definition
    return f"{definition} NOT VALID"


def comment_on(kind: str, name: str, literal: str | None) -> list[str]:
    """Return the COMMENT statement of an object; none for an object without a comment.

    Parameters:
        kind: such as INDEX.
        name: the object as SQL text.
        literal: the comment as an SQL literal.
    """
    if not literal:
        return []
    return [f"COMMENT ON {kind} {name} IS {literal}"]
