"""Events of a run, as values. The caller decides how they are shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Event:
    """One event.

    Parameters:
        name: ``noun.past``, such as ``revision.finished``.
        text: one line for people.
        facts: the same for programs; JSON values only.
        warning: whether a reader should pay attention.
    """

    name: str
    text: str
    facts: Mapping[str, object] = field(default_factory=dict)
    warning: bool = False


Notify = Callable[[Event], None]


def silent(_event: Event) -> None:
    """Show nothing."""
