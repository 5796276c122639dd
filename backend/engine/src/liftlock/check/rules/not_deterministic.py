"""LL-NOT-DETERMINISTIC: two runs of the revision ask for different operations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from liftlock.check.finding import Severity
from liftlock.check.rules.rule import Example, Match, Rule
from liftlock.model.operation import Operation
from liftlock.shadow.result import RevisionResult

_EXCERPT_LENGTH = 200


def find(result: RevisionResult, _way: str) -> Iterator[Match]:
    """Yield one match when the operations of two runs differ.

    Their order isn't compared, because SQLAlchemy generates some of them from sets.
    """
    if not result.again:
        return
    first = Counter(operation.asks for operation in result.operations)
    second = Counter(operation.asks for operation in result.again)
    only_first = [operation for operation in result.operations if operation.asks not in second]
    only_second = [operation for operation in result.again if operation.asks not in first]
    if only_first and only_second:
        yield _match(only_first[0], only_second[0])
    elif first != second:
        yield Match("two runs ask for different numbers of operations")


def _match(one: Operation, other: Operation) -> Match:
    second = other.sql[:_EXCERPT_LENGTH] if other.sql != one.sql else "with other values"
    lines = ["two runs ask for different operations:", one.sql[:_EXCERPT_LENGTH], second]
    return Match("\n".join(lines), one.line, one.allowed)


RULE = Rule(
    code="LL-NOT-DETERMINISTIC",
    title="Executes different SQL on each run",
    severity=Severity.WARNING,
    why="A run that is interrupted and resumed, and each of your databases, gets other values;"
    " liftlock refuses to mix them.",
    now="Let the server generate such values (server_default, gen_random_uuid(), now()), or write"
    " constants.",
    judge=find,
    bad=Example(
        upgrade="import uuid\nop.execute(f\"INSERT INTO country VALUES ('Xx', '{uuid.uuid4()}')\")",
        downgrade="op.execute(\"DELETE FROM country WHERE code = 'Xx'\")",
    ),
    good=Example(
        upgrade="op.execute(\"INSERT INTO country VALUES ('Xx', gen_random_uuid()::text)\")",
        downgrade="op.execute(\"DELETE FROM country WHERE code = 'Xx'\")",
    ),
)
