"""What happens during a run, as values. Who shows them is decided by the caller."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    Parameters:
        name: ``noun.past``, such as ``revision.finished``.
        text: one line for people.
        facts: the same for programs; JSON values only.
        warning: whether a reader should stop at it.
    """

    name: str
    text: str
    facts: Mapping[str, object] = field(default_factory=dict)
    warning: bool = False


Notify = Callable[[Event], None]


def silent(_event: Event) -> None:
    """Show nothing."""
