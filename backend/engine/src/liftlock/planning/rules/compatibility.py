"""Whether the release that is still running survives the revision."""

from __future__ import annotations

from collections.abc import Iterator

from liftlock.model.checked import Checked
from liftlock.model.finding import Severity
from liftlock.model.lock import LockMode
from liftlock.model.observed import Observed
from liftlock.planning.rules.rule import Example, Hit, Rule

_BREAKING = {
    "rename_table": "is renamed",
    "rename_column": "has a column renamed",
    "drop_table": "is dropped",
    "drop_column": "loses a column",
    "alter_nullable": "has a column that must not be null any more",
    "alter_type": "has a column whose type doesn't hold all that it held",
}

_SCHEMA = frozenset(LockMode) - {LockMode.ACCESS_SHARE, LockMode.ROW_SHARE, LockMode.ROW_EXCLUSIVE}
"""Locks of statements that change a table, and not only rows."""


def _breaking(checked: Checked) -> Iterator[tuple[str, Observed]]:
    for one in checked.plain.observed:
        shown = _BREAKING.get(one.operation)
        if shown is None or one.strongest is not LockMode.ACCESS_EXCLUSIVE:
            continue
        if one.operation == "alter_type" and not one.work.rewrites:
            continue  # PostgreSQL keeps what is there, so it holds all of it
        yield f"{one.table} {shown}", one


def _breaks(checked: Checked, _way: str) -> Iterator[Hit]:
    for text, one in _breaking(checked):
        yield Hit(f"{text}:\n{one.sql[:300]}", one.line, one.allowed)


def _mixed(checked: Checked, _way: str) -> Iterator[Hit]:
    breaking = [one for _, one in _breaking(checked)]
    rest = [one for one in checked.plain.observed if one.operation not in _BREAKING and one.strongest in _SCHEMA]
    if breaking and rest:
        yield Hit(
            f"line {breaking[0].line or '?'} breaks the running release, and line {rest[0].line or '?'} doesn't:\n{rest[0].sql[:300]}",
            breaking[0].line,
            breaking[0].allowed,
        )


def _timezone(checked: Checked, _way: str) -> Iterator[Hit]:
    for place, old in checked.before.columns.items():
        new = checked.after.columns.get(place)
        if new is None:
            continue
        kinds = {old.type.split("(")[0] + old.type.partition(")")[2], new.type.split("(")[0] + new.type.partition(")")[2]}
        if kinds == {"timestamp without time zone", "timestamp with time zone"}:
            yield Hit(f"{old.table}.{old.name} changes from {old.type} to {new.type}")


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
            """op.add_column("person", sa.Column("since", sa.DateTime(timezone=True)))""",
            """op.drop_column("person", "since")""",
        ),
    ),
)
