"""LL-FOREIGN-KEY-WITHOUT-INDEX: no index of the table begins with the key's columns."""

from __future__ import annotations

from collections.abc import Iterator

from liftlock.check.finding import Severity
from liftlock.check.rules.matching import find_statement, match_at
from liftlock.check.rules.rule import Example, Match, Rule
from liftlock.shadow.result import RevisionResult


def find(result: RevisionResult, _way: str) -> Iterator[Match]:
    """Yield the new foreign keys without an index, on tables that existed before."""
    for oid, key in sorted(result.after.keys.items()):
        is_new = oid not in result.before.keys and key.table_oid in result.before.tables
        if key.indexed or not is_new:
            continue
        kinds = {"create_foreign_key", "add_column"}
        statement = find_statement(result, kinds, key.table_oid, key.columns, key.name)
        columns = ", ".join(key.columns)
        what = f"foreign key {key.name} of {key.table} ({columns}) has no index"
        yield match_at(what, statement)


RULE = Rule(
    code="LL-FOREIGN-KEY-WITHOUT-INDEX",
    title="Foreign key without an index on its columns",
    severity=Severity.WARNING,
    why="Each DELETE of a referenced row, and each UPDATE of its key, scans the whole table.",
    now="Create an index on the same columns before the key: op.create_index.",
    judge=find,
    bad=Example(
        upgrade='op.create_foreign_key("from_there", "person", "country", ["country"], ["code"])',
        downgrade='op.drop_constraint("from_there", "person")',
    ),
    good=Example(
        upgrade='op.create_index("ix_country", "person", ["country"])\n'
        'op.create_foreign_key("from_there", "person", "country", ["country"], ["code"])',
        downgrade='op.drop_constraint("from_there", "person")\nop.drop_index("ix_country")',
    ),
)
