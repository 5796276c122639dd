"""Whether the release that is still running survives the revision."""

from __future__ import annotations

from collections.abc import Iterator

from liftlock.model.checked import Checked
from liftlock.model.finding import Severity
from liftlock.model.lock import LockMode
from liftlock.model.observed import Observed
from liftlock.model.operation import ColumnParts
from liftlock.model.schema import Schema, SchemaColumn
from liftlock.planning.rules.rule import Example, Hit, Rule, hit, sent_for

_BREAKING = {
    "rename_table": "is renamed",
    "rename_column": "has a column renamed",
    "drop_table": "is dropped",
    "drop_column": "loses a column",
    "alter_nullable": "has a column that must not be null any more",
    "alter_type": "has a column of another type",
}
_TAKES_AWAY = frozenset(_BREAKING) | {"drop_constraint", "drop_index", "drop_not_null", "comment"}
"""What may go together: taking a column away often takes what stands on it first."""
_SCHEMA = frozenset(LockMode) - {LockMode.ACCESS_SHARE, LockMode.ROW_SHARE, LockMode.ROW_EXCLUSIVE}
"""Locks of statements that change a table, and not only rows."""
_WIDER = {
    "smallint": {"integer", "bigint", "numeric"},
    "integer": {"bigint", "numeric"},
    "bigint": {"numeric"},
    "real": {"double precision"},
    "timestamp without time zone": {"timestamp with time zone"},
    "timestamp with time zone": {"timestamp without time zone"},
}
"""Types that hold all of another; LL-TIMEZONE speaks of the last two."""


def _breaking(checked: Checked) -> Iterator[tuple[str, Observed]]:
    for one in checked.plain.observed:
        if one.kind in _BREAKING and one.strongest is LockMode.ACCESS_EXCLUSIVE and not _harmless(checked, one):
            yield f"{one.operation.relation} {_BREAKING[one.kind]}", one


def _harmless(checked: Checked, one: Observed) -> bool:
    """A type that holds all of the old one, and a column that the running release doesn't know and needn't fill."""
    name = one.operation.parts.name if isinstance(one.operation.parts, ColumnParts) else ""
    old, new = _column(checked.before, one.own, name), _column(checked.after, one.own, name)
    if one.kind == "alter_type":
        wider = old is not None and new is not None and new.type in _WIDER.get(old.type, ())
        return not one.work.rewrites or wider  # where the server keeps what is there, the new type holds all of it
    return one.kind == "alter_nullable" and old is None and new is not None and new.has_default


def _column(schema: Schema, table: int, name: str) -> SchemaColumn | None:
    return next((column for (oid, _), column in schema.columns.items() if (oid, column.name) == (table, name)), None)


def _breaks(checked: Checked, _way: str) -> Iterator[Hit]:
    for text, one in _breaking(checked):
        yield hit(f"{text}:\n{one.sql[:300]}", one)


def _mixed(checked: Checked, _way: str) -> Iterator[Hit]:
    breaking = [one for _, one in _breaking(checked)]
    rest = [one for one in checked.plain.observed if one.kind not in _TAKES_AWAY and one.strongest in _SCHEMA]
    if breaking and rest:
        first, other = breaking[0].line or "?", rest[0].line or "?"
        yield hit(f"line {first} breaks the running release, and line {other} doesn't:\n{rest[0].sql[:300]}", breaking[0])


def _timezone(checked: Checked, _way: str) -> Iterator[Hit]:
    for place, old in checked.before.columns.items():
        new = checked.after.columns.get(place)
        if new is None:
            continue
        kinds = {old.type.split("(")[0] + old.type.partition(")")[2], new.type.split("(")[0] + new.type.partition(")")[2]}
        if kinds != {"timestamp without time zone", "timestamp with time zone"}:
            continue
        one = sent_for(checked, {"alter_type"}, place[0], (old.name,), old.name)
        parts = one.operation.parts if one is not None else None
        if not (isinstance(parts, ColumnParts) and parts.using):
            yield hit(f"{old.table}.{old.name} changes from {old.type} to {new.type}", one)


RULES = (
    Rule(
        "LL-BREAKS",
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
        "LL-MIXED",
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
        "LL-TIMEZONE",
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
