"""Report: the result of a check."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from liftlock.broker.table_size import Size
from liftlock.check.finding import Finding
from liftlock.shadow.result import RevisionResult, RunResult


@dataclass(frozen=True, slots=True)
class Estimate:
    """Estimated duration of a run or a statement on tables of known sizes, in seconds.

    Parameters:
        takes: duration of the work.
        blocks: longest time for which queries of the application wait.
        statements: estimates of a run's statements; None for one that failed.
    """

    takes: float
    blocks: float
    statements: tuple[Estimate | None, ...] = ()

    def as_dict(self) -> dict[str, float]:
        """Return the estimate for programs, without those of its statements."""
        return {"takes": self.takes, "blocks": self.blocks}


@dataclass(frozen=True, slots=True)
class Report:
    """Result of a check.

    Parameters:
        selected: how the revisions were selected, for people.
        way: how the revisions will be run: ``plain`` (Alembic) or ``liftlock``.
        postgres: version of the shadow's server.
        seconds: duration of each part of the check.
        checked: the revisions, as they ran on the shadow.
        findings: the findings, allowed ones as well.
        sizes: sizes of tables, where a real database was asked.
        estimates: estimates by revision, of the run by Alembic and of the run by liftlock.
        prefix: path from the top of the git repository to the folder that ``path`` starts in.
    """

    selected: str
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
        """Tell whether no finding fails the check."""
        return not any(finding.counts for finding in self.findings)

    def findings_of(self, revision: str) -> tuple[Finding, ...]:
        """Return the findings of a revision; of the whole chain for an empty identifier."""
        return tuple(finding for finding in self.findings if finding.revision == revision)

    def as_dict(self) -> dict[str, Any]:
        """Return the report for programs, as ``docs/reference/check.schema.json`` describes it."""
        return {
            "format": 1,
            "selected": self.selected,
            "way": self.way,
            "postgres": self.postgres,
            "ok": self.ok,
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
            "revisions": [self._revision(result) for result in self.checked],
            "findings": [finding.as_dict() for finding in self.findings],
            "sizes": {table: asdict(size) for table, size in self.sizes.items()},
        }

    def _revision(self, result: RevisionResult) -> dict[str, Any]:
        by_way = self.estimates.get(result.revision.id, ())
        estimates = dict(zip(("plain", "liftlock"), by_way, strict=False))
        return {
            "revision": result.revision.id,
            "message": result.revision.message,
            "path": result.path,
            "changes": list(result.changes),
            "plain": _statements(result.alembic, estimates.get("plain")),
            "liftlock": _statements(result.liftlock, estimates.get("liftlock")),
            "estimates": {way: estimate.as_dict() for way, estimate in estimates.items()},
        }


def _statements(run: RunResult, estimate: Estimate | None) -> list[dict[str, Any]]:
    unknown = (None,) * len(run.observed)
    estimates = unknown if estimate is None else estimate.statements
    return [
        statement.as_dict() | {"estimate": known.as_dict() if known is not None else None}
        for statement, known in zip(run.observed, estimates, strict=True)
    ]
