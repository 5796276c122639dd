"""Whether the release that is still running survives the revision."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from liftlock.check.finding import Severity
from liftlock.check.rules.rule import (
    CHANGES_TABLE,
    Example,
    Match,
    Rule,
    find_statement,
    match,
    requires_value,
)
from liftlock.model.operation import ColumnDetails, quote_name, unqualified
from liftlock.shadow.observed import ObservedStatement
from liftlock.shadow.result import RevisionResult
from liftlock.shadow.schema import ForeignKey, SchemaColumn, SchemaConstraint, Unique, holds_all

_TAKES_AWAY = frozenset(
    {"rename_table", "rename_column", "drop_table", "drop_column", "alter_nullable", "alter_type"}
    | {"drop_constraint", "drop_index", "drop_not_null", "comment"}
)
"""What may go together: taking a column away often takes what stands on it first."""


def _breaking(checked: RevisionResult) -> Iterator[tuple[str, ObservedStatement | None]]:
    """What the running release knows and won't find any more, or not so; and the statement that does it."""
    before, after = checked.before, checked.after
    for oid, name in sorted(before.tables.items()):
        if oid not in after.tables:
            yield (
                f"{name} is dropped",
                find_statement(checked, {"drop_table"}, oid, (), unqualified(name)),
            )
        elif after.tables[oid] != name:
            sent = find_statement(checked, {"rename_table"}, oid, (), unqualified(name))
            schema = name.removesuffix(f".{quote_name(unqualified(name))}").removesuffix(
                f".{unqualified(name)}"
            )  # where that is renamed, no table is named
            yield (
                f"{name} is renamed to {after.tables[oid]}",
                sent or find_statement(checked, (), oid, (), unqualified(schema)),
            )
    for name in sorted(before.views - after.views):
        yield (
            f"view {name} is dropped or renamed",
            find_statement(checked, (), 0, (), unqualified(name)),
        )
    for place, old in sorted(before.columns.items()):
        if place[0] in after.tables and not old.inherited:
            yield from _breaking_column(checked, place, old, after.columns.get(place))
    for place, new in sorted(after.columns.items()):
        required = new.not_null and not new.has_default and not new.inherited
        if (
            required
            and place[0] in before.tables
            and place not in before.columns
            and not _required_at_once(checked, place[0], new.name)
        ):
            sent = find_statement(
                checked, {"alter_nullable", "add_column"}, place[0], (new.name,), new.name
            )
            yield f"{new.table} has a new column that must not be null: {new.name}", sent


def _breaking_column(
    checked: RevisionResult, place: tuple[int, int], old: SchemaColumn, new: SchemaColumn | None
) -> Iterator[tuple[str, ObservedStatement | None]]:
    def sent(kind: str) -> ObservedStatement | None:
        return find_statement(checked, {kind}, place[0], (old.name,), old.name)

    if new is None:
        yield f"{old.table} loses a column: {old.name}", sent("drop_column")
        return
    if new.name != old.name:
        yield f"{old.table} has a column renamed: {old.name} to {new.name}", sent("rename_column")
    if new.type != old.type and not holds_all(old.type, new.type):
        one = sent("alter_type")
        if (
            one is None or one.work.rewrites
        ):  # where the server keeps what is there, the new type holds all of it
            yield (
                f"{old.table} has a column of another type: {old.name}, {old.type} to {new.type}",
                one,
            )
    if new.not_null and not old.not_null:
        yield (
            f"{old.table} has a column that must not be null any more: {old.name}",
            sent("alter_nullable"),
        )
    elif new.not_null and old.has_default and not new.has_default:
        yield (
            f"{old.table} has a column that rows must bring along from now on: {old.name} loses its default",
            sent("alter_default"),
        )


def _required_at_once(checked: RevisionResult, table: int, name: str) -> bool:
    """What LL-NOT-NULL-WITHOUT-DEFAULT speaks of."""
    return any(
        requires_value(one) and one.own == table and _column_of(one) == name
        for one in checked.statements
    )


def _column_of(one: ObservedStatement) -> str:
    return one.operation.details.name if isinstance(one.operation.details, ColumnDetails) else ""


def _breaks(checked: RevisionResult, _way: str) -> Iterator[Match]:
    for text, one in _breaking(checked):
        yield match(f"{text}:\n{one.sql[:300]}" if one is not None else text, one)


def _mixed(checked: RevisionResult, _way: str) -> Iterator[Match]:
    breaking = [one for _, one in _breaking(checked) if one is not None]
    columns = {(one.own, _column_of(one)) for one in breaking if _column_of(one)}
    rest = [
        one
        for one in checked.statements
        if one.kind not in _TAKES_AWAY
        and _adds(one)
        and one not in breaking
        and (one.own, _column_of(one)) not in columns
    ]
    if breaking and rest:
        first, other = breaking[0].line or "?", rest[0].line or "?"
        yield match(
            f"line {first} breaks the running release, and line {other} doesn't:\n{rest[0].sql[:300]}",
            breaking[0],
        )


def _adds(one: ObservedStatement) -> bool:
    """Whether a statement changes a table that is there, or makes one, and takes nothing away."""
    if one.kind in {"execute", "connection"}:
        changes = any(held.mode in CHANGES_TABLE and held.kind in {"r", "p"} for held in one.taken)
        return (
            changes
            and re.search(r"\b(DROP|RENAME|TRUNCATE|COMMENT)\b", one.sql, re.IGNORECASE) is None
        )
    return one.kind == "create_table" or one.strongest in CHANGES_TABLE


