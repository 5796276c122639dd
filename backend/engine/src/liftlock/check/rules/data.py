"""What is lost, and what is slow for want of an index."""

from __future__ import annotations

from collections.abc import Iterator

from liftlock.check.finding import Severity
from liftlock.check.rules.rule import Example, Match, Rule, find_statement, match, truncates
from liftlock.model.operation import first_words, unqualified
from liftlock.shadow.result import RevisionResult


def _loses(checked: RevisionResult, _way: str) -> Iterator[Match]:
    for oid, name in sorted(checked.before.tables.items()):
        if oid not in checked.after.tables:
            one = find_statement(checked, {"drop_table"}, oid, (), unqualified(name))
            yield match(f"table {name} is dropped, with all that is in it", one)
    for place, column in sorted(checked.before.columns.items()):
        if (
            place[0] in checked.after.tables
            and place not in checked.after.columns
            and not column.inherited
        ):
            one = find_statement(checked, {"drop_column"}, place[0], (column.name,), column.name)
            yield match(
                f"column {column.table}.{column.name} is dropped, with all that is in it", one
            )
    for one in checked.statements:
        if truncates(one) and one.blocked:
            yield match(f"all rows are removed:\n{one.sql[:300]}", one)
        elif first_words(one.sql) == ["DELETE"] and one.work.updates:
            yield match(f"rows are deleted:\n{one.sql[:300]}", one)


def _unindexed(checked: RevisionResult, _way: str) -> Iterator[Match]:
    for oid, key in sorted(checked.after.keys.items()):
        if (
            oid not in checked.before.keys
            and not key.indexed
            and key.table_oid in checked.before.tables
        ):
            one = find_statement(
                checked, {"create_foreign_key", "add_column"}, key.table_oid, key.columns, key.name
            )
            yield match(
                f"foreign key {key.name} of {key.table} ({', '.join(key.columns)}) has no index",
                one,
            )


RULES = (
    Rule(
        "LL-DATA-LOSS",
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
        "LL-FOREIGN-KEY-WITHOUT-INDEX",
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
