"""One result of ``liftlock doctor``."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One result of ``liftlock doctor``.

    Parameters:
        topic: the subject that was checked, such as the address or the server's version.
        text: the observation.
        remedy: the action to take; empty for a good result.
    """

    topic: str
    text: str
    remedy: str = ""

    @property
    def ok(self) -> bool:
        """Return true when no action is needed."""
        return not self.remedy

    def as_dict(self) -> dict[str, object]:
        """Return the diagnosis as a JSON object."""
        return {**asdict(self), "ok": self.ok}