def _tighter(checked: RevisionResult, _way: str) -> Iterator[Match]:
    """New constraints on old columns."""
    before, after = checked.before, checked.after
    families: tuple[
        tuple[Mapping[int, SchemaConstraint], Mapping[int, SchemaConstraint], set[str]], ...
    ] = (
        (
            before.uniques,
            after.uniques,
            {"create_unique_constraint", "create_primary_key", "create_index"},
        ),
        (
            before.checks,
            after.checks,
            {"create_check_constraint", "create_exclude_constraint", "create_index"},
        ),
        (before.keys, after.keys, {"create_foreign_key"}),
    )
    for old, new, kinds in families:
        known = {one.demand for one in old.values()}
        for oid, one in sorted(new.items(), key=lambda pair: pair[0]):
            columns = {
                column.name
                for (table, _), column in before.columns.items()
                if table == one.table_oid
            }
            if (
                oid not in old
                and one.demand not in known
                and one.table_oid in before.tables
                and set(one.columns) <= columns
            ):
                sent = find_statement(checked, kinds, one.table_oid, one.columns, one.name)
                yield match(f"{one.table}: {_demand(one)}, by {one.name}", sent)


def _demand(one: SchemaConstraint) -> str:
    listed = ", ".join(one.columns)
    if isinstance(one, ForeignKey):
        return f"{listed} must refer to {one.refers}"
    return (
        f"{listed} must be unique"
        if isinstance(one, Unique)
        else f"{listed or 'rows'} must satisfy a check"
    )


def _triggers(checked: RevisionResult, _way: str) -> Iterator[Match]:
    for name, table in sorted(checked.after.triggers - checked.before.triggers):
        if table in checked.before.tables:
            yield match(
                f"{checked.after.tables[table]} has a new trigger: {name}",
                find_statement(checked, (), table, (), name),
            )


def _timezone(checked: RevisionResult, _way: str) -> Iterator[Match]:
    for place, old in checked.before.columns.items():
        new = checked.after.columns.get(place)
        if new is None:
            continue
        kinds = {
            old.type.split("(")[0] + old.type.partition(")")[2],
            new.type.split("(")[0] + new.type.partition(")")[2],
        }
        if kinds != {"timestamp without time zone", "timestamp with time zone"}:
            continue
        one = find_statement(checked, {"alter_type"}, place[0], (old.name,), old.name)
        parts = one.operation.details if one is not None else None
        if not (isinstance(parts, ColumnDetails) and parts.using):
            yield match(f"{old.table}.{old.name} changes from {old.type} to {new.type}", one)


RULES = (
    Rule(
        "LL-BREAKS-RUNNING-RELEASE",
        "the running release can't work with the schema that comes",
        Severity.WARNING,
        "Until the last container of it is gone, its queries fail.",
        "First ship a release that does without it; then allow it here, in a revision of its own, and say which release that was.",
        _breaks,
        bad=Example(
            """op.alter_column("person", "nick", new_column_name="name")""",
            """op.alter_column("person", "name", new_column_name="nick")""",
        ),
        good=Example(
            """op.add_column("person", sa.Column("name", sa.Text))""",
            """op.drop_column("person", "name")""",
        ),
    ),
    Rule(
        "LL-MIXED-PHASES",
        "what breaks the running release stands beside what doesn't",
        Severity.WARNING,
        "The harmless part can't be shipped before the other, nor the other be put off.",
        "Make two revisions of it: what adds, to run before the release; what takes away, after the last container of the old one.",
        _mixed,
        bad=Example(
            """op.add_column("person", sa.Column("name", sa.Text))\nop.drop_column("person", "nick")""",
            """op.drop_column("person", "name")\nop.add_column("person", sa.Column("nick", sa.Text))""",
        ),
        good=Example(
            """op.add_column("person", sa.Column("name", sa.Text))""",
            """op.drop_column("person", "name")""",
        ),
    ),
    Rule(
        "LL-NEW-CONSTRAINT",
        "what the running release writes may be refused",
        Severity.NOTE,
        "Rows that were good before are now errors, in containers that don't know the constraint.",
        "Make sure that the running release writes no such rows.",
        _tighter,
        bad=Example(
            """op.create_unique_constraint("uq_email", "person", ["email"])""",
            """op.drop_constraint("uq_email", "person")""",
        ),
        good=Example(
            """op.create_index("ix_email", "person", ["email"])""",
            """op.drop_index("ix_email")""",
        ),
    ),
    Rule(
        "LL-NEW-TRIGGER",
        "a table in use gets a trigger",
        Severity.NOTE,
        "From now on each row that is written pays for it, in the running release too.",
        "Measure what it costs where much is written.",
        _triggers,
        bad=Example(
            """op.execute("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'")\n"""
            """op.execute("CREATE TRIGGER t BEFORE INSERT ON person FOR EACH ROW EXECUTE FUNCTION f()")""",
            """op.execute("DROP TRIGGER t ON person")\nop.execute("DROP FUNCTION f")""",
        ),
        good=Example(
            """op.execute("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'")""",
            """op.execute("DROP FUNCTION f")""",
        ),
    ),
    Rule(
        "LL-TIMEZONE-DEPENDENT",
        "values depend on the time zone of the session that migrates",
        Severity.WARNING,
        "PostgreSQL reads each old value in the session's TimeZone, and rewrites the table unless that is UTC.",
        "Say which zone they are in: postgresql_using=\"created AT TIME ZONE 'UTC'\".",
        _timezone,
        bad=Example(
            """op.alter_column("person", "created", type_=sa.DateTime(timezone=True))""",
            """op.alter_column("person", "created", type_=sa.DateTime())""",
        ),
        good=Example(
            """op.alter_column("person", "created", type_=sa.DateTime(timezone=True), postgresql_using="created AT TIME ZONE 'UTC'")""",
            """op.alter_column("person", "created", type_=sa.DateTime(), postgresql_using="created AT TIME ZONE 'UTC'")""",
        ),
    ),
)
