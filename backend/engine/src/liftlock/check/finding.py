"""Finding: one result of a rule."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """Weight of a finding. Errors and warnings fail a check, notes don't."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of a rule.

    Parameters:
        code: code of the rule.
        severity: weight of the finding.
        what: the fact, with the names of the user's own objects.
        why: the reason why it matters.
        now: the remedy.
        revision: identifier of the revision; empty for a finding about the whole chain.
        path: file of the revision.
        line: line in that file; None where it isn't known.
        because: reason why the finding is allowed; empty where it isn't.
    """

    code: str
    severity: Severity
    what: str
    why: str
    now: str
    revision: str = ""
    path: str = ""
    line: int | None = None
    because: str = ""

    @property
    def counts(self) -> bool:
        """Tell whether the finding fails the check."""
        return self.severity is not Severity.NOTE and not self.because

    def as_dict(self) -> dict[str, Any]:
        """Return the finding for programs."""
        return asdict(self) | {"severity": self.severity.value}
