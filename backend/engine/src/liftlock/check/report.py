"""What a check found."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from liftlock.broker.table_size import Size
from liftlock.check.finding import Finding
from liftlock.shadow.result import RevisionResult, RunResult


@dataclass(frozen=True, slots=True)
class Estimate:
    """How long something takes on tables of known sizes, and how long others wait at most, in seconds.

    Parameters:
        takes, blocks: of the whole.
        statements: of each statement of one way to run a revision; None of one that failed.
    """

    takes: float
    blocks: float
    statements: tuple[Estimate | None, ...] = ()

    def as_dict(self) -> dict[str, float]:
        """The estimate for programs, but for its parts'."""
        return {"takes": self.takes, "blocks": self.blocks}


@dataclass(frozen=True, slots=True)
class Report:
    """What was checked, and what was found.

    Parameters:
        told: how the revisions were chosen.
        way: how they are to be run: ``plain`` or ``liftlock``.
        postgres: on which server they were tried.
        seconds: how long each part took.
        checked: the revisions.
        findings: what the rules found, those that are allowed as well.
        sizes: of the tables of a real database, where one was looked at.
        estimates: from those sizes, by revision: of plain Alembic and of liftlock.
        prefix: what leads from the top of a git repository to the folder that the paths begin in.
    """

    told: str
    way: str
    postgres: str
    seconds: dict[str, float]
    checked: tuple[RevisionResult, ...]
    findings: tuple[Finding, ...]
    sizes: dict[str, Size] = field(default_factory=dict)
    estimates: dict[str, tuple[Estimate, Estimate]] = field(default_factory=dict)
    prefix: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing was found that counts."""
        return not any(one.counts for one in self.findings)

    def of(self, revision: str) -> tuple[Finding, ...]:
        """The findings of a revision."""
        return tuple(one for one in self.findings if one.revision == revision)

    def as_dict(self) -> dict[str, Any]:
        """The report for programs."""
        return {
            "format": 1,
            "selected": self.told,
            "way": self.way,
            "postgres": self.postgres,
            "ok": self.ok,
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
            "revisions": [self._revision(one) for one in self.checked],
            "findings": [one.as_dict() for one in self.findings],
            "sizes": {name: asdict(one) for name, one in self.sizes.items()},
        }

    def _revision(self, one: RevisionResult) -> dict[str, Any]:
        estimates = dict(
            zip(("plain", "liftlock"), self.estimates.get(one.revision.id, ()), strict=False)
        )
        return {
            "revision": one.revision.id,
            "message": one.revision.message,
            "path": one.path,
            "changes": list(one.changes),
            "plain": _statements(one.alembic, estimates.get("plain")),
            "liftlock": _statements(one.liftlock, estimates.get("liftlock")),
            "estimates": {way: each.as_dict() for way, each in estimates.items()},
        }


def _statements(trial: RunResult, estimate: Estimate | None) -> list[dict[str, Any]]:
    known = estimate.statements if estimate is not None else (None,) * len(trial.observed)
    pairs = zip(trial.observed, known, strict=True)
    return [
        statement.as_dict() | {"estimate": each.as_dict() if each is not None else None}
        for statement, each in pairs
    ]
