"""What is lost, and what is slow for want of an index."""

from __future__ import annotations

from collections.abc import Iterator

from liftlock.model.checked import Checked
from liftlock.model.finding import Severity
from liftlock.model.operation import bare, words
from liftlock.planning.rules.rule import Example, Hit, Rule, empties, hit, sent_for


def _loses(checked: Checked, _way: str) -> Iterator[Hit]:
    for oid, name in sorted(checked.before.tables.items()):
        if oid not in checked.after.tables:
            one = sent_for(checked, {"drop_table"}, oid, (), bare(name))
            yield hit(f"table {name} is dropped, with all that is in it", one)
    for place, column in sorted(checked.before.columns.items()):
        if place[0] in checked.after.tables and place not in checked.after.columns and not column.inherited:
            one = sent_for(checked, {"drop_column"}, place[0], (column.name,), column.name)
            yield hit(f"column {column.table}.{column.name} is dropped, with all that is in it", one)
    for one in checked.statements:
        if empties(one) and one.blocked:
            yield hit(f"all rows are removed:\n{one.sql[:300]}", one)
        elif words(one.sql) == ["DELETE"] and one.work.updates:
            yield hit(f"rows are deleted:\n{one.sql[:300]}", one)


def _unindexed(checked: Checked, _way: str) -> Iterator[Hit]:
    for oid, key in sorted(checked.after.keys.items()):
        if oid not in checked.before.keys and not key.indexed and key.table_oid in checked.before.tables:
            one = sent_for(checked, {"create_foreign_key", "add_column"}, key.table_oid, key.columns, key.name)
            yield hit(f"foreign key {key.name} of {key.table} ({', '.join(key.columns)}) has no index", one)


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
