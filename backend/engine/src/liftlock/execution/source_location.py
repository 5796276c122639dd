"""The line of a revision's file that sends a statement."""

from __future__ import annotations

import sys
from types import FrameType


def line_in(source: str) -> int | None:
    """Return the line that runs in a file, by the innermost of its frames; None if none does.

    Parameters:
        source: path of the file.
    """
    # traceback.extract_stack reads every file on the stack
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - documented
    while frame is not None:
        if frame.f_code.co_filename == source:
            return frame.f_lineno
        frame = frame.f_back
    return None
