"""What the revisions make as a whole."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from liftlock.check.finding import Finding, Severity
from liftlock.check.rules.rule import FindingType

_SHOWN = 10
HEADS = FindingType(
    "LL-MULTIPLE-HEADS",
    "the history has several heads",
    Severity.ERROR,
    "`upgrade head` could mean any of them, and is refused.",
    "Join them: alembic merge. Or, where these are branches, allow it: LL-MULTIPLE-HEADS in alembic.ini.",
)
MODELS = FindingType(
    "LL-MODELS-DIFFER",
    "the models want something else than the revisions make",
    Severity.ERROR,
    "The code would meet another schema than it was written for.",
    "Add a revision: alembic revision --autogenerate. Or correct the models.",
)
OFFLINE = FindingType(
    "LL-NO-OFFLINE-SQL",
    "the chain can't be written down as SQL; looked for with `--chain`",
    Severity.NOTE,
    "Nobody can run the chain as a script.",
    "Ask the database only where context.is_offline_mode() is false.",
)


def of_heads(heads: Collection[str]) -> Iterator[Finding]:
    """There are several heads.

    Parameters:
        heads: of the chain.
    """
    if len(heads) > 1:
        listed = " ".join(sorted(heads))
        now = f'Join them: alembic merge -m "merge" {listed}. Or, where these are branches, allow it: LL-MULTIPLE-HEADS in alembic.ini.'
        yield HEADS.found(f"the history has {len(heads)} heads: {listed}", now=now)


def of_models(differences: Sequence[str]) -> Iterator[Finding]:
    """The models want something else than the revisions make.

    Parameters:
        differences: as Alembic's comparator tells them.
    """
    if differences:
        more = f"\n… and {len(differences) - _SHOWN} more" if len(differences) > _SHOWN else ""
        yield MODELS.found(
            "the models want something else than the revisions make:\n"
            + "\n".join(differences[:_SHOWN])
            + more
        )


def of_offline(error: str) -> Iterator[Finding]:
    """The chain can't be written down as SQL.

    Parameters:
        error: why; empty when it can.
    """
    if error:
        yield OFFLINE.found(f"`alembic upgrade base:heads --sql` doesn't get through: {error}")
