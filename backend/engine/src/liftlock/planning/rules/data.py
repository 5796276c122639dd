"""What is lost, and what is slow for want of an index."""

from __future__ import annotations

from collections.abc import Iterator

from liftlock.model.checked import Checked
from liftlock.model.finding import Severity
from liftlock.planning.rules.rule import Example, Hit, Rule


def _loses(checked: Checked, _way: str) -> Iterator[Hit]:
    lines = {one.sql: one for one in checked.plain.observed if one.operation in {"drop_table", "drop_column"}}
    allowed = tuple({pair for one in lines.values() for pair in one.allowed})
    for oid, name in sorted(checked.before.tables.items()):
        if oid not in checked.after.tables:
            yield Hit(f"table {name} is dropped, with all that is in it", _line(checked, name), allowed)
    for place, column in sorted(checked.before.columns.items()):
        if place[0] in checked.after.tables and place not in checked.after.columns:
            yield Hit(f"column {column.table}.{column.name} is dropped, with all that is in it", _line(checked, column.name), allowed)


def _line(checked: Checked, name: str) -> int | None:
    """Of the statement that drops what has this name."""
    return next((one.line for one in checked.plain.observed if "DROP" in one.sql.upper() and name in one.sql), None)


def _unindexed(checked: Checked, _way: str) -> Iterator[Hit]:
    for oid, key in sorted(checked.after.keys.items()):
        if oid not in checked.before.keys and not key.indexed and key.table_oid in checked.before.tables:
            listed = ", ".join(key.columns)
            yield Hit(f"foreign key {key.name} of {key.table} ({listed}) has no index", _line_of(checked, key.name, key.columns))


def _line_of(checked: Checked, *names: object) -> int | None:
    texts = [str(name) for one in names for name in (one if isinstance(one, tuple) else (one,))]
    return next((one.line for one in checked.plain.observed if any(text in one.sql for text in texts)), None)


RULES = (
    Rule(
        "LL-LOSES",
        "data is lost for good",
        Severity.WARNING,
        "No downgrade brings it back.",
        "Make sure that it isn't needed, or is kept elsewhere; then allow it here, and say why.",
        _loses,
        bad=Example(
            """op.drop_column("person", "nick")""",
            """op.add_column("person", sa.Column("nick", sa.Text))""",
        ),
        good=Example(
            """op.alter_column("person", "nick", comment="unused since release 12")""",
            """op.alter_column("person", "nick", comment=None)""",
        ),
    ),
    Rule(
        "LL-UNINDEXED",
        "a foreign key has no index",
        Severity.WARNING,
        "Each DELETE of a referred row, and each UPDATE of its key, reads the whole table.",
        "Add one: op.create_index on the same columns, before the key.",
        _unindexed,
        bad=Example(
            """op.create_foreign_key("from_there", "person", "country", ["country"], ["code"])""",
            """op.drop_constraint("from_there", "person")""",
        ),
        good=Example(
            """op.create_index("ix_country", "person", ["country"])\n"""
            """op.create_foreign_key("from_there", "person", "country", ["country"], ["code"])""",
            """op.drop_constraint("from_there", "person")\nop.drop_index("ix_country")""",
        ),
    ),
)
