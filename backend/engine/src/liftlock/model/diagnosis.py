"""Something that ``doctor`` looked at."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One observation.

    Parameters:
        topic: what was looked at.
        text: what was seen.
        remedy: what to do; empty when all is well.
    """

    topic: str
    text: str
    remedy: str = ""

    @property
    def ok(self) -> bool:
        """Whether there is nothing to do."""
        return not self.remedy

    def as_dict(self) -> dict[str, object]:
        """The diagnosis for programs."""
        return {**asdict(self), "ok": self.ok}
