"""LL-MODELS-DIFFER: the models describe another schema than the revisions create."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from liftlock.check.finding import Finding, Severity
from liftlock.check.rules.rule import Example, FindingType

_DIFFERENCES_SHOWN = 10


def find(differences: Sequence[str]) -> Iterator[Finding]:
    """Yield one finding when models and revisions differ.

    Parameters:
        differences: texts of the operations that Alembic's autogenerate would write.
    """
    if not differences:
        return
    left_out = len(differences) - _DIFFERENCES_SHOWN
    lines = [
        "the models describe another schema than the revisions create:",
        *differences[:_DIFFERENCES_SHOWN],
    ]
    if left_out > 0:
        lines.append(f"… and {left_out} more")
    yield RULE.finding("\n".join(lines))


_MODELS = """\
import sqlalchemy as sa

target_metadata = sa.MetaData()
sa.Table("size", target_metadata, sa.Column("id", sa.Integer, primary_key=True))
"""

RULE = FindingType(
    code="LL-MODELS-DIFFER",
    title="Models that differ from the schema the revisions create",
    severity=Severity.ERROR,
    why="The code would run on another schema than it was written for.",
    now="Add a revision: alembic revision --autogenerate. Or correct the models.",
    bad=Example(models=_MODELS, upgrade="pass", downgrade="pass"),
    good=Example(
        models=_MODELS,
        upgrade='op.create_table("size", sa.Column("id", sa.Integer, primary_key=True))',
        downgrade='op.drop_table("size")',
    ),
)
