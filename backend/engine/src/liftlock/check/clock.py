"""Clock: durations of the parts of a check."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator


class Clock:
    """Durations of named parts, in seconds. A part that runs several times is added up."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add the duration of the context to a part."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0) + time.monotonic() - begun
