"""A rule's hit."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How much a finding matters: notes don't fail a check."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found.

    Parameters:
        code: of the rule.
        severity: how much it matters.
        what: what was found, with the reader's own names.
        why: why it matters.
        now: what to do.
        revision: where; empty for the history as a whole.
        path: the revision's file.
        line: in that file; None where none can be told.
        because: the reason why it is allowed; empty where it isn't.
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
        """Whether it fails the check."""
        return self.severity is not Severity.NOTE and not self.because

    def as_dict(self) -> dict[str, Any]:
        """The finding for programs."""
        return asdict(self) | {"severity": self.severity.value}
