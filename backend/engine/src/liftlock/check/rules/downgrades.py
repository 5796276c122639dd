"""Whether there is a way back."""

from __future__ import annotations

from collections.abc import Iterator

from liftlock.check.finding import Severity
from liftlock.check.rules.rule import Example, Match, Rule
from liftlock.shadow.result import RevisionResult

_SHOWN = 8


def _no_way_back(checked: RevisionResult, _way: str) -> Iterator[Match]:
    back = checked.downgrade
    if back is None:
        return
    if back.error:
        yield Match(f"its downgrade fails: {back.error}")
    elif not back.statements and back.difference:
        yield Match("its downgrade does nothing")


def _other_way_back(checked: RevisionResult, _way: str) -> Iterator[Match]:
    back = checked.downgrade
    if back is not None and back.upgrade_again_error:
        yield Match(f"after its downgrade it can't be applied again: {back.upgrade_again_error}")
    elif back is not None and back.statements and back.difference and not back.error:
        more = (
            f"\n… and {len(back.difference) - _SHOWN} lines more"
            if len(back.difference) > _SHOWN
            else ""
        )
        yield Match(
            "after its downgrade the schema isn't what it was:\n"
            + "\n".join(back.difference[:_SHOWN])
            + more
        )


RULES = (
    Rule(
        "LL-NO-DOWNGRADE",
        "there is no downgrade",
        Severity.WARNING,
        "When the release has to be taken back, the schema can't be.",
        "Write one; or allow it, and say how you would go back: by a backup, or by a further revision.",
        _no_way_back,
        bad=Example(
            """op.add_column("person", sa.Column("size", sa.Integer))""",
            """pass""",
        ),
        good=Example(
            """op.add_column("person", sa.Column("size", sa.Integer))""",
            """op.drop_column("person", "size")""",
        ),
        placed=False,
    ),
    Rule(
        "LL-DOWNGRADE-DIFFERS",
        "the downgrade doesn't lead back to where it was",
        Severity.WARNING,
        "The older release meets a schema that it was never tested with, and a later upgrade may fail.",
        "Take back all that the upgrade does: names, defaults, indexes and types among it.",
        _other_way_back,
        bad=Example(
            """op.add_column("person", sa.Column("size", sa.Integer))\nop.create_index("ix_age", "person", ["age"])""",
            """op.drop_column("person", "size")""",
        ),
        good=Example(
            """op.add_column("person", sa.Column("size", sa.Integer))\nop.create_index("ix_age", "person", ["age"])""",
            """op.drop_index("ix_age")\nop.drop_column("person", "size")""",
        ),
        placed=False,
    ),
)
