"""LL-TIMEZONE-DEPENDENT: old timestamps are read in the time zone of the migrating session."""

from __future__ import annotations

from collections.abc import Iterator

from liftlock.check.finding import Severity
from liftlock.check.rules.matching import find_statement, match_at
from liftlock.check.rules.rule import Example, Match, Rule
from liftlock.model.operation import ColumnDetails
from liftlock.shadow.observed import ObservedStatement
from liftlock.shadow.result import RevisionResult

_TIMESTAMPS = {"timestamp without time zone", "timestamp with time zone"}


def find(result: RevisionResult, _way: str) -> Iterator[Match]:
    """Yield the columns that change between the timestamp types without an expression."""
    for place, old in result.before.columns.items():
        new = result.after.columns.get(place)
        if (
            new is None
            or {_without_precision(old.type), _without_precision(new.type)} != _TIMESTAMPS
        ):
            continue
        statement = find_statement(result, {"alter_type"}, place[0], (old.name,), old.name)
        if not _has_expression(statement):
            what = f"{old.table}.{old.name} changes from {old.type} to {new.type}"
            yield match_at(what, statement)


def _without_precision(type_name: str) -> str:
    """Return a type without its precision: ``timestamp(3) with time zone`` without the ``(3)``."""
    return type_name.partition("(")[0] + type_name.partition(")")[2]


def _has_expression(statement: ObservedStatement | None) -> bool:
    details = statement.operation.details if statement is not None else None
    return isinstance(details, ColumnDetails) and bool(details.using)


RULE = Rule(
    code="LL-TIMEZONE-DEPENDENT",
    title="Converts timestamps by the time zone of the session",
    severity=Severity.WARNING,
    why="PostgreSQL reads each old value in the session's TimeZone, and rewrites the table unless"
    " that is UTC.",
    now="Say which time zone the values are in: postgresql_using=\"created AT TIME ZONE 'UTC'\".",
    judge=find,
    bad=Example(
        upgrade='op.alter_column("person", "created", type_=sa.DateTime(timezone=True))',
        downgrade='op.alter_column("person", "created", type_=sa.DateTime())',
    ),
    good=Example(
        upgrade="using = \"created AT TIME ZONE 'UTC'\"\n"
        "with_zone = sa.DateTime(timezone=True)\n"
        'op.alter_column("person", "created", type_=with_zone, postgresql_using=using)',
        downgrade="using = \"created AT TIME ZONE 'UTC'\"\n"
        'op.alter_column("person", "created", type_=sa.DateTime(), postgresql_using=using)',
    ),
)
