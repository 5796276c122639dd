"""Where in a revision's file something is asked for."""

from __future__ import annotations

import sys
from types import FrameType


def line_in(source: str) -> int | None:
    """The line of a file that is being run, by the innermost of its frames."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_filename == source:
            return frame.f_lineno
        frame = frame.f_back
    return None
