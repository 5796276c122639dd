"""Whether the revision does the same wherever and whenever it runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from liftlock.check.finding import Severity
from liftlock.check.rules.rule import Example, Match, Rule, match
from liftlock.shadow.result import RevisionResult


def _volatile(checked: RevisionResult, _way: str) -> Iterator[Match]:
    if not checked.again:
        return
    # Not in their order: SQLAlchemy makes some of them from sets.
    first, second = (
        Counter(one.asks for one in checked.operations),
        Counter(one.asks for one in checked.again),
    )
    once = [one for one in checked.operations if one.asks not in second]
    other = [one for one in checked.again if one.asks not in first]
    if once and other:
        texts = [
            once[0].sql[:200],
            other[0].sql[:200] if other[0].sql != once[0].sql else "with other values",
        ]
        text = "\n".join(["on two runs it asks for two things:", *texts])
        yield Match(text, once[0].line, tuple(once[0].allowed.items()))
    elif first != second:
        yield Match("on two runs it asks for more or fewer operations")


def _edited(checked: RevisionResult, _way: str) -> Iterator[Match]:
    if checked.edited:
        yield Match("the file has changed since it was merged")


def _reads(checked: RevisionResult, _way: str) -> Iterator[Match]:
    asked = [one for one in checked.statements if one.kind == "connection" and one.returns]
    if asked:
        yield match(
            f"what it does may depend on rows, and the shadow has none:\n{asked[0].sql[:200]}",
            asked[0],
        )


RULES = (
    Rule(
        "LL-NOT-DETERMINISTIC",
        "it asks for something else on each run",
        Severity.WARNING,
        "A run that is interrupted and resumed, and each of your databases, gets other values; liftlock refuses to mix them.",
        "Let the server make such values (server_default, gen_random_uuid(), now()), or write constants.",
        _volatile,
        bad=Example(
            """import uuid\nop.execute(f"INSERT INTO country VALUES ('Xx', '{uuid.uuid4()}')")""",
            """op.execute("DELETE FROM country WHERE code = 'Xx'")""",
        ),
        good=Example(
            """op.execute("INSERT INTO country VALUES ('Xx', gen_random_uuid()::text)")""",
            """op.execute("DELETE FROM country WHERE code = 'Xx'")""",
        ),
    ),
    Rule(
        "LL-READS-DATABASE",
        "it asks the database",
        Severity.NOTE,
        "The check has seen one of its paths, on empty tables; production may take another.",
        "Try it on a copy of real data as well; or let the server decide, in SQL.",
        _reads,
        bad=Example(
            """for row in op.get_bind().execute(sa.text("SELECT code FROM country")):\n"""
            """    op.execute(f"UPDATE person SET country = '{row.code}' WHERE country IS NULL")""",
            """pass""",
        ),
        good=Example(
            """op.execute("UPDATE person SET country = (SELECT min(code) FROM country) WHERE country IS NULL")""",
            """pass""",
        ),
    ),
)
EDITED = Rule(
    "LL-EDITED-AFTER-MERGE",
    "a revision was edited after it was merged",
    Severity.ERROR,
    "Databases that have it already won't run it again, so they will differ from those that get it now.",
    "Put the file back, and make the change in a revision of its own.",
    _edited,
    bad=Example("", ""),
    good=Example("", ""),
    placed=False,
)
"""Isn't judged by what a revision does, so its examples are files; see the tests."""
