"""What a check found."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from liftlock.model.checked import Checked
from liftlock.model.finding import Finding


@dataclass(frozen=True, slots=True)
class Size:
    """A table of a real database, with its partitions.

    Parameters:
        bytes: without indexes.
        rows: as the planner counts them.
        writes: rows written a second; None on a standby, which counts only its own.
    """

    bytes: int
    rows: float
    writes: float | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """How long one way to run a revision takes on tables of known sizes, and how long others wait at most, in seconds."""

    takes: float
    blocks: float


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
    checked: tuple[Checked, ...]
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
            "revisions": [
                {
                    "revision": one.revision.id,
                    "message": one.revision.message,
                    "path": one.path,
                    "changes": list(one.changes),
                    "plain": [statement.as_dict() for statement in one.plain.observed],
                    "liftlock": [statement.as_dict() for statement in one.ours.observed],
                    "estimates": {
                        way: asdict(each) for way, each in zip(("plain", "liftlock"), self.estimates.get(one.revision.id, ()), strict=False)
                    },
                }
                for one in self.checked
            ],
            "findings": [one.as_dict() for one in self.findings],
            "sizes": {name: asdict(one) for name, one in self.sizes.items()},
        }
