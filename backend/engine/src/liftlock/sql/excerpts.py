"""Excerpts of SQL text for messages."""

from __future__ import annotations

_CHARACTERS = 300


def excerpt(text: str, characters: int = _CHARACTERS) -> str:
    """Return the beginning of a text, with an ellipsis where something is left out.

    Parameters:
        text: the text.
        characters: the most that is kept of it.
    """
    return text if len(text) <= characters else f"{text[:characters]} …"
